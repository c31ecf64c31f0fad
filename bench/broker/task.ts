/** What a bench and its generator, a process of its own that sends orders through a broker and reads what became of them, say. */
export interface Task {
  readonly url: string
  /** Unique: order n has the clientOrderId `<name>-<n>`. */
  readonly name: string
  readonly tokens: readonly string[]
  readonly seed: number
  /** Orders without a result, at most. */
  readonly openMax: number
  /** So many orders; or as many as go in the time. */
  readonly orders?: number
  readonly warmupMs: number
  readonly countedMs: number
}

export interface Result {
  /** While it was counted. */
  readonly answered: number
  readonly countedMs: number
  readonly sent: number
  /** By order: the id that its result told, 0 where there was none or it was refused. */
  readonly orderIds: Float64Array
  /** Orders with more than one result of their own, or none. */
  readonly wrong: number
  /** Results that say that a message came twice. */
  readonly repeated: number
  /** Results that were told again, under the same id. */
  readonly toldAgain: number
  readonly refused: Readonly<Record<string, number>>
}

export type Report =
  | { readonly kind: 'counting' | 'counted' }
  /** Of a fixed number of orders another tenth is answered. */
  | { readonly kind: 'tenth' }
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'failed'; readonly message: string }

export function report(message: Report): void {
  process.send?.(message)
}
