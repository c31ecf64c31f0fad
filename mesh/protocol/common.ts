/** Words that all messages of the mesh share. Ids are whole numbers below 2^53; money is a decimal string of minor units. */

/** Money in minor units of its asset, as an optionally negative decimal integer: `"-1500"`. Parsed with `BigInt`. */
export type MinorString = string

/** Microseconds since 1970, a whole number below 2^53. */
export type TimeUs = number

export const Side = { buy: 'buy', sell: 'sell' } as const
export type Side = (typeof Side)[keyof typeof Side]

export const OrderType = { limit: 'limit', market: 'market' } as const
export type OrderType = (typeof OrderType)[keyof typeof OrderType]

export type OrderStatus = 'new' | 'partially_filled' | 'executed' | 'cancelled' | 'closed' | 'rejected'

/** An order that can still trade, be cancelled or amended. */
export const isOpen = (status: OrderStatus): boolean => status === 'new' || status === 'partially_filled'

/** The broker that a command came through, where it was none of ours that waits for an answer: its feed tells the results. */
export const Origin = { rabbitmq: 'rabbitmq', kafka: 'kafka' } as const
export type Origin = (typeof Origin)[keyof typeof Origin]

export type MarketStatus = 'trading' | 'cancel_only' | 'halted'

/**
 * Why a machine refused a command or closed an order. Public and stable; texts and HTTP status are the gateway's.
 */
export type MachineCode =
  // accounts
  | 'id_conflict' // a known id with other content
  | 'client_order_id_conflict' // a known clientOrderId with other content
  | 'reference_conflict' // a known reference of a deposit, withdrawal or transfer with other content
  | 'too_old' // sent before the oldest id that the slot remembers
  | 'sent_in_future' // sent more than a minute ahead of the log
  | 'member_unknown'
  | 'member_blocked'
  | 'member_closed'
  | 'asset_unknown'
  | 'asset_exists'
  | 'market_unknown'
  | 'market_exists'
  | 'amount_invalid' // not above zero, or beyond what the market or asset can count
  | 'amount_below_minimum'
  | 'price_invalid'
  | 'order_value_too_large' // price × amount beyond 2^53−1 tick-lots
  | 'insufficient_balance'
  | 'balance_overflow'
  | 'too_many_open_orders'
  | 'order_not_open'
  | 'order_not_found'
  | 'amend_pending'
  | 'not_accepted' // a voided id
  // engine
  | 'market_halted'
  | 'market_cancel_only'
  | 'no_liquidity'
  | 'worst_price' // nothing (more) within the worst price
  | 'fills_limit' // the command used up its fills; the remainder ended
  | 'hold_too_small'
  | 'amount_not_above_executed'
  | 'order_id_known'
  | 'book_full' // the market holds as many open orders as it may
  // definitions
  | 'definition_invalid'
  | 'definition_conflict'

/** One execution, seen from one of its two orders. */
export interface Fill {
  /** Counts from 1 in each market. */
  readonly tradeId: number
  readonly priceTicks: number
  readonly lots: number
  /** price × lots in minor units of the quote asset. */
  readonly quoteMinor: MinorString
  /** In minor units of what this order receives: base for a buy, quote for a sell. */
  readonly feeMinor: MinorString
  readonly liquidity: 'maker' | 'taker'
}

/** Everything there is to know of an order, in ticks, lots and minor units. */
export interface OrderState {
  readonly orderId: number
  readonly memberId: number
  readonly clientOrderId?: string
  readonly instrument: string
  readonly side: Side
  readonly orderType: OrderType
  /** The limit, or a market order's worst price. */
  readonly priceTicks: number
  /** The total, executed part included. For a market order by quote total: the bound in lots for a sell, 0 for a buy. */
  readonly amountLots: number
  /** Only for a market order by quote total: the total in tick × lot. */
  readonly quoteTickLots?: number
  readonly executedLots: number
  readonly executedQuoteMinor: MinorString
  /** All fees so far, in the asset that the order receives. */
  readonly feeMinor: MinorString
  readonly status: OrderStatus
  readonly reason?: MachineCode
  /** In what the account slots say of an order that came through a broker. */
  readonly origin?: Origin
  /** When the gateway (or ingest) took it. */
  readonly createdAtUs: TimeUs
  /** The time of the market's log; 0 while the engine has not spoken. */
  readonly receivedAtUs: TimeUs
  readonly updatedAtUs: TimeUs
}
