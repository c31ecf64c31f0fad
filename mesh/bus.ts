import { JetStreamApiError, type JetStreamManager, jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { archivedPart, readBoth } from './archive/attached.ts'
import { openReader } from './stream-reader.ts'
import { ensureStreams, type MeshShape, raiseReplicas } from './streams.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import { systemTime, type Time } from './time.ts'

/**
 * What the mesh asks of a connection. The client's own connection is one as it is; the simulation has another, which brings
 * its own streams and time along.
 */
export interface Bus {
  publish(subject: string, payload: string, options?: { readonly reply?: string; readonly headers?: MsgHdrs }): void
  subscribe(
    subject: string,
    options: { readonly queue?: string; readonly callback: (error: Error | null, message: BusMessage) => void },
  ): BusSubscription
  request(
    subject: string,
    payload: string,
    options: { readonly timeout: number; readonly headers?: MsgHdrs },
  ): Promise<BusMessage>
  status(): AsyncIterable<{ readonly type: string }>
  isClosed(): boolean
  isDraining(): boolean
  readonly streams?: Streams
  readonly time?: Time
  /** Where tracing is on. */
  readonly telemetry?: Telemetry
  /** Where answers go, if not to the client's usual place. */
  readonly inboxPrefix?: string | undefined
}

export interface BusSubscription {
  unsubscribe(): void
  /** Takes no more, but what is on its way here. */
  drain?(): Promise<void>
}

export interface BusMessage {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers?: { readonly code: number; get?(name: string): string } | undefined
  string(): string
  json<T>(): T
  respond(payload: string): void
}

/** The streams of the mesh, and its buckets. */
export interface Streams {
  /** Makes the mesh's streams where they are missing. @throws StreamMismatch */
  ensure(shape: MeshShape): Promise<void>
  /** Nothing where the stream is not there. `subjects`: those that match the filter, with their message counts. */
  info(stream: string, subjectsFilter?: string): Promise<StreamState | undefined>
  /** The last message of the subjects that match, from the stream's leader. */
  last(stream: string, subject: string): Promise<StreamMessage | undefined>
  /** The message at a sequence, from the stream's leader. */
  at(stream: string, sequence: number): Promise<StreamMessage | undefined>
  /** The messages of the subjects that match, in order, from a sequence on and for good; it goes on after a reconnect. */
  read(stream: string, subject: string, fromSequence: number): Promise<StreamReader>
  /** A bucket, made where it is missing: one value per key, read from the leader. */
  bucket(name: string, replicas?: number): Promise<BucketStore>
}

export interface StreamState {
  /** When it was made: another stream of the same name has another. */
  readonly created: string
  readonly state: {
    readonly messages: number
    readonly last_seq: number
    readonly subjects?: Readonly<Record<string, number>>
  }
}

export interface StreamMessage {
  readonly subject: string
  readonly seq: number
  readonly data: Uint8Array
  string(): string
}

export interface ReadMessage extends StreamMessage {
  readonly headers?: { get(name: string): string } | undefined
  readonly info: { readonly timestampNanos: number }
}

export interface StreamReader extends AsyncIterable<ReadMessage> {
  stop(): void
}

/** The bus has not answered in time. Nothing is wrong but that. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'

  constructor(cause: unknown) {
    super(`No answer from the bus: ${String(cause)}`, { cause })
  }
}

export interface BucketEntry {
  readonly key: string
  readonly operation: string
  readonly revision: number
  string(): string
  json<T>(): T
}

export interface BucketStore {
  get(key: string): Promise<BucketEntry | null>
  /** `previousSeq`: only if this is the key's last revision (0: none yet). */
  put(key: string, value: string, options?: { readonly previousSeq: number }): Promise<number>
  delete(key: string): Promise<void>
  /** What is there, and then what changes. `delta`: how many entries of what was there are still to come. */
  watch(): Promise<AsyncIterable<BucketEntry & { readonly delta?: number }> & { stop(): void }>
}

export const timeOf = (bus: Bus): Time => bus.time ?? systemTime

export const telemetryOf = (bus: Bus): Telemetry | undefined => bus.telemetry

/** `answerMsMax`: how long an answer of the server is waited for, in milliseconds. Default 5000. */
export const streamsOf = (bus: Bus, answerMsMax?: number): Streams =>
  bus.streams ?? natsStreams(connectionOf(bus), answerMsMax)

/** A bus without streams of its own is a connection of the client. */
const connectionOf = (bus: Bus): NatsConnection => bus as NatsConnection

function natsStreams(nats: NatsConnection, answerMsMax = 5_000): Streams {
  const js = jetstream(nats, { timeout: Math.min(answerMsMax, TRY_MS_MAX) })
  let opened: Promise<JetStreamManager> | undefined
  const manager = (): Promise<JetStreamManager> => {
    opened ??= js.jetstreamManager(false)
    return opened
  }
  return {
    ensure: async (shape) => void (await ensureStreams(nats, shape)),
    info: async (stream, subjectsFilter) => {
      const { streams } = await manager()
      const question = subjectsFilter === undefined ? undefined : { subjects_filter: subjectsFilter }
      return untilAnswered(nats, () => orMissing(streams.info(stream, question)), answerMsMax)
    },
    last: async (stream, subject) => {
      const { streams } = await manager()
      return untilAnswered(nats, () => orMissing(streams.getMessage(stream, { last_by_subj: subject })), answerMsMax)
    },
    at: async (stream, sequence) => {
      const { streams } = await manager()
      return untilAnswered(nats, () => orMissing(streams.getMessage(stream, { seq: sequence })), answerMsMax)
    },
    read: async (stream, subject, fromSequence) => {
      const reader = jetstream(nats, { timeout: READER_ANSWER_MS_MAX })
      const open = (from: number): Promise<StreamReader> =>
        untilAnswered(nats, () => openReader(nats, reader, { stream, subject, fromSequence: from }))
      const archived = await archivedPart(nats, stream, fromSequence)
      return archived === undefined ? open(fromSequence) : readBoth(archived, { subject, fromSequence }, open)
    },
    bucket: (name, replicas) => openBucket(nats, name, replicas),
  }
}

/** A question that only reads is asked again after so long. */
const TRY_MS_MAX = 2_000

/** A reader that begins anew asks again rather than wait for a server that is gone. */
const READER_ANSWER_MS_MAX = 1_000

const BUCKET_ANSWER_MS_MAX = 1_000

/** A bucket, made where it is missing: one value per key, read from the leader. */
export async function openBucket(nats: NatsConnection, name: string, replicas = 1): Promise<KV> {
  const js = jetstream(nats, { timeout: BUCKET_ANSWER_MS_MAX })
  // Whoever asks while a cluster elects or makes it gets no answer in time.
  const bucket = await untilAnswered(nats, () =>
    new Kvm(js).create(name, { history: 1, replicas, allow_direct: false }),
  )
  if (replicas > 1) {
    const manager = await js.jetstreamManager(false)
    // One that was just made may not be known everywhere yet; it has as many as were wanted.
    const info = await untilAnswered(nats, () => orMissing(manager.streams.info(`KV_${name}`)))
    if (info !== undefined) await raiseReplicas(manager, info.config, replicas)
  }
  return bucket
}

const ANSWERED_MS_MAX = 15_000
const RETRY_MS = 100

/** Asks again while the server does not answer, for some time; at once when the connection broke before the answer came. */
async function untilAnswered<Found>(
  nats: NatsConnection,
  ask: () => Promise<Found>,
  msMax = ANSWERED_MS_MAX,
): Promise<Found> {
  const deadlineMs = performance.now() + msMax
  for (;;) {
    try {
      return await unlessLost(nats, ask())
    } catch (error) {
      const isRefused = error instanceof JetStreamApiError && error.status !== 503
      if (isRefused || nats.isClosed()) throw error
      if (performance.now() > deadlineMs) throw new Unanswered(error)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

/** By connection: what waits for an answer that a broken connection will not bring. */
const waitingOn = new WeakMap<NatsConnection, Set<(error: Error) => void>>()

function waitingFor(nats: NatsConnection): Set<(error: Error) => void> {
  const known = waitingOn.get(nats)
  if (known !== undefined) return known
  const waiting = new Set<(error: Error) => void>()
  waitingOn.set(nats, waiting)
  void (async () => {
    for await (const { type } of nats.status()) {
      if (type !== 'reconnect') continue
      const error = new Error('The connection broke before the answer came.')
      for (const lose of [...waiting]) lose(error)
    }
  })()
  return waiting
}

async function unlessLost<Found>(nats: NatsConnection, answer: Promise<Found>): Promise<Found> {
  const waiting = waitingFor(nats)
  const { promise: lost, reject: lose } = Promise.withResolvers<never>()
  waiting.add(lose)
  try {
    return await Promise.race([answer, lost])
  } finally {
    waiting.delete(lose)
  }
}

async function orMissing<Found>(answer: Promise<Found | null>): Promise<Found | undefined> {
  try {
    return (await answer) ?? undefined
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return undefined
    throw error
  }
}
