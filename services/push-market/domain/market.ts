import assert from 'node:assert/strict'
import { type BookChange, DepthBook, type Level } from '#mesh/domain/depth-book.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import type { BookPush, PublicTrade, TradesPush } from '#mesh/protocol/push.ts'

/** Trades that whoever subscribes is given first. */
export const TRADES_KEPT = 100

/** A market as it is stored: whole in itself, whatever the others are. */
export interface StoredMarket {
  readonly sequence: number
  readonly timeUs: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
  readonly trades: TradesPush
}

/** What a frame brought of a market. */
export interface MarketNews {
  readonly book: BookPush | undefined
  readonly trades: TradesPush
}

/** One market's public face, from its events. What it has already it passes over, so it may be fed from anywhere before that. */
export class MarketFace {
  readonly #book = new DepthBook()
  #trades: PublicTrade[] = []
  #timeUs = 0
  #changes: BookChange[] = []
  #newTrades: PublicTrade[] = []

  static restore(stored: StoredMarket): MarketFace {
    const market = new MarketFace()
    market.#book.reset(stored.sequence, stored.bids, stored.asks)
    market.#trades = [...stored.trades]
    market.#timeUs = stored.timeUs
    return market
  }

  store(): StoredMarket {
    return { ...this.book(), trades: this.#trades }
  }

  get sequence(): number {
    return this.#book.sequence
  }

  /** Of the last trade, 0 before the first. */
  get tradeId(): number {
    return this.#trades.at(-1)?.tradeId ?? 0
  }

  get trades(): TradesPush {
    return this.#trades
  }

  /** All levels, best first. */
  book(): { sequence: number; timeUs: number; bids: Level[]; asks: Level[] } {
    const { sequence, bids, asks } = this.#book
    const all = Number.POSITIVE_INFINITY
    return { sequence, timeUs: this.#timeUs, bids: bids.top(all), asks: asks.top(all) }
  }

  take(event: Extract<MarketEvent, { type: 'Traded' | 'BookChanged' }>): void {
    if (event.type === 'Traded') {
      const { tradeId, priceTicks, lots, takerSide, timeUs } = event
      if (tradeId <= this.tradeId) return
      assert.equal(tradeId, this.tradeId + 1, 'trades come without a gap')
      const trade: PublicTrade = { tradeId, priceTicks, lots, takerSide, timeUs }
      this.#newTrades.push(trade)
      this.#trades.push(trade)
      if (this.#trades.length > TRADES_KEPT) this.#trades.shift()
      return
    }
    const { sequence, bids, asks } = event
    const change = { first: sequence, last: sequence, bids, asks }
    const applied = this.#book.apply(change)
    assert(applied !== 'gap', `the book is at ${this.#book.sequence}, and ${sequence} comes next`)
    if (applied === 'applied') this.#changes.push(change)
  }

  /** What is new since the last call. */
  news(timeUs: number): MarketNews {
    this.#timeUs = timeUs
    const book = merged(this.#changes, timeUs)
    const trades = this.#newTrades
    this.#changes = []
    this.#newTrades = []
    return { book, trades }
  }
}

/** Several changes as one: of each level what the last of them left there. */
function merged(changes: readonly BookChange[], timeUs: number): BookPush | undefined {
  const [first] = changes
  const last = changes.at(-1)
  if (first === undefined || last === undefined) return undefined
  if (first === last) return { ...first, timeUs }
  return {
    first: first.first,
    last: last.last,
    timeUs,
    bids: [...new Map(changes.flatMap(({ bids }) => bids))],
    asks: [...new Map(changes.flatMap(({ asks }) => asks))],
  }
}
