import assert from 'node:assert/strict'
import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'

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
  /** Below 2^64: all fees of an asset together are a part of the money that exists of it. */
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
const FEE_RANGE = 2n ** 64n
const SLOTS_MAX = 256

/** Records per page: 64 KB, so that growing never copies much and leaves no holes behind. */
const PAGE_BITS = 10
const PAGE_RECORDS = 1 << PAGE_BITS
const IN_PAGE = PAGE_RECORDS - 1
/** Records made room for at once by a market's first order. */
const RECORDS_MIN = 8

interface Page {
  readonly numbers: Float64Array
  /** The same bytes, for amounts of money. */
  readonly minors: BigUint64Array
  readonly clientOrderIds: (string | undefined)[]
}

/**
 * One record per resting order, at the index that the book gives it (`slotOf`).
 * Takes no memory before the first order. The first page grows by doubling, then whole pages are added.
 */
export class OrderRecords {
  readonly #pages: Page[] = []

  write(index: number, record: OrderRecord): void {
    assert(record.accountSlot >= 0 && record.accountSlot < SLOTS_MAX)
    assert(record.makerFeePpm < RATE_RANGE && record.takerFeePpm < RATE_RANGE)
    assert(record.feeMinor < FEE_RANGE)
    const { numbers, minors, clientOrderIds } = this.#pageFor(index)
    const at = wordOf(index)
    const { executedTickLots } = record
    numbers[at + MEMBER] = record.memberId
    numbers[at + EXECUTED_LOTS] = record.executedLots
    numbers[at + EXECUTED_LOW] = executedTickLots === 0n ? 0 : Number(executedTickLots & (2n ** 53n - 1n))
    numbers[at + EXECUTED_HIGH] = executedTickLots === 0n ? 0 : Number(executedTickLots >> 53n)
    minors[at + FEE_MINOR] = record.feeMinor
    numbers[at + TERMS] = (record.accountSlot * RATE_RANGE + record.makerFeePpm) * RATE_RANGE + record.takerFeePpm
    numbers[at + CREATED_AT] = record.createdAtUs
    numbers[at + RECEIVED_AT] = record.receivedAtUs
    clientOrderIds[index & IN_PAGE] = record.clientOrderId
  }

  read(index: number): OrderRecord {
    const { numbers, minors, clientOrderIds } = this.#page(index)
    const at = wordOf(index)
    const terms = wordAt(numbers, at + TERMS)
    return {
      memberId: wordAt(numbers, at + MEMBER),
      accountSlot: Math.floor(terms / (RATE_RANGE * RATE_RANGE)),
      clientOrderId: clientOrderIds[index & IN_PAGE],
      makerFeePpm: Math.floor(terms / RATE_RANGE) % RATE_RANGE,
      takerFeePpm: terms % RATE_RANGE,
      executedLots: wordAt(numbers, at + EXECUTED_LOTS),
      executedTickLots:
        (BigInt(wordAt(numbers, at + EXECUTED_HIGH)) << 53n) + BigInt(wordAt(numbers, at + EXECUTED_LOW)),
      feeMinor: minors[at + FEE_MINOR] ?? 0n,
      createdAtUs: wordAt(numbers, at + CREATED_AT),
      receivedAtUs: wordAt(numbers, at + RECEIVED_AT),
    }
  }

  memberId(index: number): number {
    return wordAt(this.#page(index).numbers, wordOf(index) + MEMBER)
  }

  accountSlot(index: number): number {
    return Math.floor(wordAt(this.#page(index).numbers, wordOf(index) + TERMS) / (RATE_RANGE * RATE_RANGE))
  }

  makerFeePpm(index: number): number {
    return Math.floor(wordAt(this.#page(index).numbers, wordOf(index) + TERMS) / RATE_RANGE) % RATE_RANGE
  }

  executedLots(index: number): number {
    return wordAt(this.#page(index).numbers, wordOf(index) + EXECUTED_LOTS)
  }

  /** Books one fill of a resting order. `tickLots` is price × lots, at most 2^53−1. */
  addFill(index: number, lots: number, tickLots: number, feeMinor: bigint): void {
    const { numbers, minors } = this.#page(index)
    const at = wordOf(index)
    numbers[at + EXECUTED_LOTS] = wordAt(numbers, at + EXECUTED_LOTS) + lots
    const low = wordAt(numbers, at + EXECUTED_LOW)
    const room = LOW_RANGE - low
    if (tickLots < room) {
      numbers[at + EXECUTED_LOW] = low + tickLots
    } else {
      numbers[at + EXECUTED_LOW] = tickLots - room
      numbers[at + EXECUTED_HIGH] = wordAt(numbers, at + EXECUTED_HIGH) + 1
    }
    const sum = (minors[at + FEE_MINOR] ?? 0n) + feeMinor
    assert(sum < FEE_RANGE)
    minors[at + FEE_MINOR] = sum
  }

  /** Lets go of what an ended order kept on the heap. Its other words stay until the index is used again. */
  clear(index: number): void {
    this.#page(index).clientOrderIds[index & IN_PAGE] = undefined
  }

  pack(packer: Packer): void {
    packer.numbers([this.#pages.length])
    for (const { numbers, clientOrderIds } of this.#pages) {
      packer.bytes(numbers).texts(Array.from(clientOrderIds))
    }
  }

  /** Every record at the index that it had. */
  static unpack(packed: Unpacker): OrderRecords {
    const records = new OrderRecords()
    const [pagesCount = 0] = packed.numbers()
    for (let number = 0; number < pagesCount; number++) {
      const buffer = packed.buffer(PAGE_RECORDS * WORDS * 8, number === 0 ? 'atMost' : 'exactly')
      if (buffer.byteLength % (WORDS * 8) !== 0) throw new PackedInvalid('A page ends within a record.')
      const page = { numbers: new Float64Array(buffer), minors: new BigUint64Array(buffer) }
      records.#pages.push({ ...page, clientOrderIds: packed.texts() })
    }
    return records
  }

  #page(index: number): Page {
    const page = this.#pages[index >>> PAGE_BITS]
    assert(page !== undefined)
    return page
  }

  #pageFor(index: number): Page {
    const number = index >>> PAGE_BITS
    let page = this.#pages[number]
    if (page !== undefined && wordOf(index) < page.numbers.length) return page
    let records = PAGE_RECORDS
    // The book hands out its places in order, so only the first page is ever short.
    if (number === 0) for (records = RECORDS_MIN; records <= (index & IN_PAGE); ) records *= 2
    page = grown(page, records)
    this.#pages[number] = page
    return page
  }
}

const wordOf = (index: number): number => (index & IN_PAGE) * WORDS

function wordAt(numbers: Float64Array, at: number): number {
  const value = numbers[at]
  assert(value !== undefined)
  return value
}

function grown(page: Page | undefined, records: number): Page {
  const numbers = new Float64Array(records * WORDS)
  if (page !== undefined) numbers.set(page.numbers)
  return { numbers, minors: new BigUint64Array(numbers.buffer), clientOrderIds: page?.clientOrderIds ?? [] }
}
