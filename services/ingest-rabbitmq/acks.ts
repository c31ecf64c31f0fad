/** What is acknowledged with the message of this tag, and all before it. */
export type AckUpTo = (deliveryTag: number) => void

/**
 * Acknowledges deliveries in their order, many with one frame: a delivery waits for those before it, which are under way
 * through the same log.
 */
export class Acks {
  readonly #ackUpTo: AckUpTo
  /** Tags from `#next` on that are done. */
  readonly #done = new Set<number>()
  #next = 1
  #acked = 0
  #scheduled = false

  constructor(ackUpTo: AckUpTo) {
    this.#ackUpTo = ackUpTo
  }

  /** Tags of a channel count from 1; each is done once. */
  done(deliveryTag: number): void {
    this.#done.add(deliveryTag)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  flush(): void {
    while (this.#done.delete(this.#next)) this.#next++
    if (this.#next - 1 === this.#acked) return
    this.#acked = this.#next - 1
    this.#ackUpTo(this.#acked)
  }
}
