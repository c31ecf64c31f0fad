/** What an operator should know of: a fatal state, or one that is logged with `alarm: true`. */
export interface Alarm {
  readonly id: string
  /** Of alarms of one kind at most one a minute is told: `accounts:log_went_backwards`. */
  readonly kind: string
  readonly level: 'fatal' | 'alarm'
  readonly service: string
  readonly instance: string
  readonly message: string
  /** More words, such as the text of an error. */
  readonly details: string
  /** ISO 8601. */
  readonly at: string
  /** Of the same kind from the same process that were not sent since the one before. */
  readonly held: number
}

/** The Redis list, newest at its head; it holds so many at most. */
export const ALARMS_KEY = 'exchange:alarms'
export const ALARMS_MAX = 1_000

/** Alarms that stay when they have been told, newest at its head, for who looks later. */
export const RECENT_ALARMS_KEY = 'exchange:alarms:recent'
export const RECENT_ALARMS_MAX = 100

/** What `rpc.alerts.test` answers. Codes: `no_channel`, `delivery_failed`. */
export interface AlertsTestReply {
  readonly deliveredTo: readonly string[]
}
