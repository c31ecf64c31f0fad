import type {
  Fill,
  MachineCode,
  MinorString,
  OrderState,
  OrderStatus,
  OrderType,
  Origin,
  Side,
  TimeUs,
} from './common.ts'
import type { AssetDefinition, MarketDefinition } from './definitions.ts'

interface FromEdge {
  /** A guid; for `PlaceOrder` it is the order's id. */
  readonly commandId: number
  /** Instance that waits for the reply; empty where nobody does. */
  readonly replyTo: string
  readonly memberId: number
  /** When the sender says it sent it; only from sources that may replay (RabbitMQ, Kafka). */
  readonly sentAtUs?: TimeUs
  /** Nobody waits for its result; it is told in the frames, for the feed of this broker. */
  readonly origin?: Origin
  /** Of logs of older versions, which replay with it; traces travel beside the items now (mesh/telemetry). */
  readonly trace?: string
}

/** An order named by its id, or by the member's own. */
interface OrderReference {
  readonly orderId?: number
  readonly clientOrderId?: string
}

/** The sender's own id of a cancel or an amendment: a repeat with the same is not carried out again. */
interface Identified {
  readonly requestId?: string
}

export interface PlaceOrder extends FromEdge {
  readonly type: 'PlaceOrder'
  readonly clientOrderId?: string
  /** Hash (53 bits) of the order as the client sent it, before anything was filled in. */
  readonly contentHash: number
  readonly instrument: string
  readonly side: Side
  readonly orderType: OrderType
  /** The limit, or a market order's worst price; 1..2^31−1. */
  readonly priceTicks: number
  /** 1..2^53−1; for a market order by quote total: 0 for a buy, the bound ⌊quoteTickLots / priceTicks⌋ for a sell. */
  readonly amountLots: number
  /** Market order by quote total: at most this much, in tick × lot. */
  readonly quoteTickLots?: number
  readonly createdAtUs: TimeUs
}

export interface CancelOrder extends FromEdge, OrderReference, Identified {
  readonly type: 'CancelOrder'
}

export interface AmendOrder extends FromEdge, OrderReference, Identified {
  readonly type: 'AmendOrder'
  /** The market in whose ticks and lots the change is counted; an order of another is `order_not_found`. */
  readonly instrument?: string
  /** New price, or absent to keep it. */
  readonly priceTicks?: number
  /** New total, executed part included, or absent to keep it. */
  readonly amountLots?: number
}

/** Cancels what is open of a member, by instrument and side where given. Forwards one cancel per order. */
export interface CancelOrders extends FromEdge {
  readonly type: 'CancelOrders'
  readonly instrument?: string
  readonly side?: Side
}

/** Read before the order: spends the id (`not_accepted`). Read after it: the reply is what became of it. */
export interface VoidOrder extends FromEdge {
  readonly type: 'VoidOrder'
  readonly orderId: number
}

/** Idempotent. */
export interface CreateAccount extends FromEdge {
  readonly type: 'CreateAccount'
}

export interface SetAccountStatus extends FromEdge {
  readonly type: 'SetAccountStatus'
  readonly status: AccountStatus
}
export type AccountStatus = 'active' | 'blocked' | 'closed'

/**
 * What the member is let off of the fees of orders that come after it, in parts per million of them. Idempotent; one for an earlier
 * day (since 1970) than the slot has seen changes nothing.
 */
export interface SetFeeDiscount extends FromEdge {
  readonly type: 'SetFeeDiscount'
  readonly day: number
  readonly discountPpm: number
}

/** A repeat with the same content gives the same reply, for good. */
export interface Deposit extends FromEdge {
  readonly type: 'Deposit'
  readonly reference: string
  readonly asset: string
  readonly amountMinor: MinorString
}
export interface Withdraw extends FromEdge {
  readonly type: 'Withdraw'
  readonly reference: string
  readonly asset: string
  readonly amountMinor: MinorString
}
/** `memberId` gives; the command goes to the giver's slot. */
export interface Transfer extends FromEdge {
  readonly type: 'Transfer'
  readonly reference: string
  readonly toMemberId: number
  readonly asset: string
  readonly amountMinor: MinorString
}

/** What the edge may append to `accounts.<slot>.cmd`. */
export type AccountEdgeCommand =
  | PlaceOrder
  | CancelOrder
  | AmendOrder
  | CancelOrders
  | VoidOrder
  | CreateAccount
  | SetAccountStatus
  | SetFeeDiscount
  | Deposit
  | Withdraw
  | Transfer

/** Whose answer a cancel's or an amendment's outcome is, where it came through a broker; goes along to the market and back. */
export interface AskedBy extends Identified {
  readonly origin?: Origin
}

/** From an engine slot: what one command did to one order of this slot, its own or one that it met. Deltas, not states. */
export interface OrderOutcome extends AskedBy {
  readonly type: 'OrderOutcome'
  readonly cause: 'placed' | 'matched' | 'cancelled' | 'amended'
  readonly commandId: number
  readonly orderId: number
  readonly memberId: number
  readonly status: OrderStatus
  readonly reason?: MachineCode
  readonly fills: readonly Fill[]
  /** Of the held asset (quote for a buy, base for a sell): spent by the fills. */
  readonly consumedMinor: MinorString
  /** Of the held asset: no longer needed, available again. */
  readonly releasedMinor: MinorString
  /** As they are now. */
  readonly priceTicks: number
  readonly amountLots: number
  readonly executedLots: number
  /** The time of the market's log. */
  readonly timeUs: TimeUs
}

/** From an engine slot: a cancel or an amendment that changed nothing. For an amendment, what was reserved for it is free again. */
export interface OrderCommandRefused extends AskedBy {
  readonly type: 'OrderCommandRefused'
  readonly cause: 'cancelled' | 'amended'
  readonly commandId: number
  readonly orderId: number
  readonly memberId: number
  readonly code: MachineCode
  readonly releasedMinor: MinorString
}

/** From the definitions slot. */
export type AccountDefinition =
  | { readonly type: 'AssetKnown'; readonly asset: AssetDefinition }
  | { readonly type: 'MarketKnown'; readonly market: MarketDefinition }

/** Between account slots. A refused credit comes back as an item of its own. */
export interface CreditTransfer {
  readonly type: 'CreditTransfer'
  readonly commandId: number
  readonly replyTo: string
  readonly reference: string
  readonly fromMemberId: number
  readonly toMemberId: number
  readonly asset: string
  readonly amountMinor: MinorString
  /** From a repeat of a transfer that is under way: nothing is credited, the answer follows that of the first. */
  readonly repeated?: true
}
export interface TransferSettled {
  readonly type: 'TransferSettled'
  readonly commandId: number
  readonly replyTo: string
  readonly reference: string
  readonly fromMemberId: number
  readonly asset: string
  readonly amountMinor: MinorString
  readonly repeated?: true
  /** Absent: credited. Present: refused, the money goes back. */
  readonly code?: MachineCode
}

export type LedgerCommand = Deposit | Withdraw | Transfer

/** From the member's slot to the slot that keeps the reference: it is good for one command in the whole exchange. */
export interface ClaimReference {
  readonly type: 'ClaimReference'
  readonly command: LedgerCommand
}
/** And back. */
export interface ReferenceClaimed {
  readonly type: 'ReferenceClaimed'
  readonly command: LedgerCommand
  /** Present: the reference is another command's. */
  readonly code?: 'reference_conflict'
}

/** Everything in the ACCOUNTS log. */
export type AccountItem =
  | AccountEdgeCommand
  | OrderOutcome
  | OrderCommandRefused
  | AccountDefinition
  | CreditTransfer
  | TransferSettled
  | ClaimReference
  | ReferenceClaimed

/** A balance as it is after an event: [asset, available, held]. */
export type BalanceAfter = readonly [asset: string, availableMinor: MinorString, heldMinor: MinorString]

/**
 * What a member's slot says. Everything that a member sees comes from these.
 * `balances` are those of the member that the event touched, as they are after it.
 */
export type AccountEvent =
  | { readonly type: 'AccountCreated'; readonly memberId: number }
  | { readonly type: 'AccountStatusChanged'; readonly memberId: number; readonly status: AccountStatus }
  | {
      readonly type: 'FeeDiscountChanged'
      readonly memberId: number
      readonly day: number
      readonly discountPpm: number
    }
  /** Reserved and on its way to the engine: status `new`. */
  | { readonly type: 'OrderPlaced'; readonly order: OrderState; readonly balances: readonly BalanceAfter[] }
  /** Refused by this slot: a row with status `rejected`. */
  | { readonly type: 'OrderRejected'; readonly order: OrderState }
  /** The engine's outcome, booked. `order` is the whole order as it is now. */
  | ({
      readonly type: 'OrderChanged'
      readonly cause: 'placed' | 'matched' | 'cancelled' | 'amended'
      readonly commandId: number
      readonly order: OrderState
      readonly fills: readonly Fill[]
      readonly balances: readonly BalanceAfter[]
    } & AskedBy)
  | {
      readonly type: 'OrderAmendForwarded'
      readonly memberId: number
      readonly orderId: number
      readonly balances: readonly BalanceAfter[]
    }
  /** A cancel or an amendment that changed nothing. */
  | ({
      readonly type: 'OrderCommandRefused'
      readonly cause: 'cancelled' | 'amended'
      readonly memberId: number
      readonly orderId: number
      readonly commandId: number
      readonly code: MachineCode
      readonly balances: readonly BalanceAfter[]
    } & AskedBy)
  /**
   * Of a command that came through a broker, where no other event tells what came of it: it was refused here (`code`), or it
   * repeats one that was carried out (none).
   */
  | {
      readonly type: 'RequestAnswered'
      readonly origin: Origin
      readonly cause: 'placed' | 'cancelled' | 'amended'
      /** The clientOrderId of a new order, the sender's id of a cancel or an amendment. */
      readonly requestId: string
      readonly memberId: number
      readonly commandId: number
      /** The order that it is about, 0 where that is not known. */
      readonly orderId: number
      readonly code?: MachineCode
    }
  | { readonly type: 'OrderVoided'; readonly memberId: number; readonly orderId: number }
  /** Money that came, went or moved for another cause than a trade; `amountMinor` is signed. */
  | {
      readonly type: 'BalanceChanged'
      readonly memberId: number
      readonly cause: 'deposit' | 'withdrawal' | 'transfer_out' | 'transfer_in' | 'transfer_returned'
      readonly reference: string
      readonly asset: string
      readonly amountMinor: MinorString
      readonly balances: readonly BalanceAfter[]
    }
  | {
      readonly type: 'LedgerCommandRefused'
      readonly memberId: number
      readonly commandId: number
      readonly reference: string
      readonly code: MachineCode
    }

/** Reads that the slot's owner answers from memory, behind the barrier. */
export type AccountRead =
  | { readonly read: 'balances'; readonly memberId: number }
  | { readonly read: 'order'; readonly memberId: number; readonly orderId?: number; readonly clientOrderId?: string }
  | { readonly read: 'openOrders'; readonly memberId: number; readonly instrument?: string; readonly side?: Side }
  /** Sums over the slot: members' balances, fee account and clearing accounts, per asset. Admin only. */
  | { readonly read: 'totals' }

export interface OrderWithFills {
  readonly order: OrderState
  readonly fills: readonly Fill[]
  /** Position of its last change in the member's slot: `<stream sequence>-<item>-<event>`. */
  readonly position: string
}

export type AccountReadResult =
  | {
      readonly read: 'balances'
      readonly status: AccountStatus | 'unknown'
      readonly balances: readonly BalanceAfter[]
    }
  /** `known` without `found`: the id was given to this member's order, which closed longer than five minutes ago (see MySQL). */
  | { readonly read: 'order'; readonly found?: OrderWithFills; readonly knownOrderId?: number }
  | { readonly read: 'openOrders'; readonly orders: readonly OrderWithFills[] }
  | {
      readonly read: 'totals'
      readonly slot: number
      readonly totals: readonly {
        readonly asset: string
        readonly availableMinor: MinorString
        readonly heldMinor: MinorString
        readonly feesMinor: MinorString
        readonly clearing: readonly { readonly account: string; readonly balanceMinor: MinorString }[]
        /** Deposits minus withdrawals. */
        readonly depositedMinor: MinorString
      }[]
    }
