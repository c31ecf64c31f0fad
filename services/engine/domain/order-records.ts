import assert from 'node:assert/strict'

/** What the engine keeps of a resting order beyond what the book knows of it. */
export interface OrderRecord {
  readonly memberId: number
  /** The slot that the order came from and that its outcomes go to; 0..255. */
  readonly accountSlot: number
  readonly clientOrderId: string | undefined
  /** Frozen when the order was placed; parts per million, 0..100 000. */
  readonly makerFeePpm: number
  readonly takerFeePpm: number
  readonly executedLots: number
  /** Sum of price × lots of all fills; beyond 2^53 for orders that trade far better than their own price. */
  readonly executedTickLots: bigint
  readonly feeMinor: bigint
  readonly createdAtUs: number
  readonly receivedAtUs: number
}

/** Words of 8 bytes per order: one cache line. */
const WORDS = 8
const MEMBER = 0
const EXECUTED_LOTS = 1
/** Executed tick-lots = high × 2^53 + low. */
const EXECUTED_LOW = 2
const EXECUTED_HIGH = 3
const FEE_MINOR = 4
/** Account slot and fee rates: (slot × 2^17 + maker rate) × 2^17 + taker rate; 42 bits. */
const TERMS = 5
const CREATED_AT = 6
const RECEIVED_AT = 7

const RATE_RANGE = 2 ** 17
const LOW_RANGE = 2 ** 53
const SLOTS_MAX = 256

/** Records made room for at once by a market's first order. */
const RECORDS_MIN = 8

/**
 * One record per resting order, at the index that the book gives it (`slotOf`).
 * Takes no memory before the first order, then grows by doubling.
 */
export class OrderRecords {
  #numbers = new Float64Array(0)
  #minors = new BigUint64Array(0)
  readonly #clientOrderIds: (string | undefined)[] = []

  write(index: number, record: OrderRecord): void {
    assert(record.accountSlot >= 0 && record.accountSlot < SLOTS_MAX)
    assert(record.makerFeePpm < RATE_RANGE && record.takerFeePpm < RATE_RANGE)
    this.#reserve(index + 1)
    const numbers = this.#numbers
    const at = index * WORDS
    numbers[at + MEMBER] = record.memberId
    numbers[at + EXECUTED_LOTS] = record.executedLots
    numbers[at + EXECUTED_LOW] = Number(record.executedTickLots & (2n ** 53n - 1n))
    numbers[at + EXECUTED_HIGH] = Number(record.executedTickLots >> 53n)
    this.#minors[at + FEE_MINOR] = record.feeMinor
    numbers[at + TERMS] = (record.accountSlot * RATE_RANGE + record.makerFeePpm) * RATE_RANGE + record.takerFeePpm
    numbers[at + CREATED_AT] = record.createdAtUs
    numbers[at + RECEIVED_AT] = record.receivedAtUs
    this.#clientOrderIds[index] = record.clientOrderId
  }

  read(index: number): OrderRecord {
    const at = index * WORDS
    return {
      memberId: this.memberId(index),
      accountSlot: this.accountSlot(index),
      clientOrderId: this.#clientOrderIds[index],
      makerFeePpm: this.makerFeePpm(index),
      takerFeePpm: this.#word(at + TERMS) % RATE_RANGE,
      executedLots: this.executedLots(index),
      executedTickLots: (BigInt(this.#word(at + EXECUTED_HIGH)) << 53n) + BigInt(this.#word(at + EXECUTED_LOW)),
      feeMinor: this.#minors[at + FEE_MINOR] ?? 0n,
      createdAtUs: this.#word(at + CREATED_AT),
      receivedAtUs: this.#word(at + RECEIVED_AT),
    }
  }

  memberId(index: number): number {
    return this.#word(index * WORDS + MEMBER)
  }

  accountSlot(index: number): number {
    return Math.floor(this.#word(index * WORDS + TERMS) / (RATE_RANGE * RATE_RANGE))
  }

  makerFeePpm(index: number): number {
    return Math.floor(this.#word(index * WORDS + TERMS) / RATE_RANGE) % RATE_RANGE
  }

  executedLots(index: number): number {
    return this.#word(index * WORDS + EXECUTED_LOTS)
  }

  /** Books one fill of a resting order. `tickLots` is price × lots, at most 2^53−1. */
  addFill(index: number, lots: number, tickLots: number, feeMinor: bigint): void {
    const at = index * WORDS
    const numbers = this.#numbers
    numbers[at + EXECUTED_LOTS] = this.#word(at + EXECUTED_LOTS) + lots
    const low = this.#word(at + EXECUTED_LOW)
    const room = LOW_RANGE - low
    if (tickLots < room) {
      numbers[at + EXECUTED_LOW] = low + tickLots
    } else {
      numbers[at + EXECUTED_LOW] = tickLots - room
      numbers[at + EXECUTED_HIGH] = this.#word(at + EXECUTED_HIGH) + 1
    }
    if (feeMinor !== 0n) this.#minors[at + FEE_MINOR] = (this.#minors[at + FEE_MINOR] ?? 0n) + feeMinor
  }

  /** Lets go of what an ended order kept on the heap. Its other words stay until the index is used again. */
  clear(index: number): void {
    this.#clientOrderIds[index] = undefined
  }

  #word(at: number): number {
    const value = this.#numbers[at]
    assert(value !== undefined)
    return value
  }

  #reserve(records: number): void {
    const words = records * WORDS
    if (words <= this.#numbers.length) return
    const numbers = new Float64Array(Math.max(words, this.#numbers.length * 2, RECORDS_MIN * WORDS))
    numbers.set(this.#numbers)
    this.#numbers = numbers
    this.#minors = new BigUint64Array(numbers.buffer)
  }
}
