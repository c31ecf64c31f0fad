import assert from 'node:assert/strict'
import type { PublicTrade, TickerPush } from '#mesh/protocol/push.ts'

const MINUTE_US = 60_000_000
const MINUTES = 24 * 60

/** What was traded in a minute of the log's time. */
interface Minute {
  readonly minute: number
  readonly openTicks: number
  highTicks: number
  lowTicks: number
  lots: bigint
  tickLots: bigint
  count: number
}

/** As it is stored: the sums as text. */
export type StoredTicker = {
  readonly tradeId: number
  readonly lastTicks: number
  readonly minutes: readonly (readonly [
    minute: number,
    openTicks: number,
    highTicks: number,
    lowTicks: number,
    lots: string,
    tickLots: string,
    count: number,
  ])[]
}

/** The trades of the last 24 hours, the present minute and the 1439 before it. */
export class Ticker {
  /** Oldest first. */
  #minutes: Minute[] = []
  #lots = 0n
  #tickLots = 0n
  #count = 0
  #tradeId = 0
  #lastTicks = 0

  static restore({ tradeId, lastTicks, minutes }: StoredTicker): Ticker {
    const ticker = new Ticker()
    ticker.#tradeId = tradeId
    ticker.#lastTicks = lastTicks
    for (const [minute, openTicks, highTicks, lowTicks, lots, tickLots, count] of minutes) {
      ticker.#open({ minute, openTicks, highTicks, lowTicks, lots: 0n, tickLots: 0n, count: 0 })
      ticker.#book(BigInt(lots), BigInt(tickLots), count)
    }
    return ticker
  }

  store(): StoredTicker {
    return {
      tradeId: this.#tradeId,
      lastTicks: this.#lastTicks,
      minutes: this.#minutes.map((one) => [
        one.minute,
        one.openTicks,
        one.highTicks,
        one.lowTicks,
        one.lots.toString(),
        one.tickLots.toString(),
        one.count,
      ]),
    }
  }

  get tradeId(): number {
    return this.#tradeId
  }

  /** The market's next trade; one that it has is passed over. */
  add({ tradeId, priceTicks, lots, timeUs }: PublicTrade): void {
    if (tradeId <= this.#tradeId) return
    assert.equal(tradeId, this.#tradeId + 1, 'trades come without a gap')
    this.#tradeId = tradeId
    this.#lastTicks = priceTicks
    const minute = Math.floor(timeUs / MINUTE_US)
    const latest = this.#minutes.at(-1)
    if (latest === undefined || latest.minute < minute) {
      this.expire(timeUs)
      this.#open({
        minute,
        openTicks: priceTicks,
        highTicks: priceTicks,
        lowTicks: priceTicks,
        lots: 0n,
        tickLots: 0n,
        count: 0,
      })
    } else {
      latest.highTicks = Math.max(latest.highTicks, priceTicks)
      latest.lowTicks = Math.min(latest.lowTicks, priceTicks)
    }
    this.#book(BigInt(lots), BigInt(priceTicks) * BigInt(lots), 1)
  }

  /** Forgets what is older than 24 hours now. @returns whether there was anything. */
  expire(nowUs: number): boolean {
    const oldest = Math.floor(nowUs / MINUTE_US) - MINUTES + 1
    const kept = this.#minutes.findIndex(({ minute }) => minute >= oldest)
    const gone = this.#minutes.splice(0, kept < 0 ? this.#minutes.length : kept)
    for (const { lots, tickLots, count } of gone) {
      this.#lots -= lots
      this.#tickLots -= tickLots
      this.#count -= count
    }
    return gone.length > 0
  }

  at(nowUs: number): TickerPush {
    this.expire(nowUs)
    const [oldest] = this.#minutes
    let highTicks = 0
    let lowTicks = Number.MAX_SAFE_INTEGER
    for (const minute of this.#minutes) {
      highTicks = Math.max(highTicks, minute.highTicks)
      lowTicks = Math.min(lowTicks, minute.lowTicks)
    }
    return {
      tradeId: this.#tradeId,
      timeUs: nowUs,
      openTicks: oldest?.openTicks ?? null,
      highTicks: oldest === undefined ? null : highTicks,
      lowTicks: oldest === undefined ? null : lowTicks,
      lastTicks: this.#tradeId === 0 ? null : this.#lastTicks,
      lots: this.#lots.toString(),
      tickLots: this.#tickLots.toString(),
      tradesCount: this.#count,
    }
  }

  #open(minute: Minute): void {
    this.#minutes.push(minute)
  }

  /** Into the latest minute. */
  #book(lots: bigint, tickLots: bigint, count: number): void {
    const latest = this.#minutes.at(-1)
    assert(latest !== undefined, 'there is a minute to book into')
    latest.lots += lots
    latest.tickLots += tickLots
    latest.count += count
    this.#lots += lots
    this.#tickLots += tickLots
    this.#count += count
  }
}
