import { OrderBook, Side as PeerSide } from 'nodejs-order-book'
import { Side } from '#services/engine/book/book.ts'
import { type Messages, Operation } from '#services/engine/book/testing/messages.ts'
import { type Measured, measure } from './measure.ts'

export interface PeerResult extends Measured {
  readonly messagesCount: number
}

/** npm's nodejs-order-book with the same messages: their texts are ready beforehand, the objects it wants are made as it is called. */
export class Peer {
  readonly #messages: Messages
  readonly #fillCount: number
  readonly #ids: string[] = []
  readonly #book = new OrderBook()

  constructor(messages: Messages, fillCount: number, messagesMax: number) {
    this.#messages = messages
    this.#fillCount = fillCount
    const end = Math.min(messages.count, fillCount + messagesMax)
    for (let index = 0; index < end; index++) this.#ids.push(String(messages.ids[index]))
  }

  /** Undefined if not even filling the book ends in time. */
  run(limitMs: number): PeerResult | undefined {
    const deadlineMs = performance.now() + limitMs
    if (this.#drive(0, this.#fillCount, deadlineMs) < this.#fillCount) return undefined
    let reached = this.#fillCount
    const measured = measure(1, () => {
      reached = this.#drive(this.#fillCount, this.#ids.length, deadlineMs)
    })
    const messagesCount = reached - this.#fillCount
    return {
      messagesCount,
      messagesPerSecond: measured.messagesPerSecond * messagesCount,
      messagesPerSecondByClock: measured.messagesPerSecondByClock * messagesCount,
    }
  }

  #drive(from: number, to: number, deadlineMs: number): number {
    const { operations, sides, prices, amounts } = this.#messages
    for (let index = from; index < to; index++) {
      if ((index & 255) === 0 && performance.now() > deadlineMs) return index
      const id = this.#ids[index] ?? ''
      const price = prices[index] ?? 0
      const size = amounts[index] ?? 0
      if (operations[index] === Operation.placeLimit) {
        this.#book.limit({ id, side: sides[index] === Side.buy ? PeerSide.BUY : PeerSide.SELL, size, price })
      } else if (operations[index] === Operation.cancel) {
        this.#book.cancel(id)
      } else {
        // Its size is what is to rest, not the total; that makes no difference worth a look at the order.
        this.#book.modify(id, { size, price })
      }
    }
    return to
  }
}
