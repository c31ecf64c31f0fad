import type { Book, BookRejectCode, BookSink, EndReason, Side } from './book.ts'
import { IdTable } from './id-table.ts'
import { IntMap } from './int-map.ts'
import { PriceIndex } from './price-index.ts'
import { readSnapshot, type Snapshot, type SnapshotRejectCode, SnapshotWriter } from './snapshot.ts'
import { StateHash } from './state-hash.ts'

// Constants are this module's own: V8 folds those into its code, but loads and checks an imported one at every use.
const BUY = 0 satisfies typeof Side.buy
const SELL = 1 satisfies typeof Side.sell
const FILLED = 0 satisfies typeof EndReason.filled
const NO_LIQUIDITY = 1 satisfies typeof EndReason.noLiquidity
const WORST_PRICE = 2 satisfies typeof EndReason.worstPrice
const FILLS_LIMIT = 3 satisfies typeof EndReason.fillsLimit
const LESS_THAN_ONE_LOT = 4 satisfies typeof EndReason.lessThanOneLot
const LOTS_RANGE = 2 ** 53

/** No slot, no level. */
const NONE = -1

// An order takes 32 bytes, so that two share a cache line: 4 floats or 8 integers. What it has executed follows from its
// total, which lies apart, as only placements and amendments touch it.
const ORDER_BYTES = 32
const ORDER_FLOAT = 2 // shift
const ORDER_INT = 3 // shift
const ID = 0 // float; 0 marks an unused slot
const REMAINING = 1 // float
const NEXT = 4 // the neighbour's slot or NONE; the next unused slot in an unused one
const PREVIOUS = 5
const LEVEL = 6
const HASH = 7

// So does a price level.
const LEVEL_BYTES = 32
const LEVEL_FLOAT = 2 // shift
const LEVEL_INT = 3 // shift
const LOTS = 0 // float; the sum of what rests, modulo 2^53
const HEAD = 2 // the next unused level in an unused one
const TAIL = 3
const PRICE = 4
const COUNT = 5
const CARRY = 6 // multiples of 2^53 in the sum
const SIDE = 7

const SLOTS_MIN = 8
const LEVELS_MIN = 4

/**
 * Orders and levels in pools of typed arrays, addressed by slot; each level a queue of orders, linked both ways. As the
 * book is never crossed, a price belongs to one side at a time, and one set of prices serves both.
 *
 * Reads of typed arrays are cast to number: every index comes from a slot or level in use, which lies inside.
 * The arrays are replaced when they grow, in `#takeSlot` and `#openLevel`.
 */
export class ArrayBook implements Book {
  readonly #sink: BookSink
  readonly #fillsMax: number
  readonly #ordersMax: number

  #orderFloats = new Float64Array(0)
  #orderInts = new Int32Array(0)
  #totals = new Float64Array(0)
  #count = 0
  /** Slots below this are or were in use. */
  #slotsUsed = 0
  /** First in the chain of unused slots below `#slotsUsed`. */
  #freeSlot: number = NONE
  #ids = new IdTable()

  #levelFloats = new Float64Array(0)
  #levelInts = new Int32Array(0)
  #levelsUsed = 0
  #freeLevel: number = NONE
  #levelByPrice = new IntMap()
  #prices = new PriceIndex()
  #bidLevel: number = NONE
  #askLevel: number = NONE
  /** 0 for none. */
  #bidTicks = 0
  #askTicks = 0

  // Of the command under way.
  #fills = 0
  #endReason: EndReason = FILLED

  constructor(sink: BookSink, fillsMax: number, ordersMax: number) {
    this.#sink = sink
    this.#fillsMax = fillsMax
    this.#ordersMax = ordersMax
  }

  placeLimit(orderId: number, side: Side, priceTicks: number, amountLots: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId)) return 'order_id_invalid'
    if (side !== BUY && side !== SELL) return 'side_invalid'
    const hash = this.#ids.hashOf(orderId)
    let found = this.#ids.find(orderId, hash, this.#orderFloats)
    if (found >= 0) return 'order_id_known'
    if (!isPrice(priceTicks)) return 'price_out_of_range'
    if (!isWhole(amountLots)) return 'amount_out_of_range'
    if (this.#count >= this.#ordersMax) return 'book_full'
    const price = priceTicks | 0
    let remaining = amountLots
    if (this.#crosses(side, price)) {
      remaining = this.#match(orderId, side, price, amountLots)
      if (remaining === 0 || this.#endReason === FILLS_LIMIT) {
        this.#sink.ended(orderId, NONE, remaining, this.#endReason)
        return 'accepted'
      }
      found = 0
    }
    const slot = this.#takeSlot()
    this.#orderFloats[(slot << ORDER_FLOAT) | ID] = orderId
    this.#orderInts[(slot << ORDER_INT) | HASH] = hash
    this.#totals[slot] = amountLots
    this.#ids.add(hash, slot, found)
    this.#append(slot, side, price, remaining)
    this.#sink.rested(orderId, slot, remaining)
    return 'accepted'
  }

  placeMarket(orderId: number, side: Side, amountLots: number, worstPriceTicks: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId)) return 'order_id_invalid'
    if (side !== BUY && side !== SELL) return 'side_invalid'
    if (this.has(orderId)) return 'order_id_known'
    if (!isPrice(worstPriceTicks)) return 'price_out_of_range'
    if (!isWhole(amountLots)) return 'amount_out_of_range'
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
    if (!isWhole(orderId)) return 'order_id_invalid'
    if (side !== BUY && side !== SELL) return 'side_invalid'
    if (this.has(orderId)) return 'order_id_known'
    if (!isPrice(worstPriceTicks)) return 'price_out_of_range'
    if (!isWhole(quoteTickLots)) return 'quote_out_of_range'
    const remaining = this.#matchQuote(orderId, side, worstPriceTicks, quoteTickLots)
    this.#sink.ended(orderId, NONE, remaining, this.#endReason)
    return 'accepted'
  }

  cancel(orderId: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId)) return 'order_id_invalid'
    const found = this.#ids.find(orderId, this.#ids.hashOf(orderId), this.#orderFloats)
    if (found < 0) return 'order_not_found'
    const slot = this.#ids.slotAt(found)
    this.#sink.cancelled(orderId, slot, this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] as number)
    this.#ids.removeAt(found)
    this.#unlink(slot)
    this.#releaseSlot(slot)
    return 'accepted'
  }

  amend(orderId: number, priceTicks: number, amountLots: number): 'accepted' | BookRejectCode {
    if (!isWhole(orderId)) return 'order_id_invalid'
    const slot = this.slotOf(orderId)
    if (slot === NONE) return 'order_not_found'
    if (!isPrice(priceTicks)) return 'price_out_of_range'
    if (!isWhole(amountLots)) return 'amount_out_of_range'
    const totalLots = this.#totals[slot] as number
    const executedLots = totalLots - (this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] as number)
    if (amountLots <= executedLots) return 'amount_not_above_executed'
    this.#totals[slot] = amountLots
    const level = this.#orderInts[(slot << ORDER_INT) | LEVEL] as number
    const remaining = amountLots - executedLots
    if (priceTicks === this.#levelInts[(level << LEVEL_INT) | PRICE] && amountLots < totalLots) {
      this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] = remaining
      this.#subtractLots(level, totalLots - amountLots)
      this.#sink.reduced(orderId, slot, remaining)
      return 'accepted'
    }
    const side = this.#levelInts[(level << LEVEL_INT) | SIDE] as Side
    this.#unlink(slot)
    this.#enterAgain(orderId, slot, side, priceTicks, remaining)
    return 'accepted'
  }

  get ordersCount(): number {
    return this.#count
  }

  has(orderId: number): boolean {
    return this.slotOf(orderId) !== NONE
  }

  slotOf(orderId: number): number {
    if (!isWhole(orderId)) return NONE
    const found = this.#ids.find(orderId, this.#ids.hashOf(orderId), this.#orderFloats)
    return found < 0 ? NONE : this.#ids.slotAt(found)
  }

  get slotsCapacity(): number {
    return this.#totals.length
  }

  orderIdAt(slot: number): number {
    return this.#isUsed(slot) ? (this.#orderFloats[(slot << ORDER_FLOAT) | ID] as number) : 0
  }

  sideAt(slot: number): Side {
    return this.#levelNumber(slot, SIDE) as Side
  }

  priceTicksAt(slot: number): number {
    return this.#levelNumber(slot, PRICE)
  }

  remainingLotsAt(slot: number): number {
    return this.#isUsed(slot) ? (this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] as number) : 0
  }

  totalLotsAt(slot: number): number {
    return this.#isUsed(slot) ? (this.#totals[slot] as number) : 0
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
    if (side !== BUY && side !== SELL) return 0
    if (typeof levelsMax !== 'number') return 0
    let visited = 0
    let priceTicks = side === BUY ? this.#bidTicks : this.#askTicks
    while (priceTicks !== 0 && visited < levelsMax) {
      const level = this.#levelAt(priceTicks)
      const at = level << LEVEL_INT
      const lots = this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] as number
      visit(priceTicks, lots, this.#levelInts[at | COUNT] as number, this.#levelInts[at | CARRY] as number)
      visited++
      priceTicks = side === BUY ? this.#prices.below(priceTicks) : this.#prices.above(priceTicks)
    }
    return visited
  }

  lotsAtPrice(side: Side, priceTicks: number): number {
    if (!isPrice(priceTicks)) return 0
    const level = this.#levelAt(priceTicks)
    if (level === NONE || this.#levelInts[(level << LEVEL_INT) | SIDE] !== side) return 0
    return this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] as number
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
    for (const side of [BUY, SELL] as const) {
      this.depth(side, Number.POSITIVE_INFINITY, (priceTicks) => {
        let slot = this.#levelInts[(this.#levelAt(priceTicks) << LEVEL_INT) | HEAD] as number
        for (; slot !== NONE; slot = this.#orderInts[(slot << ORDER_INT) | NEXT] as number) {
          const orderId = this.#orderFloats[(slot << ORDER_FLOAT) | ID] as number
          const remainingLots = this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] as number
          visit(orderId, slot, side, priceTicks, remainingLots, this.#totals[slot] as number)
        }
      })
    }
  }

  stateHash(): string {
    const hash = new StateHash()
    this.forEachOrder((orderId, _slot, side, priceTicks, remainingLots, totalLots) => {
      hash.word(side === BUY ? priceTicks : -priceTicks)
      hash.number(orderId)
      hash.number(remainingLots)
      hash.number(totalLots)
    })
    return hash.hex()
  }

  snapshot(): Uint8Array {
    const writer = new SnapshotWriter(this.#count, this.#slotsUsed)
    this.forEachOrder((orderId, slot, side, priceTicks, remainingLots, totalLots) => {
      writer.order(orderId, remainingLots, totalLots, side === BUY ? priceTicks : -priceTicks, slot)
    })
    let slot = this.#freeSlot
    for (; slot !== NONE; slot = this.#orderInts[(slot << ORDER_INT) | NEXT] as number) writer.freeSlot(slot)
    return writer.finish()
  }

  restore(bytes: Uint8Array): 'accepted' | SnapshotRejectCode {
    const snapshot = readSnapshot(bytes)
    if (typeof snapshot === 'string') return snapshot
    const restored = new ArrayBook(this.#sink, this.#fillsMax, this.#ordersMax)
    if (!restored.#load(snapshot)) return 'snapshot_inconsistent'
    this.#takeOver(restored)
    return 'accepted'
  }

  /** What an amendment has taken out of its queue rests again or has ended. */
  #enterAgain(orderId: number, slot: number, side: Side, priceTicks: number, lots: number): void {
    let remaining = lots
    if (this.#crosses(side, priceTicks)) {
      remaining = this.#match(orderId, side, priceTicks, lots)
      if (remaining === 0 || this.#endReason === FILLS_LIMIT) {
        this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] = remaining
        this.#sink.ended(orderId, slot, remaining, this.#endReason)
        this.#ids.remove(this.#orderInts[(slot << ORDER_INT) | HASH] as number, slot)
        this.#releaseSlot(slot)
        return
      }
    }
    this.#append(slot, side, priceTicks, remaining)
    this.#sink.rested(orderId, slot, remaining)
  }

  #crosses(side: Side, priceTicks: number): boolean {
    return side === BUY ? this.#askTicks !== 0 && priceTicks >= this.#askTicks : priceTicks <= this.#bidTicks
  }

  /** Trades up to `lots` within the limit; returns what is left and leaves the reason in `#endReason`. */
  #match(takerId: number, side: Side, limitTicks: number, lots: number): number {
    let remaining = lots
    this.#fills = 0
    for (;;) {
      const priceTicks = side === BUY ? this.#askTicks : this.#bidTicks
      if (remaining === 0) return this.#end(FILLED, 0)
      if (priceTicks === 0) return this.#end(NO_LIQUIDITY, remaining)
      if (side === BUY ? priceTicks > limitTicks : priceTicks < limitTicks) return this.#end(WORST_PRICE, remaining)
      if (this.#fills === this.#fillsMax) return this.#end(FILLS_LIMIT, remaining)
      remaining = this.#fillBest(takerId, side, priceTicks, remaining)
    }
  }

  /** Trades up to `quoteTickLots` within the limit, in whole lots; returns and leaves the same as `#match`. */
  #matchQuote(takerId: number, side: Side, limitTicks: number, quoteTickLots: number): number {
    let remaining = quoteTickLots
    this.#fills = 0
    for (;;) {
      const priceTicks = side === BUY ? this.#askTicks : this.#bidTicks
      if (remaining === 0) return this.#end(FILLED, 0)
      if (priceTicks === 0) return this.#end(NO_LIQUIDITY, remaining)
      if (side === BUY ? priceTicks > limitTicks : priceTicks < limitTicks) return this.#end(WORST_PRICE, remaining)
      const lots = wholeLots(remaining, priceTicks)
      if (lots === 0) return this.#end(LESS_THAN_ONE_LOT, remaining)
      if (this.#fills === this.#fillsMax) return this.#end(FILLS_LIMIT, remaining)
      // At most `remaining`, thus exact.
      remaining -= (lots - this.#fillBest(takerId, side, priceTicks, lots)) * priceTicks
    }
  }

  #end(reason: EndReason, remaining: number): number {
    this.#endReason = reason
    return remaining
  }

  /** Fills from the queue of the best level as long as lots and fills are left; returns the lots that are left. */
  #fillBest(takerId: number, side: Side, priceTicks: number, lots: number): number {
    const level = side === BUY ? this.#askLevel : this.#bidLevel
    const levelAt = level << LEVEL_INT
    const levelInts = this.#levelInts
    const orderFloats = this.#orderFloats
    const orderInts = this.#orderInts
    const fillsMax = this.#fillsMax
    let remaining = lots
    let fills = this.#fills
    let gone = 0
    let slot = levelInts[levelAt | HEAD] as number
    while (slot !== NONE && remaining > 0 && fills < fillsMax) {
      fills++
      const makerId = orderFloats[(slot << ORDER_FLOAT) | ID] as number
      const makerLots = orderFloats[(slot << ORDER_FLOAT) | REMAINING] as number
      if (makerLots > remaining) {
        orderFloats[(slot << ORDER_FLOAT) | REMAINING] = makerLots - remaining
        this.#sink.traded(makerId, slot, takerId, priceTicks, remaining, makerLots - remaining)
        remaining = 0
        break
      }
      remaining -= makerLots
      orderFloats[(slot << ORDER_FLOAT) | REMAINING] = 0
      this.#sink.traded(makerId, slot, takerId, priceTicks, makerLots, 0)
      const next = orderInts[(slot << ORDER_INT) | NEXT] as number
      this.#ids.remove(orderInts[(slot << ORDER_INT) | HASH] as number, slot)
      this.#releaseSlot(slot)
      gone++
      slot = next
    }
    this.#fills = fills
    if (slot === NONE) {
      this.#closeLevel(level)
      return remaining
    }
    this.#subtractLots(level, lots - remaining)
    levelInts[levelAt | COUNT] = (levelInts[levelAt | COUNT] as number) - gone
    levelInts[levelAt | HEAD] = slot
    orderInts[(slot << ORDER_INT) | PREVIOUS] = NONE
    return remaining
  }

  /** Puts an order last in the queue of its price. */
  #append(slot: number, side: Side, priceTicks: number, lots: number): void {
    const level = this.#levelFor(side, priceTicks)
    const levelAt = level << LEVEL_INT
    const levelInts = this.#levelInts
    const orderInts = this.#orderInts
    const at = slot << ORDER_INT
    const tail = levelInts[levelAt | TAIL] as number
    this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] = lots
    orderInts[at | NEXT] = NONE
    orderInts[at | PREVIOUS] = tail
    orderInts[at | LEVEL] = level
    if (tail === NONE) levelInts[levelAt | HEAD] = slot
    else orderInts[(tail << ORDER_INT) | NEXT] = slot
    levelInts[levelAt | TAIL] = slot
    levelInts[levelAt | COUNT] = (levelInts[levelAt | COUNT] as number) + 1
    const sum = this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] as number
    const room = LOTS_RANGE - sum
    if (lots < room) {
      this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] = sum + lots
    } else {
      this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] = lots - room
      levelInts[levelAt | CARRY] = (levelInts[levelAt | CARRY] as number) + 1
    }
  }

  /** Takes an order out of its queue; its slot and id stay taken. */
  #unlink(slot: number): void {
    const orderInts = this.#orderInts
    const at = slot << ORDER_INT
    const level = orderInts[at | LEVEL] as number
    const next = orderInts[at | NEXT] as number
    const previous = orderInts[at | PREVIOUS] as number
    orderInts[at | LEVEL] = NONE
    if ((next & previous) === NONE) {
      this.#closeLevel(level)
      return
    }
    const levelAt = level << LEVEL_INT
    const levelInts = this.#levelInts
    if (previous === NONE) levelInts[levelAt | HEAD] = next
    else orderInts[(previous << ORDER_INT) | NEXT] = next
    if (next === NONE) levelInts[levelAt | TAIL] = previous
    else orderInts[(next << ORDER_INT) | PREVIOUS] = previous
    levelInts[levelAt | COUNT] = (levelInts[levelAt | COUNT] as number) - 1
    this.#subtractLots(level, this.#orderFloats[(slot << ORDER_FLOAT) | REMAINING] as number)
  }

  #subtractLots(level: number, lots: number): void {
    const sum = this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] as number
    if (lots <= sum) {
      this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] = sum - lots
    } else {
      this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] = sum + (LOTS_RANGE - lots)
      const at = (level << LEVEL_INT) | CARRY
      this.#levelInts[at] = (this.#levelInts[at] as number) - 1
    }
  }

  #levelAt(priceTicks: number): number {
    return this.#levelByPrice.get(priceTicks) - 1
  }

  #levelFor(side: Side, priceTicks: number): number {
    if (priceTicks === this.#bidTicks) return this.#bidLevel
    if (priceTicks === this.#askTicks) return this.#askLevel
    const found = this.#levelByPrice.find(priceTicks)
    return found < 0 ? this.#openLevel(side, priceTicks, found) : this.#levelByPrice.valueAt(found) - 1
  }

  #openLevel(side: Side, priceTicks: number, found: number): number {
    const level = this.#takeLevel()
    const levelInts = this.#levelInts
    const at = level << LEVEL_INT
    this.#levelFloats[(level << LEVEL_FLOAT) | LOTS] = 0
    levelInts[at | HEAD] = NONE
    levelInts[at | TAIL] = NONE
    levelInts[at | PRICE] = priceTicks
    levelInts[at | COUNT] = 0
    levelInts[at | CARRY] = 0
    levelInts[at | SIDE] = side
    this.#levelByPrice.add(priceTicks, level + 1, found)
    this.#prices.add(priceTicks)
    if (side === BUY) {
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
    const at = level << LEVEL_INT
    const priceTicks = this.#levelInts[at | PRICE] as number
    this.#levelInts[at | HEAD] = this.#freeLevel
    this.#freeLevel = level
    this.#levelByPrice.delete(priceTicks)
    this.#prices.remove(priceTicks)
    if (priceTicks === this.#bidTicks) {
      this.#bidTicks = this.#prices.below(priceTicks)
      this.#bidLevel = this.#bidTicks === 0 ? NONE : this.#levelAt(this.#bidTicks)
    } else if (priceTicks === this.#askTicks) {
      this.#askTicks = this.#prices.above(priceTicks)
      this.#askLevel = this.#askTicks === 0 ? NONE : this.#levelAt(this.#askTicks)
    }
  }

  #takeLevel(): number {
    const level = this.#freeLevel
    if (level !== NONE) {
      this.#freeLevel = this.#levelInts[(level << LEVEL_INT) | HEAD] as number
      return level
    }
    if (this.#levelsUsed << LEVEL_INT === this.#levelInts.length) {
      const buffer = new ArrayBuffer(Math.max(LEVELS_MIN, 2 * this.#levelsUsed) * LEVEL_BYTES)
      const levelInts = new Int32Array(buffer)
      levelInts.set(this.#levelInts)
      this.#levelInts = levelInts
      this.#levelFloats = new Float64Array(buffer)
    }
    return this.#levelsUsed++
  }

  /** What was released last is taken first. */
  #takeSlot(): number {
    this.#count++
    const slot = this.#freeSlot
    if (slot !== NONE) {
      this.#freeSlot = this.#orderInts[(slot << ORDER_INT) | NEXT] as number
      return slot
    }
    if (this.#slotsUsed === this.#totals.length) this.#reserveSlots(Math.max(SLOTS_MIN, 2 * this.#slotsUsed))
    return this.#slotsUsed++
  }

  #releaseSlot(slot: number): void {
    this.#count--
    this.#orderFloats[(slot << ORDER_FLOAT) | ID] = 0
    this.#orderInts[(slot << ORDER_INT) | NEXT] = this.#freeSlot
    this.#freeSlot = slot
    if (this.#count === 0) {
      this.#freeSlot = NONE
      this.#slotsUsed = 0
    }
  }

  #reserveSlots(slots: number): void {
    const buffer = new ArrayBuffer(slots * ORDER_BYTES)
    const orderInts = new Int32Array(buffer)
    const totals = new Float64Array(slots)
    orderInts.set(this.#orderInts)
    totals.set(this.#totals)
    this.#orderInts = orderInts
    this.#orderFloats = new Float64Array(buffer)
    this.#totals = totals
  }

  #isUsed(slot: number): boolean {
    const isSlot = Number.isSafeInteger(slot) && slot >= 0 && slot < this.#slotsUsed
    return isSlot && this.#orderFloats[(slot << ORDER_FLOAT) | ID] !== 0
  }

  #levelNumber(slot: number, field: number): number {
    if (!this.#isUsed(slot)) return 0
    const level = this.#orderInts[(slot << ORDER_INT) | LEVEL] as number
    return level === NONE ? 0 : (this.#levelInts[(level << LEVEL_INT) | field] as number)
  }

  /** Fills this book, which is empty, from a snapshot; false if that is not the state of a book. */
  #load(snapshot: Snapshot): boolean {
    const { ordersCount, slotsUsed } = snapshot
    if (ordersCount > this.#ordersMax || slotsUsed > this.#ordersMax) return false
    if (ordersCount === 0) return slotsUsed === 0
    this.#reserveSlots(slotsUsed)
    this.#slotsUsed = slotsUsed
    for (let index = 0; index < ordersCount; index++) if (!this.#loadOrder(snapshot, index)) return false
    this.#count = ordersCount
    const seen = new Uint8Array(slotsUsed)
    // The chain is built from its end.
    for (let index = slotsUsed - ordersCount - 1; index >= 0; index--) {
      const slot = snapshot.freeSlotAt(index)
      if (slot >= slotsUsed || this.#isUsed(slot) || seen[slot] === 1) return false
      seen[slot] = 1
      this.#orderInts[(slot << ORDER_INT) | NEXT] = this.#freeSlot
      this.#freeSlot = slot
    }
    return true
  }

  #loadOrder(snapshot: Snapshot, index: number): boolean {
    const orderId = snapshot.orderIdAt(index)
    const remainingLots = snapshot.remainingLotsAt(index)
    const totalLots = snapshot.totalLotsAt(index)
    const signedPrice = snapshot.signedPriceAt(index)
    const slot = snapshot.slotAt(index)
    const side = signedPrice > 0 ? BUY : SELL
    const priceTicks = Math.abs(signedPrice)
    if (!isWhole(orderId) || this.has(orderId)) return false
    if (!isPrice(priceTicks) || this.#crosses(side, priceTicks)) return false
    if (!isWhole(totalLots) || !isWhole(remainingLots) || remainingLots > totalLots) return false
    if (slot >= this.#slotsUsed || this.#isUsed(slot)) return false
    const hash = this.#ids.hashOf(orderId)
    this.#orderFloats[(slot << ORDER_FLOAT) | ID] = orderId
    this.#orderInts[(slot << ORDER_INT) | HASH] = hash
    this.#totals[slot] = totalLots
    this.#ids.add(hash, slot, 0)
    this.#append(slot, side, priceTicks, remainingLots)
    return true
  }

  #takeOver(other: ArrayBook): void {
    this.#orderFloats = other.#orderFloats
    this.#orderInts = other.#orderInts
    this.#totals = other.#totals
    this.#count = other.#count
    this.#slotsUsed = other.#slotsUsed
    this.#freeSlot = other.#freeSlot
    this.#ids = other.#ids
    this.#levelFloats = other.#levelFloats
    this.#levelInts = other.#levelInts
    this.#levelsUsed = other.#levelsUsed
    this.#freeLevel = other.#freeLevel
    this.#levelByPrice = other.#levelByPrice
    this.#prices = other.#prices
    this.#bidLevel = other.#bidLevel
    this.#askLevel = other.#askLevel
    this.#bidTicks = other.#bidTicks
    this.#askTicks = other.#askTicks
  }
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}

function isPrice(value: number): boolean {
  return typeof value === 'number' && (value | 0) === value && value >= 1
}

/**
 * The lots that this many tick × lots pay for. Exact: up to 2^53−1, a quotient that is not whole lies further below the next
 * whole number than floats are apart there, or the price is a power of two and nothing is rounded.
 */
function wholeLots(tickLots: number, priceTicks: number): number {
  return Math.floor(tickLots / priceTicks)
}
