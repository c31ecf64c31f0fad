import { Difference } from './difference.ts'
import { Queue } from './queue.ts'

/** An item of a pair and where it stood: in the sender's log what caused it, in the target's log the item itself. */
interface Travelling {
  readonly text: string
  readonly position: string
}

/**
 * One pair of slots: what the sender's replay says, compared item by item with what the target's log holds.
 * Either side may be ahead; only what the other side has not reached yet is kept.
 */
export class PairLink {
  readonly sender: string
  readonly target: string
  sentCount = 0
  receivedCount = 0
  readonly #sent = new Queue<Travelling>()
  readonly #received = new Queue<Travelling>()

  constructor(sender: string, target: string) {
    this.sender = sender
    this.target = target
  }

  /** Sent, and not in the part of the target's log that was read. */
  get underWay(): Iterable<string> {
    return [...this.#sent].map(({ text }) => text)
  }

  get underWayCount(): number {
    return this.#sent.length
  }

  /** In the target's log, and not said by the part of the sender's log that was read: where the first of them stands. */
  get ahead(): string | undefined {
    return this.#received.first?.position
  }

  send(text: string, position: string): void {
    this.sentCount++
    const received = this.#received.shift()
    if (received === undefined) this.#sent.push({ text, position })
    else this.#compare(this.sentCount, { text, position }, received)
  }

  receive(text: string, position: string): void {
    this.receivedCount++
    const sent = this.#sent.shift()
    if (sent === undefined) this.#received.push({ text, position })
    else this.#compare(this.receivedCount, sent, { text, position })
  }

  #compare(count: number, sent: Travelling, received: Travelling): void {
    if (sent.text === received.text) return
    throw new Difference(
      'pair_item_differs',
      { slot: this.target, position: received.position },
      `Item ${count} from ${this.sender} to ${this.target}: the replay of ${this.sender} at ${sent.position} sends ${sent.text}; the log of ${this.target} has ${received.text}.`,
    )
  }
}
