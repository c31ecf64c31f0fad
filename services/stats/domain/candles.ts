import type { PublicTrade } from '#mesh/protocol/push.ts'
import type { CandleLine, Interval } from '#mesh/protocol/stats.ts'
import { nextStart, startOf } from './intervals.ts'

/** What was traded in an interval. Trades are booked by the second; longer candles are made of shorter ones. */
export interface Candle {
  /** Since 1970. */
  readonly startS: number
  readonly openTicks: number
  highTicks: number
  lowTicks: number
  closeTicks: number
  lots: bigint
  tickLots: bigint
  trades: number
}

export type Trade = Pick<PublicTrade, 'priceTicks' | 'lots' | 'timeUs'>

const SECOND_US = 1_000_000

/** By the time of the trade in the market's log. */
export const secondOf = ({ timeUs }: Pick<Trade, 'timeUs'>): number => Math.floor(timeUs / SECOND_US)

/** The trade as a candle of one second. */
export function candleOf(trade: Trade): Candle {
  const { priceTicks, lots } = trade
  return {
    startS: secondOf(trade),
    openTicks: priceTicks,
    highTicks: priceTicks,
    lowTicks: priceTicks,
    closeTicks: priceTicks,
    lots: BigInt(lots),
    tickLots: BigInt(priceTicks) * BigInt(lots),
    trades: 1,
  }
}

/** Adds what was traded after it, in the same interval. */
export function extend(candle: Candle, later: Candle): void {
  if (later.highTicks > candle.highTicks) candle.highTicks = later.highTicks
  if (later.lowTicks < candle.lowTicks) candle.lowTicks = later.lowTicks
  candle.closeTicks = later.closeTicks
  candle.lots += later.lots
  candle.tickLots += later.tickLots
  candle.trades += later.trades
}

/** Adds a trade to candles of one second, oldest first. */
export function addTrade(seconds: Candle[], trade: Trade): void {
  const last = seconds.at(-1)
  const one = candleOf(trade)
  if (last?.startS === one.startS) extend(last, one)
  else seconds.push(one)
}

/** Shorter candles, oldest first, as those of an interval. */
export function gathered(interval: Interval, shorter: readonly Candle[]): Candle[] {
  const candles: Candle[] = []
  for (const one of shorter) {
    const startS = startOf(interval, one.startS)
    const last = candles.at(-1)
    if (last?.startS === startS) extend(last, one)
    else candles.push({ ...one, startS })
  }
  return candles
}

export const lineOf = (candle: Candle): CandleLine => [
  candle.startS,
  candle.openTicks,
  candle.highTicks,
  candle.lowTicks,
  candle.closeTicks,
  candle.lots.toString(),
  candle.tickLots.toString(),
  candle.trades,
]

export interface Gaps {
  readonly interval: Interval
  /** What the first ones open with where there is no candle before them. */
  readonly closeTicksBefore: number | undefined
  /** From the first candle that begins here or later, to the last that begins before the other one. */
  readonly fromS: number
  readonly toS: number
  readonly limit: number
}

/** The candles with those between them in which nothing was traded: at the price of the last trade, without volume. */
export function withoutGaps(candles: readonly CandleLine[], gaps: Gaps): CandleLine[] {
  const { interval, fromS, toS, limit } = gaps
  const filled: CandleLine[] = []
  let closeTicks = gaps.closeTicksBefore
  let startS = firstStart(interval, fromS)
  let at = 0
  while (startS < toS && filled.length < limit) {
    const candle = candles[at]
    if (candle?.[0] === startS) {
      filled.push(candle)
      closeTicks = candle[4]
      at++
    } else if (closeTicks !== undefined) {
      filled.push([startS, closeTicks, closeTicks, closeTicks, closeTicks, '0', '0', 0])
    } else if (candle !== undefined) {
      // Nothing was traded before it.
      startS = candle[0]
      continue
    } else break
    startS = nextStart(interval, startS)
  }
  return filled
}

/** When the first candle begins that begins then or later. */
export function firstStart(interval: Interval, second: number): number {
  const startS = startOf(interval, second)
  return startS === second ? startS : nextStart(interval, startS)
}

/** When the candle begins that is so many before the one of this second. */
export function startBefore(interval: Interval, second: number, count: number): number {
  let startS = startOf(interval, second)
  for (let steps = 0; steps < count && startS > 0; steps++) startS = startOf(interval, startS - 1)
  return startS
}
