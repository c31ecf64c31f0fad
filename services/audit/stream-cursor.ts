import { type Consumer, type ConsumerMessages, DeliverPolicy, jetstream, PubHeaders } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type ArchivedPart, archivedPart } from '#mesh/archive/attached.ts'
import type { ReadMessage } from '#mesh/bus.ts'
import type { Bell } from '#mesh/projection/bell.ts'
import { READER_OPTIONS } from '#mesh/stream-reader.ts'
import { Queue } from './domain/queue.ts'

/** Messages that were read and not taken yet; beyond that the reader pauses. */
const AHEAD_MAX = 1_000

/** A message, and how many there were after it when it was read. */
export type CursorMessage = ReadMessage & {
  readonly info: { readonly timestampNanos: number; readonly pending: number }
}

/**
 * Reads a stream in order from its first message, a bounded number of messages ahead: what is archived from there, the rest with an
 * ordered consumer.
 */
export class StreamCursor implements AsyncDisposable {
  readonly stream: string
  /** The sequence of the last message that was taken. */
  taken = 0
  readonly #queue = new Queue<CursorMessage>()
  readonly #source: Source
  #messages: ConsumerMessages | undefined
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

  private constructor(stream: string, source: Source, arrived: Bell) {
    this.stream = stream
    this.pendingAtStart = source.archivedCount + source.pending
    this.#source = source
    this.#arrived = arrived
    this.#pump = this.#read()
  }

  /** `arrived` rings when there is a head or a failure; `filter`: subjects, all by default. */
  static async open(nats: NatsConnection, stream: string, arrived: Bell, filter?: string): Promise<StreamCursor> {
    const archived = await archivedPart(nats, stream, 1)
    const consumer = await jetstream(nats).consumers.get(stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: (archived?.end ?? 0) + 1,
      ...(filter === undefined ? {} : { filter_subjects: filter }),
    })
    const { num_pending: pending } = await consumer.info()
    const wanted = filter ?? '>'
    return new StreamCursor(
      stream,
      { archived, archivedCount: archived?.count(wanted) ?? 0, wanted, pending, consumer },
      arrived,
    )
  }

  get head(): CursorMessage | undefined {
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

  take(): CursorMessage | undefined {
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
    this.#messages?.stop()
    this.#room?.()
    await this.#pump
  }

  async *#all(): AsyncGenerator<CursorMessage> {
    const { archived, archivedCount, wanted, pending, consumer } = this.#source
    let left = archivedCount + pending
    for await (const message of archived?.read(wanted, 1) ?? []) {
      yield { ...message, info: { ...message.info, pending: --left } }
    }
    if (this.#stopped) return
    this.#messages = await consumer.consume(READER_OPTIONS)
    if (this.#stopped) this.#messages.stop()
    yield* this.#messages
  }

  async #read(): Promise<void> {
    try {
      for await (const message of this.#all()) {
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

interface Source {
  readonly archived: ArchivedPart | undefined
  readonly archivedCount: number
  readonly wanted: string
  /** In the stream, behind what is archived. */
  readonly pending: number
  readonly consumer: Consumer
}

/** Where the writer of a frame had stored the one before it. */
export function previousOf(message: ReadMessage): number | undefined {
  const expected = message.headers?.get(PubHeaders.ExpectedLastSubjectSequenceHdr)
  return expected ? Number(expected) : undefined
}
