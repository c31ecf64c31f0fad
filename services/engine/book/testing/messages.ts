import type { Book, BookSink, Side } from '../book.ts'

export const Operation = { placeLimit: 0, cancel: 1, amend: 2, placeMarket: 3, placeMarketByQuote: 4 } as const
export type Operation = (typeof Operation)[keyof typeof Operation]

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
    if (operation === Operation.placeLimit) {
      result = book.placeLimit(id, sides[index] as Side, prices[index] as number, amounts[index] as number)
    } else if (operation === Operation.cancel) {
      result = book.cancel(id)
    } else if (operation === Operation.amend) {
      result = book.amend(id, prices[index] as number, amounts[index] as number)
    } else if (operation === Operation.placeMarket) {
      result = book.placeMarket(id, sides[index] as Side, amounts[index] as number, prices[index] as number)
    } else {
      result = book.placeMarketByQuote(id, sides[index] as Side, amounts[index] as number, prices[index] as number)
    }
    if (result === 'accepted') accepted++
  }
  return accepted
}

/** Takes in every number of every event but the slots, which are layout. */
export class ChecksumSink implements BookSink {
  events = 0
  trades = 0
  #hash = 0

  get checksum(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  traded(makerId: number, _slot: number, takerId: number, priceTicks: number, lots: number, left: number): void {
    this.trades++
    this.#take(makerId)
    this.#take(takerId)
    this.#take(priceTicks)
    this.#take(lots)
    this.#take(left + 1)
  }

  rested(orderId: number, _slot: number, remainingLots: number): void {
    this.#take(orderId)
    this.#take(remainingLots + 2)
  }

  reduced(orderId: number, _slot: number, remainingLots: number): void {
    this.#take(orderId)
    this.#take(remainingLots + 3)
  }

  cancelled(orderId: number, _slot: number, remainingLots: number): void {
    this.#take(orderId)
    this.#take(remainingLots + 4)
  }

  ended(orderId: number, _slot: number, remaining: number, reason: number): void {
    this.#take(orderId)
    this.#take(remaining)
    this.#take(reason + 5)
  }

  #take(value: number): void {
    this.events++
    this.#hash = Math.imul(this.#hash ^ value ^ (value / 4294967296), 0x01000193) + 0x9e3779b9
    this.#hash ^= this.#hash >>> 15
  }
}
