import type { Redis } from 'ioredis'
import type { Telemetry } from '#mesh/telemetry/telemetry.ts'

/** Public answers, at most one second old; shared between gateways through Redis where there is one. */
export interface PublicCache {
  /** `make` is asked once for all who come while it works. */
  get(key: string, make: () => Promise<string>): Promise<string>
  /** Asks anew, and keeps the answer. */
  refresh(key: string, make: () => Promise<string>): Promise<string>
}

const AGE_MS_MAX = 1_000
const ENTRIES_MAX = 10_000
/** A cache that answers later than this is none, in milliseconds. */
const REDIS_MS_MAX = 100

interface Entry {
  readonly value: Promise<string>
  freshUntilMs: number
}

export function createPublicCache(
  redis: Redis | undefined,
  telemetry?: Pick<Telemetry, 'active'>,
  nowMs: () => number = () => performance.now(),
): PublicCache {
  const entries = new Map<string, Entry>()
  /** Whether it was there, for the trace of whoever asked. */
  const note = (found: string): void => telemetry?.active()?.note('exchange.cache', found)
  const redisKey = (key: string): string => `exchange:public:${key}`

  /** What another gateway made, and for how long it is fresh. */
  const fromRedis = async (key: string): Promise<{ value: string; leftMs: number } | undefined> => {
    if (redis?.status !== 'ready') return undefined
    const both = Promise.all([redis.get(redisKey(key)), redis.pttl(redisKey(key))])
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, REDIS_MS_MAX, undefined))
    const answer = await Promise.race([both, late]).catch(() => undefined)
    const [value, leftMs] = answer ?? [null, 0]
    return value === null || leftMs <= 0 ? undefined : { value, leftMs }
  }

  const begin = (key: string, work: (entry: Entry) => Promise<string>): Promise<string> => {
    // The work may set the entry's end at once, so it begins when the entry is there.
    const value: Promise<string> = Promise.resolve().then(() => work(entry))
    const entry: Entry = { value, freshUntilMs: Number.POSITIVE_INFINITY }
    entry.value.catch(() => {
      if (entries.get(key) === entry) entries.delete(key)
    })
    if (entries.size >= ENTRIES_MAX) entries.clear()
    entries.set(key, entry)
    return entry.value
  }
  const makeAndKeep = async (key: string, make: () => Promise<string>, entry: Entry): Promise<string> => {
    // Its age counts from when the question was asked.
    const askedAtMs = nowMs()
    const value = await make()
    entry.freshUntilMs = askedAtMs + AGE_MS_MAX
    const leftMs = Math.floor(entry.freshUntilMs - nowMs())
    if (redis?.status === 'ready' && leftMs > 0) redis.set(redisKey(key), value, 'PX', leftMs).catch(() => {})
    return value
  }

  return {
    get: (key, make) => {
      const known = entries.get(key)
      if (known !== undefined && known.freshUntilMs > nowMs()) {
        note('memory')
        return known.value
      }
      return begin(key, async (entry) => {
        const shared = await fromRedis(key)
        note(shared === undefined ? 'miss' : 'redis')
        if (shared === undefined) return makeAndKeep(key, make, entry)
        entry.freshUntilMs = nowMs() + shared.leftMs
        return shared.value
      })
    },
    refresh: (key, make) => {
      note('refresh')
      return begin(key, (entry) => makeAndKeep(key, make, entry))
    },
  }
}
