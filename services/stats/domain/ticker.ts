import type { TickerPush } from '#mesh/protocol/push.ts'
import { type Candle, extend } from './candles.ts'
import { DAY_S, startOf } from './intervals.ts'

const MINUTE_S = 60
const SECOND_US = 1_000_000

/** The trades of the last 24 hours: the candles of the present minute and the 1439 before it. */
export class Ticker {
  /** Oldest first. */
  readonly #minutes: Candle[] = []
  #lots = 0n
  #tickLots = 0n
  #trades = 0
  #lastTicks: number | undefined
  /** Highest and lowest price of all minutes, until one of them is forgotten. */
  #range: { highTicks: number; lowTicks: number } | undefined

  /** `minutes`: candles of a minute, oldest first; `lastTicks`: the price of the last trade, which may be older than they are. */
  static restore(minutes: readonly Candle[], lastTicks: number | undefined): Ticker {
    const ticker = new Ticker()
    for (const minute of minutes) ticker.add(minute)
    ticker.#lastTicks = lastTicks
    return ticker
  }

  /** What was traded in a minute, or a part of it, that is not before the last one. */
  add(traded: Candle): void {
    const startS = startOf('1m', traded.startS)
    const last = this.#minutes.at(-1)
    if (last?.startS === startS) extend(last, traded)
    else {
      this.expire(startS * SECOND_US)
      this.#minutes.push({ ...traded, startS })
    }
    this.#lots += traded.lots
    this.#tickLots += traded.tickLots
    this.#trades += traded.trades
    this.#lastTicks = traded.closeTicks
    if (this.#range === undefined) return
    this.#range.highTicks = Math.max(this.#range.highTicks, traded.highTicks)
    this.#range.lowTicks = Math.min(this.#range.lowTicks, traded.lowTicks)
  }

  /** Forgets what is older than 24 hours now. @returns whether there was anything. */
  expire(nowUs: number): boolean {
    const oldestS = startOf('1m', Math.floor(nowUs / SECOND_US)) - DAY_S + MINUTE_S
    const kept = this.#minutes.findIndex(({ startS }) => startS >= oldestS)
    const gone = this.#minutes.splice(0, kept < 0 ? this.#minutes.length : kept)
    for (const { lots, tickLots, trades } of gone) {
      this.#lots -= lots
      this.#tickLots -= tickLots
      this.#trades -= trades
    }
    if (gone.length > 0) this.#range = undefined
    return gone.length > 0
  }

  at(nowUs: number, tradeId: number): TickerPush {
    this.expire(nowUs)
    const [oldest] = this.#minutes
    this.#range ??= rangeOf(this.#minutes)
    const { highTicks, lowTicks } = this.#range
    return {
      tradeId,
      timeUs: nowUs,
      openTicks: oldest?.openTicks ?? null,
      highTicks: oldest === undefined ? null : highTicks,
      lowTicks: oldest === undefined ? null : lowTicks,
      lastTicks: this.#lastTicks ?? null,
      lots: this.#lots.toString(),
      tickLots: this.#tickLots.toString(),
      tradesCount: this.#trades,
    }
  }
}

function rangeOf(minutes: readonly Candle[]): { highTicks: number; lowTicks: number } {
  const range = { highTicks: 0, lowTicks: Number.MAX_SAFE_INTEGER }
  for (const { highTicks, lowTicks } of minutes) {
    range.highTicks = Math.max(range.highTicks, highTicks)
    range.lowTicks = Math.min(range.lowTicks, lowTicks)
  }
  return range
}
