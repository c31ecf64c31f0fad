import { hashOfId, IdTable } from './id-table.ts'
import { COUNT, HEAD, LEVEL_INTS, Levels, PRICE, SIDE, TAIL } from './levels.ts'
import { HASH, ID, LEVEL, NEXT, NONE, ORDER_FLOATS, ORDER_INTS, Orders, PREVIOUS, REMAINING } from './orders.ts'
import { readSnapshot, type Snapshot, type SnapshotRejectCode, SnapshotWriter } from './snapshot.ts'
import { StateHash } from './state-hash.ts'

export const Side = { buy: 0, sell: 1 } as const
export type Side = (typeof Side)[keyof typeof Side]

export const ORDER_ID_MAX = Number.MAX_SAFE_INTEGER
export const PRICE_TICKS_MAX = 2 ** 31 - 1
export const AMOUNT_LOTS_MAX = Number.MAX_SAFE_INTEGER
export const QUOTE_TICK_LOTS_MAX = Number.MAX_SAFE_INTEGER

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

/** Throws only on options outside their range. An empty book takes less than 2 KB. */
export function createBook(options: BookOptions): Book {
  const { sink, fillsPerCommandMax = 10_000, ordersMax = 2 ** 24 } = options
  if (!isWhole(fillsPerCommandMax, 2 ** 31 - 1)) throw new RangeError('fillsPerCommandMax is not within 1..2^31-1')
  if (!isWhole(ordersMax, 2 ** 26)) throw new RangeError('ordersMax is not within 1..2^26')
  return new ArrayBook(sink, fillsPerCommandMax, ordersMax)
}

/**
 * Reads of typed arrays are cast to number: every index comes from a slot or level in use, which lies inside.
 * Typed arrays are replaced when they grow: those of the orders by `take`, those of the levels by `open`.
 */
class ArrayBook implements Book {
  readonly #sink: BookSink
  readonly #fillsMax: number
  readonly #ordersMax: number
  #orders = new Orders()
  #levels = new Levels()
  #ids = new IdTable()
  #bidLevel: number = NONE
  #askLevel: number = NONE
  /** 0 for none. */
  #bidTicks = 0
  #askTicks = 0
  /** Of the command under way. */
  #fills = 0
  #endReason: EndReason = EndReason.filled

  constructor(sink: BookSink, fillsMax: number, ordersMax: number) {
    this.#sink = sink
    this.#fillsMax = fillsMax
    this.#ordersMax = ordersMax
  }

  placeLimit(orderId: number, side: Side, priceTicks: number, amountLots: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId, ORDER_ID_MAX)) return 'order_id_invalid'
    if (side !== Side.buy && side !== Side.sell) return 'side_invalid'
    const hash = hashOfId(orderId)
    if (this.#ids.find(orderId, hash, this.#orders.floats) !== NONE) return 'order_id_known'
    if (!isWhole(priceTicks, PRICE_TICKS_MAX)) return 'price_out_of_range'
    if (!isWhole(amountLots, AMOUNT_LOTS_MAX)) return 'amount_out_of_range'
    if (this.#orders.count >= this.#ordersMax) return 'book_full'
    let remaining = amountLots
    if (this.#crosses(side, priceTicks)) {
      remaining = this.#match(orderId, side, priceTicks, amountLots)
      if (remaining === 0 || this.#endReason === EndReason.fillsLimit) {
        this.#sink.ended(orderId, NONE, remaining, this.#endReason)
        return 'accepted'
      }
    }
    const orders = this.#orders
    const slot = orders.take()
    orders.floats[slot * ORDER_FLOATS + ID] = orderId
    orders.ints[slot * ORDER_INTS + HASH] = hash
    orders.totals[slot] = amountLots
    this.#ids.add(hash, slot)
    this.#append(slot, side, priceTicks, remaining)
    this.#sink.rested(orderId, slot, remaining)
    return 'accepted'
  }

  placeMarket(orderId: number, side: Side, amountLots: number, worstPriceTicks: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId, ORDER_ID_MAX)) return 'order_id_invalid'
    if (side !== Side.buy && side !== Side.sell) return 'side_invalid'
    if (this.has(orderId)) return 'order_id_known'
    if (!isWhole(worstPriceTicks, PRICE_TICKS_MAX)) return 'price_out_of_range'
    if (!isWhole(amountLots, AMOUNT_LOTS_MAX)) return 'amount_out_of_range'
    const remaining = this.#match(orderId, side, worstPriceTicks, amountLots)
    this.#sink.ended(orderId, NONE, remaining, this.#endReason)
    return 'accepted'
  }

  placeMarketByQuote(
    orderId: number,
    side: Side,
    quoteTickLots: number,
    worstPriceTicks: number,
  ): 'accepted' | BookRejectCode {
    if (!isWhole(orderId, ORDER_ID_MAX)) return 'order_id_invalid'
    if (side !== Side.buy && side !== Side.sell) return 'side_invalid'
    if (this.has(orderId)) return 'order_id_known'
    if (!isWhole(worstPriceTicks, PRICE_TICKS_MAX)) return 'price_out_of_range'
    if (!isWhole(quoteTickLots, QUOTE_TICK_LOTS_MAX)) return 'quote_out_of_range'
    const remaining = this.#matchQuote(orderId, side, worstPriceTicks, quoteTickLots)
    this.#sink.ended(orderId, NONE, remaining, this.#endReason)
    return 'accepted'
  }

  cancel(orderId: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId, ORDER_ID_MAX)) return 'order_id_invalid'
    const orders = this.#orders
    const ids = this.#ids
    const entry = ids.find(orderId, hashOfId(orderId), orders.floats)
    if (entry === NONE) return 'order_not_found'
    const slot = ids.slotAt(entry)
    this.#sink.cancelled(orderId, slot, orders.floats[slot * ORDER_FLOATS + REMAINING] as number)
    ids.removeAt(entry)
    this.#unlink(slot)
    orders.release(slot)
    return 'accepted'
  }

  amend(orderId: number, priceTicks: number, amountLots: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId, ORDER_ID_MAX)) return 'order_id_invalid'
    const orders = this.#orders
    const slot = this.slotOf(orderId)
    if (slot === NONE) return 'order_not_found'
    if (!isWhole(priceTicks, PRICE_TICKS_MAX)) return 'price_out_of_range'
    if (!isWhole(amountLots, AMOUNT_LOTS_MAX)) return 'amount_out_of_range'
    const totalLots = orders.totals[slot] as number
    const restingLots = orders.floats[slot * ORDER_FLOATS + REMAINING] as number
    const executedLots = totalLots - restingLots
    if (amountLots <= executedLots) return 'amount_not_above_executed'
    orders.totals[slot] = amountLots
    const level = orders.ints[slot * ORDER_INTS + LEVEL] as number
    const levelAt = level * LEVEL_INTS
    if (priceTicks === this.#levels.ints[levelAt + PRICE] && amountLots < totalLots) {
      const remaining = amountLots - executedLots
      orders.floats[slot * ORDER_FLOATS + REMAINING] = remaining
      this.#levels.subtractLots(level, totalLots - amountLots)
      this.#sink.reduced(orderId, slot, remaining)
      return 'accepted'
    }
    const side = this.#levels.ints[levelAt + SIDE] as Side
    this.#unlink(slot)
    this.#enterAgain(orderId, slot, side, priceTicks, amountLots - executedLots)
    return 'accepted'
  }

  get ordersCount(): number {
    return this.#orders.count
  }

  has(orderId: number): boolean {
    return this.slotOf(orderId) !== NONE
  }

  slotOf(orderId: number): number {
    if (!isWhole(orderId, ORDER_ID_MAX)) return NONE
    const entry = this.#ids.find(orderId, hashOfId(orderId), this.#orders.floats)
    return entry === NONE ? NONE : this.#ids.slotAt(entry)
  }

  get slotsCapacity(): number {
    return this.#orders.totals.length
  }

  orderIdAt(slot: number): number {
    return this.#isUsed(slot) ? (this.#orders.floats[slot * ORDER_FLOATS + ID] as number) : 0
  }

  sideAt(slot: number): Side {
    return this.#levelNumber(slot, SIDE) as Side
  }

  priceTicksAt(slot: number): number {
    return this.#levelNumber(slot, PRICE)
  }

  remainingLotsAt(slot: number): number {
    return this.#isUsed(slot) ? (this.#orders.floats[slot * ORDER_FLOATS + REMAINING] as number) : 0
  }

  totalLotsAt(slot: number): number {
    return this.#isUsed(slot) ? (this.#orders.totals[slot] as number) : 0
  }

  bestBid(): number {
    return this.#bidTicks
  }

  bestAsk(): number {
    return this.#askTicks
  }

  depth(
    side: Side,
    levelsMax: number,
    visit: (priceTicks: number, lots: number, ordersCount: number, lotsCarry: number) => void,
  ): number {
    if (side !== Side.buy && side !== Side.sell) return 0
    if (typeof levelsMax !== 'number') return 0
    const levels = this.#levels
    let priceTicks = side === Side.buy ? this.#bidTicks : this.#askTicks
    let visited = 0
    while (priceTicks !== 0 && visited < levelsMax) {
      const level = levels.at(priceTicks)
      visit(priceTicks, levels.lotsOf(level), levels.ints[level * LEVEL_INTS + COUNT] as number, levels.carryOf(level))
      visited++
      priceTicks = side === Side.buy ? levels.below(priceTicks) : levels.above(priceTicks)
    }
    return visited
  }

  lotsAtPrice(side: Side, priceTicks: number): number {
    if (!isWhole(priceTicks, PRICE_TICKS_MAX)) return 0
    const level = this.#levels.at(priceTicks)
    if (level === NONE || this.#levels.ints[level * LEVEL_INTS + SIDE] !== side) return 0
    return this.#levels.lotsOf(level)
  }

  forEachOrder(
    visit: (
      orderId: number,
      slot: number,
      side: Side,
      priceTicks: number,
      remainingLots: number,
      totalLots: number,
    ) => void,
  ): void {
    const { floats, ints, totals } = this.#orders
    for (const side of [Side.buy, Side.sell]) {
      this.depth(side, Number.POSITIVE_INFINITY, (priceTicks) => {
        const level = this.#levels.at(priceTicks)
        let slot = this.#levels.ints[level * LEVEL_INTS + HEAD] as number
        for (; slot !== NONE; slot = ints[slot * ORDER_INTS + NEXT] as number) {
          const at = slot * ORDER_FLOATS
          const remainingLots = floats[at + REMAINING] as number
          visit(floats[at + ID] as number, slot, side, priceTicks, remainingLots, totals[slot] as number)
        }
      })
    }
  }

  stateHash(): string {
    const hash = new StateHash()
    this.forEachOrder((orderId, _slot, side, priceTicks, remainingLots, totalLots) => {
      hash.word(side === Side.buy ? priceTicks : -priceTicks)
      hash.number(orderId)
      hash.number(remainingLots)
      hash.number(totalLots)
    })
    return hash.hex()
  }

  snapshot(): Uint8Array {
    const orders = this.#orders
    const writer = new SnapshotWriter(orders.count, orders.slotsUsed)
    this.forEachOrder((orderId, slot, side, priceTicks, remainingLots, totalLots) => {
      writer.order(orderId, remainingLots, totalLots, side === Side.buy ? priceTicks : -priceTicks, slot)
    })
    let slot = orders.firstFree
    for (; slot !== NONE; slot = orders.ints[slot * ORDER_INTS + NEXT] as number) writer.freeSlot(slot)
    return writer.finish()
  }

  restore(bytes: Uint8Array): 'accepted' | SnapshotRejectCode {
    const snapshot = readSnapshot(bytes)
    if (typeof snapshot === 'string') return snapshot
    const restored = new ArrayBook(this.#sink, this.#fillsMax, this.#ordersMax)
    if (!restored.#load(snapshot)) return 'snapshot_inconsistent'
    this.#orders = restored.#orders
    this.#levels = restored.#levels
    this.#ids = restored.#ids
    this.#bidLevel = restored.#bidLevel
    this.#askLevel = restored.#askLevel
    this.#bidTicks = restored.#bidTicks
    this.#askTicks = restored.#askTicks
    return 'accepted'
  }

  /** What rests again, or has ended, after an amendment has taken it out of its queue. */
  #enterAgain(orderId: number, slot: number, side: Side, priceTicks: number, lots: number): void {
    const orders = this.#orders
    let remaining = lots
    if (this.#crosses(side, priceTicks)) {
      remaining = this.#match(orderId, side, priceTicks, lots)
      if (remaining === 0 || this.#endReason === EndReason.fillsLimit) {
        orders.floats[slot * ORDER_FLOATS + REMAINING] = remaining
        this.#sink.ended(orderId, slot, remaining, this.#endReason)
        this.#ids.remove(orders.ints[slot * ORDER_INTS + HASH] as number, slot)
        orders.release(slot)
        return
      }
    }
    this.#append(slot, side, priceTicks, remaining)
    this.#sink.rested(orderId, slot, remaining)
  }

  #crosses(side: Side, priceTicks: number): boolean {
    return side === Side.buy ? this.#askTicks !== 0 && priceTicks >= this.#askTicks : priceTicks <= this.#bidTicks
  }

  /** Trades up to `lots` within the limit; returns what is left and leaves the reason in `#endReason`. */
  #match(takerId: number, side: Side, limitTicks: number, lots: number): number {
    let remaining = lots
    this.#fills = 0
    for (;;) {
      const priceTicks = side === Side.buy ? this.#askTicks : this.#bidTicks
      if (remaining === 0) return this.#end(EndReason.filled, 0)
      if (priceTicks === 0) return this.#end(EndReason.noLiquidity, remaining)
      if (side === Side.buy ? priceTicks > limitTicks : priceTicks < limitTicks)
        return this.#end(EndReason.worstPrice, remaining)
      if (this.#fills === this.#fillsMax) return this.#end(EndReason.fillsLimit, remaining)
      remaining = this.#fillBest(takerId, side, priceTicks, remaining)
    }
  }

  /** Trades up to `quoteTickLots` within the limit, in whole lots; returns and leaves the same as `#match`. */
  #matchQuote(takerId: number, side: Side, limitTicks: number, quoteTickLots: number): number {
    let remaining = quoteTickLots
    this.#fills = 0
    for (;;) {
      const priceTicks = side === Side.buy ? this.#askTicks : this.#bidTicks
      if (remaining === 0) return this.#end(EndReason.filled, 0)
      if (priceTicks === 0) return this.#end(EndReason.noLiquidity, remaining)
      if (side === Side.buy ? priceTicks > limitTicks : priceTicks < limitTicks)
        return this.#end(EndReason.worstPrice, remaining)
      const lots = wholeLots(remaining, priceTicks)
      if (lots === 0) return this.#end(EndReason.lessThanOneLot, remaining)
      if (this.#fills === this.#fillsMax) return this.#end(EndReason.fillsLimit, remaining)
      // At most `remaining`, thus exact.
      remaining -= (lots - this.#fillBest(takerId, side, priceTicks, lots)) * priceTicks
    }
  }

  #end(reason: EndReason, remaining: number): number {
    this.#endReason = reason
    return remaining
  }

  /** Fills from the queue of the best level against this taker, as long as fills are left; returns the lots that are left. */
  #fillBest(takerId: number, side: Side, priceTicks: number, lots: number): number {
    const level = side === Side.buy ? this.#askLevel : this.#bidLevel
    const levelAt = level * LEVEL_INTS
    const levels = this.#levels
    const orders = this.#orders
    const { floats, ints } = orders
    let remaining = lots
    let fills = this.#fills
    let slot = levels.ints[levelAt + HEAD] as number
    let gone = 0
    while (slot !== NONE && remaining > 0 && fills < this.#fillsMax) {
      fills++
      const at = slot * ORDER_FLOATS
      const makerId = floats[at + ID] as number
      const makerLots = floats[at + REMAINING] as number
      if (makerLots > remaining) {
        floats[at + REMAINING] = makerLots - remaining
        this.#sink.traded(makerId, slot, takerId, priceTicks, remaining, makerLots - remaining)
        remaining = 0
        break
      }
      remaining -= makerLots
      floats[at + REMAINING] = 0
      this.#sink.traded(makerId, slot, takerId, priceTicks, makerLots, 0)
      const next = ints[slot * ORDER_INTS + NEXT] as number
      this.#ids.remove(ints[slot * ORDER_INTS + HASH] as number, slot)
      orders.release(slot)
      gone++
      slot = next
    }
    this.#fills = fills
    if (slot === NONE) {
      this.#closeLevel(level)
      return remaining
    }
    levels.subtractLots(level, lots - remaining)
    levels.ints[levelAt + COUNT] = (levels.ints[levelAt + COUNT] as number) - gone
    levels.ints[levelAt + HEAD] = slot
    ints[slot * ORDER_INTS + PREVIOUS] = NONE
    return remaining
  }

  /** Puts an order last in the queue of its price. */
  #append(slot: number, side: Side, priceTicks: number, lots: number): void {
    const level = this.#levelFor(side, priceTicks)
    const levels = this.#levels
    const levelAt = level * LEVEL_INTS
    const { floats, ints } = this.#orders
    const at = slot * ORDER_INTS
    const tail = levels.ints[levelAt + TAIL] as number
    floats[slot * ORDER_FLOATS + REMAINING] = lots
    ints[at + NEXT] = NONE
    ints[at + PREVIOUS] = tail
    ints[at + LEVEL] = level
    if (tail === NONE) levels.ints[levelAt + HEAD] = slot
    else ints[tail * ORDER_INTS + NEXT] = slot
    levels.ints[levelAt + TAIL] = slot
    levels.ints[levelAt + COUNT] = (levels.ints[levelAt + COUNT] as number) + 1
    levels.addLots(level, lots)
  }

  /** Takes an order out of its queue; its slot and id stay taken. */
  #unlink(slot: number): void {
    const levels = this.#levels
    const { floats, ints } = this.#orders
    const at = slot * ORDER_INTS
    const level = ints[at + LEVEL] as number
    const levelAt = level * LEVEL_INTS
    const next = ints[at + NEXT] as number
    const previous = ints[at + PREVIOUS] as number
    ints[at + LEVEL] = NONE
    if (next === NONE && previous === NONE) {
      this.#closeLevel(level)
      return
    }
    if (previous === NONE) levels.ints[levelAt + HEAD] = next
    else ints[previous * ORDER_INTS + NEXT] = next
    if (next === NONE) levels.ints[levelAt + TAIL] = previous
    else ints[next * ORDER_INTS + PREVIOUS] = previous
    levels.ints[levelAt + COUNT] = (levels.ints[levelAt + COUNT] as number) - 1
    levels.subtractLots(level, floats[slot * ORDER_FLOATS + REMAINING] as number)
  }

  #levelFor(side: Side, priceTicks: number): number {
    if (side === Side.buy) {
      if (priceTicks === this.#bidTicks) return this.#bidLevel
    } else if (priceTicks === this.#askTicks) return this.#askLevel
    const found = this.#levels.at(priceTicks)
    if (found !== NONE) return found
    const level = this.#levels.open(side, priceTicks)
    if (side === Side.buy) {
      if (priceTicks > this.#bidTicks) {
        this.#bidTicks = priceTicks
        this.#bidLevel = level
      }
    } else if (this.#askTicks === 0 || priceTicks < this.#askTicks) {
      this.#askTicks = priceTicks
      this.#askLevel = level
    }
    return level
  }

  #closeLevel(level: number): void {
    const levels = this.#levels
    levels.close(level)
    if (level === this.#bidLevel) {
      this.#bidTicks = levels.below(this.#bidTicks)
      this.#bidLevel = this.#bidTicks === 0 ? NONE : levels.at(this.#bidTicks)
    } else if (level === this.#askLevel) {
      this.#askTicks = levels.above(this.#askTicks)
      this.#askLevel = this.#askTicks === 0 ? NONE : levels.at(this.#askTicks)
    }
  }

  #isUsed(slot: number): boolean {
    const isSlot = Number.isSafeInteger(slot) && slot >= 0 && slot < this.#orders.slotsUsed
    return isSlot && this.#orders.floats[slot * ORDER_FLOATS + ID] !== 0
  }

  #levelNumber(slot: number, field: number): number {
    if (!this.#isUsed(slot)) return 0
    const level = this.#orders.ints[slot * ORDER_INTS + LEVEL] as number
    return level === NONE ? 0 : (this.#levels.ints[level * LEVEL_INTS + field] as number)
  }

  /** Fills this book, which is empty, from a snapshot; false if that is not the state of a book. */
  #load(snapshot: Snapshot): boolean {
    const orders = this.#orders
    const { ordersCount, slotsUsed } = snapshot
    if (ordersCount > this.#ordersMax || slotsUsed > this.#ordersMax) return false
    orders.reserve(slotsUsed)
    orders.slotsUsed = slotsUsed
    for (let index = 0; index < ordersCount; index++) if (!this.#loadOrder(snapshot, index)) return false
    orders.count = ordersCount
    // What `release` would have left; the chain is built from its end.
    const seen = new Uint8Array(slotsUsed)
    for (let index = slotsUsed - ordersCount - 1; index >= 0; index--) {
      const slot = snapshot.freeSlotAt(index)
      if (slot >= slotsUsed || orders.floats[slot * ORDER_FLOATS + ID] !== 0 || seen[slot] === 1) return false
      seen[slot] = 1
      orders.ints[slot * ORDER_INTS + NEXT] = orders.firstFree
      orders.firstFree = slot
    }
    return true
  }

  #loadOrder(snapshot: Snapshot, index: number): boolean {
    const orders = this.#orders
    const orderId = snapshot.orderIdAt(index)
    const remainingLots = snapshot.remainingLotsAt(index)
    const totalLots = snapshot.totalLotsAt(index)
    const signedPrice = snapshot.signedPriceAt(index)
    const slot = snapshot.slotAt(index)
    const side = signedPrice > 0 ? Side.buy : Side.sell
    const priceTicks = Math.abs(signedPrice)
    if (!isWhole(orderId, ORDER_ID_MAX) || this.has(orderId)) return false
    if (!isWhole(priceTicks, PRICE_TICKS_MAX)) return false
    if (!isWhole(totalLots, AMOUNT_LOTS_MAX) || !isWhole(remainingLots, totalLots)) return false
    if (slot >= orders.slotsUsed || orders.floats[slot * ORDER_FLOATS + ID] !== 0) return false
    if (this.#crosses(side, priceTicks)) return false
    const hash = hashOfId(orderId)
    orders.floats[slot * ORDER_FLOATS + ID] = orderId
    orders.ints[slot * ORDER_INTS + HASH] = hash
    orders.totals[slot] = totalLots
    this.#ids.add(hash, slot)
    this.#append(slot, side, priceTicks, remainingLots)
    return true
  }
}

function isWhole(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && value <= max
}

/** The lots that this many tick × lots pay for. The quotient of floats may round up to the next whole number; no further. */
function wholeLots(tickLots: number, priceTicks: number): number {
  const lots = Math.floor(tickLots / priceTicks)
  return lots * priceTicks > tickLots ? lots - 1 : lots
}
