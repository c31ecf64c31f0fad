import type { ResultOf } from '#mesh/protocol/orders.ts'
import type { Trading } from './state.ts'

export type Totals = ResultOf<{ readonly query: 'totals' }>

/** What MySQL has counted at some moment. */
interface Counted {
  readonly atMs: number
  readonly orders: number
  readonly trades: number
}

export interface TradingMemory {
  readonly last: Counted | undefined
  readonly history: Trading['history']
}

export const noMemory: TradingMemory = { last: undefined, history: [] }

const HISTORY_MS = 300_000
/** Nobody has looked for so long: what lies between is not known. */
const GAP_MS_MAX = 10_000

/** Rates are what came since the look before. */
export function tradingOf(
  totals: Totals,
  memory: TradingMemory,
  atMs: number,
): { readonly trading: Trading; readonly memory: TradingMemory } {
  const markets = totals.markets
    // Executions count twice: once for each side.
    .map(({ instrument, ordersCount, fillsCount }) => ({ instrument, orders: ordersCount, trades: fillsCount / 2 }))
    .sort((a, b) => (a.instrument < b.instrument ? -1 : 1))
  const last: Counted = {
    atMs,
    orders: markets.reduce((sum, { orders }) => sum + orders, 0),
    trades: markets.reduce((sum, { trades }) => sum + trades, 0),
  }
  const before = memory.last !== undefined && atMs - memory.last.atMs <= GAP_MS_MAX ? memory.last : undefined
  const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1_000
  const rate = (was: number | undefined, is: number): number | null =>
    was === undefined || seconds <= 0 ? null : Math.max(0, (is - was) / seconds)
  const ordersPerSecond = rate(before?.orders, last.orders)
  const kept = memory.history.filter(([whenMs]) => atMs - whenMs <= HISTORY_MS)
  const history = ordersPerSecond === null ? kept : [...kept, [atMs, Math.round(ordersPerSecond * 10) / 10] as const]
  return {
    trading: { ordersPerSecond, tradesPerSecond: rate(before?.trades, last.trades), markets, history },
    memory: { last, history },
  }
}
