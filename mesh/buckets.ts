import type { Logger } from 'pino'
import { type Bus, type StreamState, type Streams, streamsOf, timeOf } from './bus.ts'
import { sleep } from './time.ts'

export { openBucket } from './bus.ts'

/** What a bucket holds, kept up to date. */
export interface BucketView {
  /** By key. Stays what it was last while the bucket is out of reach. */
  readonly entries: ReadonlyMap<string, string>
  /** Loaded, and in touch with the bucket within the last 5 s. Cheap. */
  isCurrent(): boolean
  /** Resolves when it is loaded for the first time. */
  loaded(): Promise<void>
  close(): void
}

export interface BucketFollower {
  readonly nats: Bus
  readonly bucket: string
  readonly replicas?: number
  readonly log: Logger
  /** Called after `entries` has changed; no value: the key is gone. */
  readonly changed?: (key: string, value: string | undefined) => void
}

/** How long a view without a sign of life is trusted, in milliseconds. */
export const OUT_OF_TOUCH_MS = 5_000
const ANSWER_MS_MAX = 1_000
const CHECK_MS = 1_000
const LAG_MS_MAX = 1_000

/**
 * Watches a bucket. A watch can stall or miss what the server lost, silently; so each second the bucket's last sequence is
 * asked for, and the watch must reach it. If it does not, or the sequence went backwards, or the bucket is another one, or the
 * connection was away, everything is loaded anew (and compared: `changed` hears only of differences).
 */
export function followBucket({ nats, bucket, replicas, log, changed }: BucketFollower): BucketView {
  const time = timeOf(nats)
  const streams = streamsOf(nats, ANSWER_MS_MAX)
  let entries = new Map<string, string>()
  let touchedAtMs = Number.NEGATIVE_INFINITY
  let again = new AbortController()
  let closed = false
  let firstLoad = () => {}
  const loaded = new Promise<void>((resolve) => {
    firstLoad = resolve
  })

  const replaceAll = (fresh: Map<string, string>): void => {
    const before = entries
    entries = fresh
    firstLoad()
    for (const key of before.keys()) if (!fresh.has(key)) changed?.(key, undefined)
    for (const [key, value] of fresh) if (before.get(key) !== value) changed?.(key, value)
  }

  const follow = async (signal: AbortSignal): Promise<void> => {
    const kv = await within(streams.bucket(bucket, replicas))
    const { created, state } = await bucketInfo(streams, bucket)
    const fresh = new Map<string, string>()
    let isLoaded = false
    let applied = 0
    const finish = (): void => {
      isLoaded = true
      // A sequence whose message was purged is never delivered.
      applied = Math.max(applied, state.last_seq)
      replaceAll(fresh)
    }
    const watching = kv.watch()
    const watch = await within(watching).catch((error: unknown) => {
      void watching.then((late) => late.stop()).catch(() => {})
      throw error
    })
    const stop = () => watch.stop()
    signal.addEventListener('abort', stop)
    const apply = (key: string, value: string | undefined, left: number | undefined): void => {
      if (value === undefined) fresh.delete(key)
      else fresh.set(key, value)
      if (isLoaded) changed?.(key, value)
      else if (left === 0) finish()
    }
    const reading = (async () => {
      for await (const entry of watch) {
        applied = Math.max(applied, entry.revision)
        apply(entry.key, entry.operation === 'PUT' ? entry.string() : undefined, entry.delta)
      }
    })().catch((error: unknown) => {
      log.error({ err: error, bucket }, 'a bucket cannot be read')
      again.abort()
    })
    try {
      if (state.messages === 0) finish()
      while (!signal.aborted) {
        const askedAtMs = time.nowMs()
        const now = await bucketInfo(streams, bucket)
        if (now.created !== created || now.state.last_seq < Math.max(applied, state.last_seq)) return
        while (!isLoaded || applied < now.state.last_seq) {
          if (signal.aborted || time.nowMs() - askedAtMs > LAG_MS_MAX) return
          await sleep(time, 20)
        }
        if (signal.aborted) return
        touchedAtMs = askedAtMs
        await sleep(time, CHECK_MS, signal)
      }
    } finally {
      signal.removeEventListener('abort', stop)
      watch.stop()
      await Promise.race([reading, sleep(time, ANSWER_MS_MAX)])
    }
  }
  /** While a connection comes and goes, an answer may stay away for good. */
  const within = <T>(answer: Promise<T>): Promise<T> =>
    Promise.race([
      answer,
      sleep(time, OUT_OF_TOUCH_MS).then(() => Promise.reject(new Error(`No answer within ${OUT_OF_TOUCH_MS} ms.`))),
    ])

  void (async () => {
    while (!closed && !nats.isClosed()) {
      again = new AbortController()
      try {
        await follow(again.signal)
      } catch (error) {
        if (!closed && !nats.isClosed() && !nats.isDraining())
          log.warn({ err: error, bucket }, 'a bucket cannot be followed')
      }
      if (!closed) await sleep(time, 100)
    }
  })()
  void (async () => {
    for await (const { type } of nats.status()) if (type === 'reconnect') again.abort()
  })()

  return {
    get entries() {
      return entries
    },
    isCurrent: () => time.nowMs() - touchedAtMs < OUT_OF_TOUCH_MS,
    loaded: () => loaded,
    close() {
      closed = true
      again.abort()
    },
  }
}

async function bucketInfo(streams: Streams, bucket: string): Promise<StreamState> {
  const info = await streams.info(`KV_${bucket}`)
  if (info === undefined) throw new Error(`The bucket ${bucket} is gone.`)
  return info
}
