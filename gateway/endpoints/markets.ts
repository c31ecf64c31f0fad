import { formatSteps } from '#mesh/edge/decimal.ts'
import type { Definitions } from '#mesh/edge/definitions.ts'
import type { Market } from '#mesh/edge/market.ts'
import { formatTime } from '#mesh/edge/time.ts'
import type { MarketReadResult } from '#mesh/protocol/engine.ts'
import { type Endpoint, endpoint, ok } from '../http/endpoint.ts'
import type { PublicCache } from '../mesh/public-cache.ts'
import type { Reads } from '../mesh/reads.ts'
import * as schemas from '../schemas/markets.ts'
import { cachedIn, marketNamed } from './parameters.ts'

interface Parts {
  readonly reads: Reads
  readonly definitions: Definitions
  readonly cache: PublicCache
  readonly nowUs: () => number
}

const LEVELS_DEFAULT = 100
const TRADES_DEFAULT = 100
const SLOT_CODES = ['market_unknown', 'slot_halted', 'slot_unavailable'] as const

export function marketEndpoints({ reads, definitions, cache, nowUs }: Parts): Endpoint[] {
  const cached = cachedIn(cache)

  return [
    endpoint({
      method: 'GET',
      path: '/time',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: "The gateway's clock",
      answers: { 200: schemas.ServerTime },
      codes: [],
      handle: () => ok(`{"time":"${formatTime(nowUs())}"}`),
    }),
    endpoint({
      method: 'GET',
      path: '/assets',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'All assets',
      answers: { 200: schemas.Assets },
      codes: [],
      handle: () => ok(JSON.stringify({ assets: definitions.assets() })),
    }),
    endpoint({
      method: 'GET',
      path: '/markets',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'All markets',
      answers: { 200: schemas.Markets },
      codes: [],
      handle: () => ok(JSON.stringify({ markets: definitions.markets().map(marketInfo) })),
    }),
    endpoint({
      method: 'GET',
      path: '/markets/{instrument}',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'One market',
      answers: { 200: schemas.MarketInfo },
      codes: ['market_unknown'],
      handle: ({ params }) => ok(JSON.stringify(marketInfo(marketNamed(definitions, params.instrument)))),
    }),
    endpoint({
      method: 'GET',
      path: '/markets/{instrument}/orderbook',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'The order book by price',
      description: 'At most one second old; `refresh=true` asks the market itself.',
      query: schemas.OrderBookQuery,
      answers: { 200: schemas.OrderBook },
      codes: SLOT_CODES,
      handle: ({ params, query }) => {
        const market = marketNamed(definitions, params.instrument)
        const { instrument, marketSlot } = market.definition
        const levelsMax = query.limit === undefined ? LEVELS_DEFAULT : Number(query.limit)
        return cached(query, `book:${instrument}:${levelsMax}`, async () =>
          bookJson(await reads.market(marketSlot, { read: 'orderbook', instrument, levelsMax }), market),
        )
      },
    }),
    endpoint({
      method: 'GET',
      path: '/markets/{instrument}/trades',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'The latest trades, newest first',
      description: 'At most one second old; `refresh=true` asks the market itself.',
      query: schemas.MarketTradesQuery,
      answers: { 200: schemas.MarketTrades },
      codes: SLOT_CODES,
      handle: ({ params, query }) => {
        const market = marketNamed(definitions, params.instrument)
        const { instrument, marketSlot } = market.definition
        const tradesMax = query.limit === undefined ? TRADES_DEFAULT : Number(query.limit)
        return cached(query, `trades:${instrument}:${tradesMax}`, async () =>
          tradesJson(await reads.market(marketSlot, { read: 'trades', instrument, tradesMax }), market),
        )
      },
    }),
  ]
}

export function marketInfo({ definition, lot }: Market) {
  const { instrument, base, quote, tick, makerFeePpm, takerFeePpm, slippagePpm, status } = definition
  return {
    instrument,
    base,
    quote,
    tick,
    lot: definition.lot,
    amountMin: formatSteps(definition.amountLotsMin, lot),
    makerFeePpm,
    takerFeePpm,
    slippagePpm,
    status,
  }
}

function bookJson(book: Extract<MarketReadResult, { read: 'orderbook' }>, market: Market): string {
  const level = ([priceTicks, lots]: readonly [number, number]) => ({
    price: formatSteps(priceTicks, market.tick),
    amount: formatSteps(lots, market.lot),
  })
  return JSON.stringify({
    instrument: book.instrument,
    status: book.status,
    sequence: String(book.sequence),
    time: book.timeUs === 0 ? null : formatTime(book.timeUs),
    bids: book.bids.map(level),
    asks: book.asks.map(level),
  })
}

function tradesJson(result: Extract<MarketReadResult, { read: 'trades' }>, market: Market): string {
  return JSON.stringify({
    instrument: result.instrument,
    trades: result.trades.map((trade) => ({
      tradeId: String(trade.tradeId),
      price: formatSteps(trade.priceTicks, market.tick),
      amount: formatSteps(trade.lots, market.lot),
      takerSide: trade.takerSide,
      time: formatTime(trade.timeUs),
    })),
  })
}
