import type { MarketStatus, Side } from '#mesh/protocol/common.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { type Book, createBook } from '../book/book.ts'
import { Execution } from './execution.ts'
import { OrderRecords } from './order-records.ts'

/** All markets of one engine slot. */
export interface EngineState {
  readonly slot: number
  readonly markets: Map<string, Market>
  /** Scratch of the command under way; between commands it means nothing. */
  readonly execution: Execution
}

export interface Market {
  readonly definition: MarketDefinition
  readonly baseMinorPerLot: bigint
  readonly quoteMinorPerTickLot: bigint
  status: MarketStatus
  readonly book: Book
  /** One for each order in the book, at the same place. */
  readonly records: OrderRecords
  /** The last trade's id. */
  tradesCount: number
  /** How often the book has changed: the last `BookChanged`'s sequence. */
  sequence: number
}

export const initialState = (slot: number): EngineState => ({ slot, markets: new Map(), execution: new Execution() })

export const createMarket = (
  definition: MarketDefinition,
  sink: Execution,
  records: OrderRecords = new OrderRecords(),
): Market => ({
  definition,
  baseMinorPerLot: BigInt(definition.baseMinorPerLot),
  quoteMinorPerTickLot: BigInt(definition.quoteMinorPerTickLot),
  status: definition.status,
  book: createBook({ sink }),
  records,
  tradesCount: 0,
  sequence: 0,
})

/**
 * What an order holds that has this much to trade: quote for a buy, base for a sell.
 * Every resting order holds exactly this, as what it no longer needs is released at once; so holds are not kept anywhere.
 * `tickLots` is price × lots, at most 2^53−1.
 */
export function holdOf(market: Market, side: Side, lots: number, tickLots: number): bigint {
  return side === 'buy' ? BigInt(tickLots) * market.quoteMinorPerTickLot : BigInt(lots) * market.baseMinorPerLot
}
