import { ArrayBook } from './array-book.ts'
import type { SnapshotRejectCode } from './snapshot.ts'

export const Side = { buy: 0, sell: 1 } as const
export type Side = (typeof Side)[keyof typeof Side]

export const PRICE_TICKS_MAX = 2 ** 31 - 1
export const AMOUNT_LOTS_MAX = Number.MAX_SAFE_INTEGER

/** Why a call was refused and changed nothing; highest precedence first. */
export type BookRejectCode =
  | 'order_id_invalid' // not a whole number 1..2^53−1
  | 'side_invalid' // neither Side.buy nor Side.sell
  | 'order_id_known' // an order of this id rests
  | 'order_not_found' // no order of this id rests
  | 'price_out_of_range' // the limit or worst price is not a whole number 1..2^31−1
  | 'amount_out_of_range' // not a whole number 1..2^53−1
  | 'quote_out_of_range' // not a whole number 1..2^53−1
  | 'amount_not_above_executed' // an amendment's total must leave something to trade
  | 'book_full' // as many orders rest as may

/** Why an order is gone, or its remainder, other than by a cancellation. */
export const EndReason = {
  /** Nothing is left of it. */
  filled: 0,
  /** The other side is empty. Market orders only. */
  noLiquidity: 1,
  /** The other side's best price is beyond the worst price. Market orders only. */
  worstPrice: 2,
  /** The command has used up its fills, and one more was possible. */
  fillsLimit: 3,
  /** What is left of the quote is below the price of one lot. Market orders by quote only. */
  lessThanOneLot: 4,
} as const
export type EndReason = (typeof EndReason)[keyof typeof EndReason]

/**
 * Receives what happened, during the call that causes it and in order. A slot passed here is still valid during the
 * call, for `orderIdAt` and its like. A sink must not throw, nor change the book; other reads are exact only after the
 * command has returned.
 */
export interface BookSink {
  /** One fill, at the maker's price. With `makerRemainingLots` 0 the maker is gone afterwards. */
  traded(
    makerId: number,
    makerSlot: number,
    takerId: number,
    priceTicks: number,
    lots: number,
    makerRemainingLots: number,
  ): void
  /** A new order, or one that an amendment has moved, now rests (with what its fills have left), last in its queue. */
  rested(orderId: number, slot: number, remainingLots: number): void
  /** An amendment has taken lots away and kept the order's place. */
  reduced(orderId: number, slot: number, remainingLots: number): void
  /** As requested. */
  cancelled(orderId: number, slot: number, remainingLots: number): void
  /**
   * An order is gone after its fills: the taker of a call that does not end with `rested`. `slot` is −1 unless an amendment
   * took it out of the book. `remaining` is what ended with it: tick × lots of an order by quote, else lots.
   */
  ended(orderId: number, slot: number, remaining: number, reason: EndReason): void
}

/**
 * Price-time priority. Commands never throw and either return 'accepted', with at least one event, or a code, with none
 * and the book unchanged. Arguments may be of any type.
 */
export interface Book {
  placeLimit(orderId: number, side: Side, priceTicks: number, amountLots: number): 'accepted' | BookRejectCode
  /** Never trades beyond the worst price. Never rests. */
  placeMarket(orderId: number, side: Side, amountLots: number, worstPriceTicks: number): 'accepted' | BookRejectCode
  /** Spends (receives, for a sell) at most this many tick × lots, in whole lots. Never rests. */
  placeMarketByQuote(
    orderId: number,
    side: Side,
    quoteTickLots: number,
    worstPriceTicks: number,
  ): 'accepted' | BookRejectCode
  cancel(orderId: number): 'accepted' | BookRejectCode
  /**
   * `amountLots` is the new total, executed part included. Less at the same price keeps the place in the queue; anything
   * else, no change included, loses it, and what crosses matches at once. The slot stays the same.
   */
  amend(orderId: number, priceTicks: number, amountLots: number): 'accepted' | BookRejectCode

  readonly ordersCount: number
  has(orderId: number): boolean
  /** A small dense whole number, the same as long as the order rests; −1 if it does not. */
  slotOf(orderId: number): number
  /** Slots are below this. It grows by doubling; never shrinks. */
  readonly slotsCapacity: number
  /** 0 if nothing rests there, and so are the other reads by slot. */
  orderIdAt(slot: number): number
  sideAt(slot: number): Side
  priceTicksAt(slot: number): number
  remainingLotsAt(slot: number): number
  /** Executed part included. */
  totalLotsAt(slot: number): number

  /** 0 if there is none. */
  bestBid(): number
  bestAsk(): number
  /**
   * Best price first. A level holds `lotsCarry` × 2^53 + `lots`; `lotsCarry` is 0 unless orders of astronomic amounts meet.
   * Returns the number of levels visited.
   */
  depth(
    side: Side,
    levelsMax: number,
    visit: (priceTicks: number, lots: number, ordersCount: number, lotsCarry: number) => void,
  ): number
  /** What rests at one price on this side, 0 if nothing does; modulo 2^53, as in `depth`. */
  lotsAtPrice(side: Side, priceTicks: number): number
  /** Bids, then asks; best price first, then first come. */
  forEachOrder(
    visit: (
      orderId: number,
      slot: number,
      side: Side,
      priceTicks: number,
      remainingLots: number,
      totalLots: number,
    ) => void,
  ): void

  /** 16 hex digits, of what rests and in which order; not of slots or any other layout. */
  stateHash(): string
  /** The whole state, slots included: a book that restores it goes on exactly like this one. */
  snapshot(): Uint8Array
  /** Replaces the state. Refused and unchanged unless the snapshot is sound. */
  restore(snapshot: Uint8Array): 'accepted' | SnapshotRejectCode
}

export interface BookOptions {
  readonly sink: BookSink
  /** 1..2^31−1, 10 000 by default. Part of the rules: replicas must agree. */
  readonly fillsPerCommandMax?: number
  /** 1..2^26, 2^24 by default. Part of the rules: replicas must agree. */
  readonly ordersMax?: number
}

/**
 * One book that stays. While no book lives, V8 forgets the shape of books and with it all that it has learnt about their
 * code; the next book then runs at a third of the speed for millions of commands.
 */
const kept: Book[] = []

/** Throws only on options outside their range. An empty book takes less than 2 KB. */
export function createBook(options: BookOptions): Book {
  const { sink, fillsPerCommandMax = 10_000, ordersMax = 2 ** 24 } = options
  if (!isWithin(fillsPerCommandMax, 2 ** 31 - 1)) throw new RangeError('fillsPerCommandMax is not within 1..2^31-1')
  if (!isWithin(ordersMax, 2 ** 26)) throw new RangeError('ordersMax is not within 1..2^26')
  if (kept.length === 0) kept.push(new ArrayBook(silentSink, 1, 1))
  return new ArrayBook(sink, fillsPerCommandMax, ordersMax)
}

const silentSink: BookSink = { traded() {}, rested() {}, reduced() {}, cancelled() {}, ended() {} }

function isWithin(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= max
}
