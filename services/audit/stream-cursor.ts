import { type ConsumerMessages, DeliverPolicy, type JsMsg, jetstream, PubHeaders } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { READER_OPTIONS } from '#mesh/stream-reader.ts'
import type { Bell } from '#mesh/projection/bell.ts'
import { Queue } from './domain/queue.ts'

/** Messages that were read and not taken yet; beyond that the reader pauses. */
const AHEAD_MAX = 1_000

/** Reads a stream in order from its first message, with an ordered consumer, a bounded number of messages ahead. */
export class StreamCursor implements AsyncDisposable {
  readonly stream: string
  /** The sequence of the last message that was taken. */
  taken = 0
  readonly #queue = new Queue<JsMsg>()
  readonly #messages: ConsumerMessages
  readonly #arrived: Bell
  /** Messages that there were when it was opened. */
  readonly pendingAtStart: number
  readonly #pump: Promise<void>
  #lastTimeNanos = 0
  /** Messages after the last one that was taken, as the server said when it delivered that one. */
  #pendingCount = Number.POSITIVE_INFINITY
  #failure: unknown
  #stopped = false
  #room: (() => void) | undefined

  private constructor(stream: string, messages: ConsumerMessages, pending: number, arrived: Bell) {
    this.stream = stream
    this.pendingAtStart = pending
    this.#messages = messages
    this.#arrived = arrived
    this.#pump = this.#read()
  }

  /** `arrived` rings when there is a head or a failure; `filter`: subjects, all by default. */
  static async open(nats: NatsConnection, stream: string, arrived: Bell, filter?: string): Promise<StreamCursor> {
    const consumer = await jetstream(nats).consumers.get(stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: 1,
      ...(filter === undefined ? {} : { filter_subjects: filter }),
    })
    const { num_pending: pending } = await consumer.info()
    return new StreamCursor(stream, await consumer.consume(READER_OPTIONS), pending, arrived)
  }

  get head(): JsMsg | undefined {
    return this.#queue.first
  }

  /** The head's time, never before that of the message before it: a clock may jump. */
  get headTimeNanos(): number {
    return Math.max(this.#lastTimeNanos, this.head?.info.timestampNanos ?? Number.POSITIVE_INFINITY)
  }

  /** Whether every message up to this sequence was taken. */
  hasTaken(sequence: number): boolean {
    return this.taken >= sequence || (this.#pendingCount === 0 && this.#queue.length === 0)
  }

  take(): JsMsg | undefined {
    const message = this.#queue.shift()
    if (message === undefined) return undefined
    this.#lastTimeNanos = Math.max(this.#lastTimeNanos, message.info.timestampNanos)
    this.#pendingCount = message.info.pending
    this.taken = message.seq
    if (this.#queue.length < AHEAD_MAX) this.#room?.()
    return message
  }

  /** @throws what ended the reader */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    this.#messages.stop()
    this.#room?.()
    await this.#pump
  }

  async #read(): Promise<void> {
    try {
      for await (const message of this.#messages) {
        if (this.#stopped) return
        this.#queue.push(message)
        this.#arrived.ring()
        if (this.#queue.length < AHEAD_MAX) continue
        await new Promise<void>((resolve) => {
          this.#room = resolve
        })
        this.#room = undefined
      }
    } catch (error) {
      this.#failure = error
      this.#arrived.ring()
    }
  }
}

/** Where the writer of a frame had stored the one before it. */
export function previousOf(message: JsMsg): number | undefined {
  const expected = message.headers?.get(PubHeaders.ExpectedLastSubjectSequenceHdr)
  return expected ? Number(expected) : undefined
}
