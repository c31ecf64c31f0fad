import { setTimeout as sleep } from 'node:timers/promises'
import { type JetStreamManager, jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'

/** A bucket, made where it is missing: one value per key, read from the leader. */
export function openBucket(nats: NatsConnection, name: string, replicas = 1): Promise<KV> {
  return new Kvm(jetstream(nats, { timeout: ANSWER_MS_MAX })).create(name, {
    history: 1,
    replicas,
    allow_direct: false,
  })
}

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
  readonly nats: NatsConnection
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
    const kv = await openBucket(nats, bucket, replicas)
    const manager = await jetstream(nats, { timeout: ANSWER_MS_MAX }).jetstreamManager(false)
    const { created, state } = await bucketInfo(manager, bucket)
    const fresh = new Map<string, string>()
    let isLoaded = false
    let applied = 0
    const finish = (): void => {
      isLoaded = true
      // A sequence whose message was purged is never delivered.
      applied = Math.max(applied, state.last_seq)
      replaceAll(fresh)
    }
    const watch = await kv.watch()
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
        const askedAtMs = performance.now()
        const now = await bucketInfo(manager, bucket)
        if (now.created !== created || now.state.last_seq < Math.max(applied, state.last_seq)) return
        while (!isLoaded || applied < now.state.last_seq) {
          if (signal.aborted || performance.now() - askedAtMs > LAG_MS_MAX) return
          await sleep(20)
        }
        if (signal.aborted) return
        touchedAtMs = askedAtMs
        await sleep(CHECK_MS, undefined, { signal }).catch(() => {})
      }
    } finally {
      signal.removeEventListener('abort', stop)
      watch.stop()
      await reading
    }
  }

  void (async () => {
    while (!closed && !nats.isClosed()) {
      again = new AbortController()
      try {
        await follow(again.signal)
      } catch (error) {
        if (!closed && !nats.isClosed() && !nats.isDraining())
          log.warn({ err: error, bucket }, 'a bucket cannot be followed')
      }
      if (!closed) await sleep(100)
    }
  })()
  void (async () => {
    for await (const { type } of nats.status()) if (type === 'reconnect') again.abort()
  })()

  return {
    get entries() {
      return entries
    },
    isCurrent: () => performance.now() - touchedAtMs < OUT_OF_TOUCH_MS,
    loaded: () => loaded,
    close() {
      closed = true
      again.abort()
    },
  }
}

const bucketInfo = (manager: JetStreamManager, bucket: string) => manager.streams.info(`KV_${bucket}`)
