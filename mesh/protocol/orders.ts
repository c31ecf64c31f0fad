import type { Fill, MinorString, OrderState, OrderStatus, Side, TimeUs } from './common.ts'

/**
 * A point in a member's account slot that an answer must not be older than: everything up to and with the message of this
 * sequence is written, else the query waits (2 s at most) and fails with `projection_behind`.
 */
export interface Barrier {
  readonly slot: number
  readonly sequence: number
}

/** Bounds of a listing. Newest first; pass the last page's `cursor` on to get the next, with the same filters. */
interface Page {
  /** 1..500. */
  readonly limit: number
  readonly cursor?: string
}

/** From this time on (inclusive) and before that one (exclusive); of an order its `createdAt`. */
interface Period {
  readonly fromUs?: TimeUs
  readonly toUs?: TimeUs
}

/**
 * What `rpc.orders.query` answers from MySQL. Codes: `projection_behind`, `query_invalid`, `cursor_invalid`,
 * `database_unavailable`.
 */
export type OrdersQuery =
  /** By its id, or the newest with this clientOrderId. */
  | {
      readonly query: 'order'
      readonly memberId: number
      readonly orderId?: number
      readonly clientOrderId?: string
      readonly barrier?: Barrier
    }
  | ({
      readonly query: 'orders'
      readonly memberId: number
      readonly instrument?: string
      /** Any of these; absent or empty: all. */
      readonly statuses?: readonly OrderStatus[]
      readonly side?: Side
      readonly barrier?: Barrier
    } & Period &
      Page)
  /** The member's executions. */
  | ({
      readonly query: 'trades'
      readonly memberId: number
      readonly instrument?: string
      readonly orderId?: number
      readonly barrier?: Barrier
    } & Period &
      Page)
  | ({
      readonly query: 'ledger'
      readonly memberId: number
      readonly asset?: string
      readonly barrier?: Barrier
    } & Period &
      Page)
  /** A member's balances as MySQL has them, for admins; a member's own come from the slot's owner. */
  | { readonly query: 'balances'; readonly memberId: number; readonly barrier?: Barrier }
  /** Per asset and market, over all slots, as far as each is written. */
  | { readonly query: 'totals'; readonly barriers?: readonly Barrier[] }

/** An order as MySQL has it. `sequence` is the position of its last change in the member's slot. */
export interface StoredOrder {
  readonly order: OrderState
  readonly sequence: number
}

export interface StoredTrade extends Fill {
  readonly orderId: number
  readonly instrument: string
  readonly side: Side
  readonly timeUs: TimeUs
}

/** What changed a balance: a trade, or money that came, went or moved. Reservations are no ledger entries. */
export type LedgerCause = 'trade' | 'deposit' | 'withdrawal' | 'transfer_out' | 'transfer_in' | 'transfer_returned'

export interface LedgerEntry {
  /** `<stream sequence>-<item>-<event>`; with the asset it names the entry. */
  readonly position: string
  readonly asset: string
  readonly cause: LedgerCause
  /** Change of available + held, after the fee. */
  readonly deltaMinor: MinorString
  readonly feeMinor: MinorString
  readonly availableMinor: MinorString
  readonly heldMinor: MinorString
  /** Of a trade. */
  readonly orderId?: number
  /** Of a deposit, withdrawal or transfer. */
  readonly reference?: string
  readonly timeUs: TimeUs
}

export interface StoredBalance {
  readonly asset: string
  readonly availableMinor: MinorString
  readonly heldMinor: MinorString
}

/** `cursor` is there when there may be more; a page can be short of its limit, or empty, and still have one. */
export type OrdersQueryResult =
  | { readonly query: 'order'; readonly found?: StoredOrder & { readonly fills: readonly Fill[] } }
  | { readonly query: 'orders'; readonly orders: readonly StoredOrder[]; readonly cursor?: string }
  | { readonly query: 'trades'; readonly trades: readonly StoredTrade[]; readonly cursor?: string }
  | { readonly query: 'ledger'; readonly entries: readonly LedgerEntry[]; readonly cursor?: string }
  | { readonly query: 'balances'; readonly balances: readonly StoredBalance[] }
  | {
      readonly query: 'totals'
      readonly assets: readonly {
        readonly asset: string
        /** What all members have, held included. */
        readonly balancesMinor: MinorString
        readonly depositsMinor: MinorString
        readonly withdrawalsMinor: MinorString
        readonly feesMinor: MinorString
      }[]
      readonly markets: readonly {
        readonly instrument: string
        readonly ordersCount: number
        readonly rejectedCount: number
        /** Executions as each side has them: two for every trade. */
        readonly fillsCount: number
        /** Lots and quote of trades, each trade once. */
        readonly executedLots: string
        readonly executedQuoteMinor: MinorString
      }[]
    }

/** The result that goes with a query. */
export type ResultOf<Query extends OrdersQuery> = Extract<OrdersQueryResult, { query: Query['query'] }>
