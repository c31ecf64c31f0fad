import assert from 'node:assert/strict'
import type { PublicTrade, TickerPush } from '#mesh/protocol/push.ts'
import { type CandleNews, type CandlesPush, INTERVALS } from '#mesh/protocol/stats.ts'
import { addTrade, type Candle, extend, lineOf, secondOf } from './candles.ts'
import { nextStart, startOf } from './intervals.ts'
import { Ticker } from './ticker.ts'

/** A market as it is begun with: what is stored of it. */
export interface StoredMarket {
  /** Of the last trade; its number, its price. */
  readonly tradeId: number
  readonly lastTicks: number
  /** Of the last 24 hours, oldest first. */
  readonly minutes: readonly Candle[]
  /** By interval, the candle of the last trade and, where it is known, the one before it. */
  readonly latest: readonly (readonly [candle: Candle | undefined, before: Candle | undefined])[]
}

/** Candles that ended and were not told yet, at most: older ones are in MySQL. */
const ENDED_MAX = 100
const NEVER = Number.POSITIVE_INFINITY

/** The latest candle of one interval. */
interface Latest {
  candle: Candle | undefined
  before: Candle | undefined
  /** Its time is over, and that was told. */
  isClosed: boolean
}

/** One market's candles and ticker as they are now. Trades that it has it passes over. */
export class LiveMarket {
  readonly #latest: readonly Latest[]
  readonly #ticker: Ticker
  #tradeId: number
  /** The last second's trades, which longer candles do not have yet. */
  #second: Candle[] = []
  #ended: CandleNews[] = []
  #isChanged = false
  #number = 0
  /** When the first of the open candles ends. */
  #closesAtS = NEVER

  constructor(stored?: StoredMarket) {
    this.#tradeId = stored?.tradeId ?? 0
    this.#ticker = Ticker.restore(stored?.minutes ?? [], stored?.lastTicks)
    this.#latest = INTERVALS.map((_, index) => {
      const [candle, before] = stored?.latest[index] ?? []
      return { candle, before, isClosed: false }
    })
    this.#closesAtS = this.#firstEnd()
  }

  get tradeId(): number {
    return this.#tradeId
  }

  /** Of the last message about candles. */
  get number(): number {
    return this.#number
  }

  take(trade: PublicTrade): void {
    const { tradeId } = trade
    if (tradeId <= this.#tradeId) return
    assert.equal(tradeId, this.#tradeId + 1, 'trades come without a gap')
    this.#tradeId = tradeId
    if (this.#second[0]?.startS !== secondOf(trade)) this.#gather()
    addTrade(this.#second, trade)
  }

  ticker(nowUs: number): TickerPush {
    this.#gather()
    return this.#ticker.at(nowUs, this.#tradeId)
  }

  /** Forgets what is older than 24 hours. @returns whether there was anything. */
  expire(nowUs: number): boolean {
    this.#gather()
    return this.#ticker.expire(nowUs)
  }

  /** What is new of the candles since the last call, `undefined` for nothing. Those that end before `nowS` are closed. */
  news(nowS: number): CandlesPush | undefined {
    this.#gather()
    if (nowS >= this.#closesAtS) this.#close(nowS)
    const candles = this.#isChanged ? [...this.#ended, ...this.#open()] : this.#ended
    this.#ended = []
    this.#isChanged = false
    if (candles.length === 0) return undefined
    this.#number++
    return { number: this.#number, candles }
  }

  /** The latest candle of each interval, and the one before it; as if they were news. */
  known(): CandlesPush {
    this.#gather()
    const candles: CandleNews[] = []
    for (const [interval, { candle, before, isClosed }] of this.#latest.entries()) {
      if (before !== undefined) candles.push([interval, lineOf(before), 1])
      if (candle !== undefined) candles.push([interval, lineOf(candle), isClosed ? 1 : 0])
    }
    return { number: this.#number, candles }
  }

  /** Puts the last second's trades where they belong. */
  #gather(): void {
    const [second] = this.#second
    if (second === undefined) return
    this.#second = []
    this.#ticker.add(second)
    this.#isChanged = true
    for (const [index, interval] of INTERVALS.entries()) {
      const latest = this.#latest[index]
      assert(latest !== undefined, 'every interval has its place')
      const startS = startOf(interval, second.startS)
      if (latest.candle?.startS === startS) extend(latest.candle, second)
      else {
        if (latest.candle !== undefined && !latest.isClosed) this.#ended.push([index, lineOf(latest.candle), 1])
        latest.before = latest.candle
        latest.candle = { ...second, startS }
      }
      latest.isClosed = false
    }
    if (this.#ended.length > ENDED_MAX) this.#ended = this.#ended.slice(-ENDED_MAX)
    this.#closesAtS = this.#firstEnd()
  }

  #open(): CandleNews[] {
    return this.#latest.flatMap(({ candle, isClosed }, interval): CandleNews[] =>
      candle === undefined || isClosed ? [] : [[interval, lineOf(candle), 0]],
    )
  }

  #close(nowS: number): void {
    for (const [index, interval] of INTERVALS.entries()) {
      const latest = this.#latest[index]
      if (latest?.candle === undefined || latest.isClosed || nextStart(interval, latest.candle.startS) > nowS) continue
      latest.isClosed = true
      this.#ended.push([index, lineOf(latest.candle), 1])
    }
    this.#closesAtS = this.#firstEnd()
  }

  #firstEnd(): number {
    let firstS = NEVER
    for (const [index, interval] of INTERVALS.entries()) {
      const latest = this.#latest[index]
      if (latest?.candle === undefined || latest.isClosed) continue
      firstS = Math.min(firstS, nextStart(interval, latest.candle.startS))
    }
    return firstS
  }
}
