import type { AskedBy } from './accounts.ts'
import type { MachineCode, MarketStatus, MinorString, OrderType, Side, TimeUs } from './common.ts'
import type { MarketDefinition } from './definitions.ts'

interface ForOrder {
  readonly commandId: number
  readonly replyTo: string
  readonly orderId: number
  readonly memberId: number
  readonly instrument: string
  readonly trace?: string
}

/** Everything in the MARKETS log. Order commands come from account slots (their number is the source's name), never from the edge. */
export type MarketItem =
  | (ForOrder & {
      readonly type: 'EnterOrder'
      readonly clientOrderId?: string
      readonly side: Side
      readonly orderType: OrderType
      readonly priceTicks: number
      readonly amountLots: number
      readonly quoteTickLots?: number
      /** Reserved for it: quote for a buy, base for a sell. */
      readonly holdMinor: MinorString
      readonly makerFeePpm: number
      readonly takerFeePpm: number
      readonly createdAtUs: TimeUs
    })
  | (ForOrder & AskedBy & { readonly type: 'CancelEntered' })
  | (ForOrder &
      AskedBy & {
        readonly type: 'AmendEntered'
        readonly priceTicks?: number
        readonly amountLots?: number
        /** Reserved for it on top of what the order holds. */
        readonly addedHoldMinor: MinorString
      })
  | {
      readonly type: 'OpenMarket'
      readonly market: MarketDefinition
      readonly commandId: number
      readonly replyTo: string
    }
  | {
      readonly type: 'ChangeMarketStatus'
      readonly instrument: string
      readonly status: MarketStatus
      readonly commandId: number
      readonly replyTo: string
    }

/** What an engine slot says to the public. */
export type MarketEvent =
  | { readonly type: 'MarketOpened'; readonly instrument: string }
  | { readonly type: 'MarketStatusChanged'; readonly instrument: string; readonly status: MarketStatus }
  | {
      readonly type: 'Traded'
      readonly instrument: string
      readonly tradeId: number
      readonly priceTicks: number
      readonly lots: number
      readonly takerSide: Side
      readonly timeUs: TimeUs
    }
  /** Levels that one command changed: what rests there now, 0 for none. `sequence` counts the book's changes from 1. */
  | {
      readonly type: 'BookChanged'
      readonly instrument: string
      readonly sequence: number
      readonly bids: readonly (readonly [priceTicks: number, lots: number])[]
      readonly asks: readonly (readonly [priceTicks: number, lots: number])[]
    }
  | { readonly type: 'CommandIgnored'; readonly commandId: number; readonly code: MachineCode }

/** Reads that the slot's owner answers from memory (no barrier: what it has applied). */
export type MarketRead =
  | { readonly read: 'orderbook'; readonly instrument: string; readonly levelsMax: number }
  | { readonly read: 'trades'; readonly instrument: string; readonly tradesMax: number }
  /** Best prices of all markets of the slot. */
  | { readonly read: 'bests' }
  | { readonly read: 'totals' }

export type MarketReadResult =
  | {
      readonly read: 'orderbook'
      readonly instrument: string
      readonly status: MarketStatus
      readonly sequence: number
      readonly timeUs: TimeUs
      readonly bids: readonly (readonly [priceTicks: number, lots: number])[]
      readonly asks: readonly (readonly [priceTicks: number, lots: number])[]
    }
  | {
      readonly read: 'trades'
      readonly instrument: string
      /** Newest first. */
      readonly trades: readonly {
        readonly tradeId: number
        readonly priceTicks: number
        readonly lots: number
        readonly takerSide: Side
        readonly timeUs: TimeUs
      }[]
    }
  | {
      readonly read: 'bests'
      readonly markets: readonly {
        readonly instrument: string
        readonly bestBidTicks: number
        readonly bestAskTicks: number
      }[]
    }
  | {
      readonly read: 'totals'
      readonly markets: readonly {
        readonly instrument: string
        readonly ordersCount: number
        /** What rests: held quote of all bids and held base of all asks, in minor units. */
        readonly bidsHeldMinor: MinorString
        readonly asksHeldMinor: MinorString
        readonly tradesCount: number
      }[]
    }
