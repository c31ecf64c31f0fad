import type { Book, BookSink, Side } from '../book.ts'

export const Operation = { placeLimit: 0, cancel: 1, amend: 2, placeMarket: 3, placeMarketByQuote: 4 } as const
export type Operation = (typeof Operation)[keyof typeof Operation]

// This module's own, as V8 does not fold exported constants into its code.
const PLACE_LIMIT = 0 satisfies typeof Operation.placeLimit
const CANCEL = 1 satisfies typeof Operation.cancel
const AMEND = 2 satisfies typeof Operation.amend
const PLACE_MARKET = 3 satisfies typeof Operation.placeMarket

/** Many commands in typed arrays, so that driving a book with them costs next to nothing. */
export class Messages {
  operations: Uint8Array
  sides: Uint8Array
  ids: Float64Array
  prices: Float64Array
  /** Lots, or tick × lots of an order by quote. */
  amounts: Float64Array
  count = 0

  constructor(capacity: number) {
    this.operations = new Uint8Array(capacity)
    this.sides = new Uint8Array(capacity)
    this.ids = new Float64Array(capacity)
    this.prices = new Float64Array(capacity)
    this.amounts = new Float64Array(capacity)
  }

  add(operation: Operation, id: number, side: Side, priceTicks: number, amount: number): void {
    const index = this.count++
    this.operations[index] = operation
    this.sides[index] = side
    this.ids[index] = id
    this.prices[index] = priceTicks
    this.amounts[index] = amount
  }
}

/** What of a book the commands need. */
export type Commands = Pick<Book, 'placeLimit' | 'placeMarket' | 'placeMarketByQuote' | 'cancel' | 'amend'>

/** Sends messages `from`..`to`−1; returns how many were accepted. */
export function drive(book: Commands, messages: Messages, from: number, to: number): number {
  const { operations, sides, ids, prices, amounts } = messages
  let accepted = 0
  for (let index = from; index < to; index++) {
    // Typed arrays, read within the messages' count.
    const id = ids[index] as number
    const operation = operations[index] as Operation
    let result: string
    if (operation === PLACE_LIMIT) {
      result = book.placeLimit(id, sides[index] as Side, prices[index] as number, amounts[index] as number)
    } else if (operation === CANCEL) {
      result = book.cancel(id)
    } else if (operation === AMEND) {
      result = book.amend(id, prices[index] as number, amounts[index] as number)
    } else if (operation === PLACE_MARKET) {
      result = book.placeMarket(id, sides[index] as Side, amounts[index] as number, prices[index] as number)
    } else {
      result = book.placeMarketByQuote(id, sides[index] as Side, amounts[index] as number, prices[index] as number)
    }
    if (result === 'accepted') accepted++
  }
  return accepted
}

/**
 * Takes in every event, the low 32 bits of each of its numbers but the slot's, which is layout. As cheap as it can be, so
 * that a benchmark measures the book.
 */
export class ChecksumSink implements BookSink {
  events = 0
  trades = 0
  #hash = 0

  get checksum(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  traded(makerId: number, _slot: number, takerId: number, priceTicks: number, lots: number, left: number): void {
    this.trades++
    this.#take(makerId ^ Math.imul(takerId, 3) ^ Math.imul(priceTicks, 5), Math.imul(lots, 7) + left + 1)
  }

  rested(orderId: number, _slot: number, remainingLots: number): void {
    this.#take(orderId, remainingLots + 2)
  }

  reduced(orderId: number, _slot: number, remainingLots: number): void {
    this.#take(orderId, remainingLots + 3)
  }

  cancelled(orderId: number, _slot: number, remainingLots: number): void {
    this.#take(orderId, remainingLots + 4)
  }

  ended(orderId: number, _slot: number, remaining: number, reason: number): void {
    this.#take(orderId ^ Math.imul(reason, 9), remaining + 5)
  }

  #take(first: number, second: number): void {
    this.events++
    this.#hash = (Math.imul(this.#hash ^ first, 0x01000193) + Math.imul(second, 0x9e3779b1)) | 0
  }
}
