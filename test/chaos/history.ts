/** What one member sent and was told, in the order in which he heard it. Money, prices and amounts in units of 10^-8. */
export interface MemberHistory {
  readonly memberId: number
  readonly orders: OrderHistory[]
  readonly cancelAlls: CancelAll[]
  readonly listings: Listing[]
}

/**
 * `told`: the exchange has said what became of it. `refused`: it has said that nothing was done. `unknown`: neither, whatever
 * the reason: no answer, a gateway's 504, a connection that broke.
 */
export type Outcome = 'told' | 'refused' | 'unknown'

/** One order of a member, under his own id for it. */
export interface OrderHistory {
  readonly clientOrderId: string
  readonly instrument: string
  readonly side: 'buy' | 'sell'
  readonly type: 'limit' | 'market'
  readonly price: number
  readonly amount: number
  /** One for each time that it was sent. */
  readonly attempts: Outcome[]
  readonly told: Told[]
  readonly cancels: { readonly outcome: Outcome; readonly code: string }[]
  /** How often a read after an answer said that there is no such order. */
  missed: number
  readonly amendments: { readonly price: number; readonly amount: number; readonly outcome: Outcome }[]
}

/** An order as an answer showed it. */
export interface Told {
  /** Counts what this member heard, so that answers of different kinds have an order. */
  readonly step: number
  /** `done`: the answer to the first sending, to a cancel or to an amendment. `seen`: the answer to a repeat or to a read. */
  readonly how: 'done' | 'seen'
  readonly orderId: string
  readonly sequence: number
  readonly status: string
  readonly price: number
  readonly amount: number
  readonly executed: number
  readonly fills: readonly ToldFill[]
}

export interface ToldFill {
  readonly tradeId: string
  readonly price: number
  readonly amount: number
  readonly fee: number
}

export interface CancelAll {
  readonly outcome: Outcome
  readonly cancelled: readonly string[]
  /** Asked of the market, and not answered in time. */
  readonly pending: readonly string[]
}

/** The member's open orders (`open`: from memory) or his newest ones (`newest`: from MySQL), as he was shown them. */
export interface Listing {
  readonly step: number
  readonly what: 'open' | 'newest'
  /** There may be more: the page was full. The newest one is on it all the same. */
  readonly full: boolean
  readonly orderIds: ReadonlySet<string>
}

/** A deposit, or a transfer between two members, under a reference of its own. */
export interface Funding {
  readonly reference: string
  readonly memberId: number
  readonly toMemberId?: number
  readonly asset: string
  readonly amount: bigint
  outcome: Outcome
}

export const isOpenStatus = (status: string): boolean => status === 'new' || status === 'partially_filled'
