/** What the page knows of the API's messages: the fields that it reads. The documents at `/docs` say everything. */

export type Side = 'buy' | 'sell'
export type OrderType = 'limit' | 'market'

export interface Market {
  readonly instrument: string
  readonly base: string
  readonly quote: string
  readonly tick: string
  readonly lot: string
  readonly amountMin: string
  readonly makerFeePpm: number
  readonly takerFeePpm: number
  readonly slippagePpm: number
  readonly status: 'trading' | 'cancel_only' | 'halted'
}

export interface Asset {
  readonly asset: string
  readonly scale: number
}

export interface Balance {
  readonly asset: string
  readonly available: string
  readonly held: string
  readonly total: string
}

export interface NewOrder {
  readonly instrument: string
  readonly side: Side
  readonly type: OrderType
  readonly price?: string
  readonly amount?: string
  readonly quoteAmount?: string
}

export interface Order {
  readonly id: string
  readonly instrument: string
  readonly side: Side
  readonly type: OrderType
  readonly price: string | null
  readonly amount: string | null
  readonly quoteAmount: string | null
  readonly executedAmount: string
  readonly executedQuoteAmount: string
  readonly averagePrice: string | null
  readonly status: 'new' | 'partially_filled' | 'executed' | 'cancelled' | 'closed' | 'rejected'
  readonly reason: string | null
  readonly createdAt: string
  readonly sequence: string
}

export interface Fill {
  readonly tradeId: string
  readonly orderId: string
  readonly instrument: string
  readonly side: Side
  readonly price: string
  readonly amount: string
  readonly quoteAmount: string
  readonly fee: string
  readonly feeAsset: string
  readonly liquidity: 'maker' | 'taker'
  readonly time: string
}

export interface PublicTrade {
  readonly tradeId: string
  readonly price: string
  readonly amount: string
  readonly takerSide: Side
  readonly time: string
}

export interface Ticker {
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly last: string | null
  readonly volume: string
  readonly quoteVolume: string
  readonly change: string | null
  readonly changePercent: string | null
}

export interface Candle {
  readonly start: string
  readonly open: string
  readonly high: string
  readonly low: string
  readonly close: string
  readonly volume: string
}

/** A level as it is on the wire. */
export type WrittenLevel = readonly [price: string, amount: string]

export interface BookSnapshot {
  readonly type: 'orderbook.snapshot'
  readonly sequence: string
  readonly bids: readonly WrittenLevel[]
  readonly asks: readonly WrittenLevel[]
  readonly checksum: number
}

export interface BookChange {
  readonly type: 'orderbook.change'
  readonly first: string
  readonly last: string
  readonly bids: readonly WrittenLevel[]
  readonly asks: readonly WrittenLevel[]
  readonly checksum: number
}

/** Any message of the stream; who follows a channel knows what comes on it. */
export interface Message {
  readonly type: string
  readonly channel?: string
  readonly id?: string | null
  readonly position?: string
  // biome-ignore lint/suspicious/noExplicitAny: each handler reads the fields of its own channel
  readonly [field: string]: any
}
