import type { ConsumerInfo, JetStreamManager, StreamInfo } from '@nats-io/jetstream'
import { EVENTS_STREAM, STREAM_OF_LOG } from '#mesh/subjects.ts'
import type { Consumer, Stream } from '../domain/state.ts'

export interface StreamsFound {
  readonly streams: readonly Stream[]
  readonly consumers: readonly Consumer[]
}

const ACTIVE_MS = 10_000

/** Streams and readers beyond these are left out: a page of them each. */
const LOGS: readonly string[] = [...Object.values(STREAM_OF_LOG), EVENTS_STREAM]

/** The streams, what they grow by since the look before, and who reads the logs. Readers of buckets are only counted. */
export function createStreamsLook(manager: () => Promise<JetStreamManager>): () => Promise<StreamsFound> {
  let before = new Map<string, { readonly sequence: number; readonly atMs: number }>()
  /** When the consumer was last seen to have a reader. */
  let readAt = new Map<string, number>()
  return async () => {
    const { streams, consumers } = await manager()
    const infos = await streams.list().next()
    const atMs = performance.now()
    const found = infos.map((info) => streamOf(info, before.get(info.config.name), atMs))
    before = new Map(found.map(({ name, lastSequence }) => [name, { sequence: lastSequence, atMs }]))
    const logs = infos.filter(({ config }) => LOGS.includes(config.name))
    const readers = await Promise.all(logs.map(({ config }) => consumers.list(config.name).next()))
    const all = readers.flat()
    readAt = new Map(
      all.flatMap((info) => {
        const lastAtMs = isRead(info) ? atMs : readAt.get(info.name)
        return lastAtMs === undefined || atMs - lastAtMs > ACTIVE_MS ? [] : [[info.name, lastAtMs]]
      }),
    )
    const living = all.filter(({ name }) => readAt.has(name))
    const readersNow = (stream: Stream): number =>
      LOGS.includes(stream.name)
        ? living.filter(({ stream_name: name }) => name === stream.name).length
        : stream.readers
    return {
      streams: found.map((stream) => ({ ...stream, readers: readersNow(stream) })).sort(byImportance),
      consumers: readersOf(living),
    }
  }
}

function streamOf(
  { config, state, cluster }: StreamInfo,
  before: { readonly sequence: number; readonly atMs: number } | undefined,
  atMs: number,
): Stream {
  const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1_000
  return {
    name: config.name,
    messages: state.messages,
    bytes: state.bytes,
    lastSequence: state.last_seq,
    perSecond: before === undefined || seconds <= 0 ? null : Math.max(0, (state.last_seq - before.sequence) / seconds),
    readers: state.consumer_count,
    replicas: config.num_replicas,
    late: (cluster?.replicas ?? []).flatMap(({ name, current, offline }) => (current && !offline ? [] : [name])),
    leader: cluster?.leader ?? null,
  }
}

const rankOf = ({ name }: Stream): number => (LOGS.includes(name) ? LOGS.indexOf(name) : LOGS.length)
const byImportance = (a: Stream, b: Stream): number => rankOf(a) - rankOf(b) || (a.name < b.name ? -1 : 1)

/**
 * The consumer of a reader that died stays a while, and is nobody's: nobody asks it for messages, and it gives none. (One that lives
 * has a moment between two questions.)
 */
function isRead({ num_waiting: waiting, delivered, ts }: ConsumerInfo): boolean {
  const activeAt = delivered.last_active
  return waiting > 0 || (activeAt !== undefined && Date.parse(String(ts)) - Date.parse(String(activeAt)) < ACTIVE_MS)
}

function readersOf(infos: readonly ConsumerInfo[]): Consumer[] {
  const found = new Map<string, Consumer>()
  for (const { stream_name: stream, config, num_pending: pending } of infos) {
    const subject = config.filter_subject ?? config.filter_subjects?.join(' ') ?? '>'
    const key = `${stream} ${subject}`
    const known = found.get(key)
    found.set(key, {
      stream,
      subject,
      readers: (known?.readers ?? 0) + 1,
      pending: Math.max(known?.pending ?? 0, pending),
    })
  }
  return [...found.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, consumer]) => consumer)
}
