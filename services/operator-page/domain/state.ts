import type { Instance } from './instances.ts'
import type { Problem } from './problems.ts'
import type { Slot } from './slots.ts'

/** Everything that the page shows, at one moment. Times are milliseconds since 1970. */
export interface State {
  readonly atMs: number
  readonly version: string
  /** Empty: all is well. */
  readonly problems: readonly Problem[]
  readonly instances: readonly Instance[]
  readonly slots: readonly Slot[]
  readonly projections: readonly Projection[]
  readonly streams: readonly Stream[]
  readonly consumers: readonly Consumer[]
  readonly servers: readonly Server[]
  readonly trading: Trading
  /** By asset, over all account slots. Each slot is asked at a moment of its own. */
  readonly books: readonly Book[]
  readonly alarms: readonly ShownAlarm[]
  readonly links: readonly { readonly name: string; readonly url: string }[]
}

export interface Projection {
  readonly name: string
  readonly slot: number
  readonly lagMs: number
  readonly instance: string
  readonly error: string
}

export interface Stream {
  readonly name: string
  readonly messages: number
  readonly bytes: number
  readonly lastSequence: number
  /** Null at the first look. */
  readonly perSecond: number | null
  readonly readers: number
  readonly replicas: number
  /** Copies that are not current. */
  readonly late: readonly string[]
  readonly leader: string | null
}

/** All readers of one subject of a stream. */
export interface Consumer {
  readonly stream: string
  readonly subject: string
  readonly readers: number
  /** Messages that are not delivered to the slowest of them. */
  readonly pending: number
}

export interface Server {
  readonly name: string
  readonly state: 'ok' | 'down'
  readonly words: string
  readonly facts: readonly (readonly [name: string, value: string])[]
}

export interface Trading {
  readonly ordersPerSecond: number | null
  readonly tradesPerSecond: number | null
  readonly markets: readonly {
    readonly instrument: string
    readonly orders: number
    readonly trades: number
  }[]
  /** Orders per second, oldest first. */
  readonly history: readonly (readonly [atMs: number, perSecond: number])[]
}

export interface Book {
  readonly asset: string
  /** What members have, free and held. */
  readonly members: string
  readonly fees: string
  /** On its way between slots. */
  readonly underWay: string
  /** Less what was withdrawn. */
  readonly deposited: string
  /** Account slots whose books do not sum to zero. */
  readonly differsIn: readonly number[]
}

export interface ShownAlarm {
  readonly at: number
  readonly level: string
  readonly kind: string
  readonly instance: string
  readonly message: string
  readonly details: string
  readonly held: number
}
