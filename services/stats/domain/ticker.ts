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
    return gone.length > 0
  }

  at(nowUs: number, tradeId: number): TickerPush {
    this.expire(nowUs)
    const [oldest] = this.#minutes
    let highTicks = 0
    let lowTicks = Number.MAX_SAFE_INTEGER
    for (const minute of this.#minutes) {
      highTicks = Math.max(highTicks, minute.highTicks)
      lowTicks = Math.min(lowTicks, minute.lowTicks)
    }
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
