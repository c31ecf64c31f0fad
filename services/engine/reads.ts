import Type, { type Static } from 'typebox'
import { checked } from '#mesh/checked.ts'
import type { SlotObserver } from '#mesh/machine/slot.ts'
import type { SlotMemory } from '#mesh/machine/snapshots/machine.ts'
import type { MarketEvent, MarketRead, MarketReadResult } from '#mesh/protocol/engine.ts'
import { RpcError } from '#mesh/rpc.ts'
import { type Side as BookSide, Side } from './book/book.ts'
import type { EngineState, Market } from './domain/state.ts'
import { createRecentTrades, type RecentTrades } from './recent-trades.ts'

export interface Reads {
  readonly observe: SlotObserver<MarketEvent>
  readonly memory: SlotMemory
  /** @throws RpcError `request_invalid`, `market_unknown` */
  answer(slot: number, state: EngineState, request: unknown, timeUs: number): MarketReadResult
}

/** Levels of one side that one read is given at most. */
export const LEVELS_MAX = 5_000

/** Reads from the memory of the slots' owner: books from the state, trades from what was seen of the events. */
export function createReads(): Reads {
  const recentTrades = new Map<number, RecentTrades>()
  const tradesOf = (slot: number): RecentTrades => {
    let trades = recentTrades.get(slot)
    if (trades === undefined) {
      trades = createRecentTrades()
      recentTrades.set(slot, trades)
    }
    return trades
  }
  return {
    observe: (slot, event) => tradesOf(slot).observe(event),
    memory: {
      version: 1,
      pack: (slot, packer) => tradesOf(slot).pack(packer),
      unpack: (slot, packed) => {
        if (packed === undefined) recentTrades.delete(slot)
        else recentTrades.set(slot, createRecentTrades(packed))
      },
    },
    answer: (slot, state, request, timeUs) => {
      const read: MarketRead = parseRead(request)
      switch (read.read) {
        case 'orderbook':
          return orderbook(marketOf(state, read.instrument), Math.min(read.levelsMax, LEVELS_MAX), timeUs)
        case 'trades': {
          const { instrument } = marketOf(state, read.instrument).definition
          return { read: 'trades', instrument, trades: tradesOf(slot).newest(instrument, read.tradesMax) }
        }
        case 'bests':
          return { read: 'bests', markets: marketsOf(state).map(bestsOf) }
        case 'totals':
          return { read: 'totals', markets: marketsOf(state).map(totalsOf) }
      }
    },
  }
}

const Instrument = Type.String({ maxLength: 32 })
const Count = Type.Integer({ minimum: 1 })
const Closed = { additionalProperties: false } as const
const ReadRequest = Type.Union([
  Type.Object({ read: Type.Literal('orderbook'), instrument: Instrument, levelsMax: Count }, Closed),
  Type.Object({ read: Type.Literal('trades'), instrument: Instrument, tradesMax: Count }, Closed),
  Type.Object({ read: Type.Literal('bests') }, Closed),
  Type.Object({ read: Type.Literal('totals') }, Closed),
])
const parseRead: (value: unknown) => Static<typeof ReadRequest> = checked(ReadRequest)

function marketOf(state: EngineState, instrument: string): Market {
  const market = state.markets.get(instrument)
  if (market === undefined) throw new RpcError('market_unknown', `The market ${instrument} is not in this slot.`)
  return market
}

/** In the order in which they were opened. */
const marketsOf = (state: EngineState): Market[] => [...state.markets.values()]

type Level = readonly [priceTicks: number, lots: number]

function levelsOf({ book }: Market, side: BookSide, levelsMax: number): Level[] {
  const levels: Level[] = []
  // The rules keep every level's sum within a number, so that there is no carry.
  book.depth(side, levelsMax, (priceTicks, lots) => levels.push([priceTicks, lots]))
  return levels
}

const orderbook = (market: Market, levelsMax: number, timeUs: number): MarketReadResult => ({
  read: 'orderbook',
  instrument: market.definition.instrument,
  status: market.status,
  sequence: market.sequence,
  timeUs,
  bids: levelsOf(market, Side.buy, levelsMax),
  asks: levelsOf(market, Side.sell, levelsMax),
})

const bestsOf = ({ definition, book }: Market) => ({
  instrument: definition.instrument,
  bestBidTicks: book.bestBid(),
  bestAskTicks: book.bestAsk(),
})

/** Walks the levels, not the orders. */
function totalsOf(market: Market) {
  const { definition, book, tradesCount } = market
  let bidTickLots = 0n
  let askLots = 0n
  book.depth(Side.buy, Number.POSITIVE_INFINITY, (priceTicks, lots) => {
    bidTickLots += BigInt(priceTicks) * BigInt(lots)
  })
  book.depth(Side.sell, Number.POSITIVE_INFINITY, (_priceTicks, lots) => {
    askLots += BigInt(lots)
  })
  return {
    instrument: definition.instrument,
    ordersCount: book.ordersCount,
    bidsHeldMinor: (bidTickLots * market.quoteMinorPerTickLot).toString(),
    asksHeldMinor: (askLots * market.baseMinorPerLot).toString(),
    tradesCount,
  }
}
