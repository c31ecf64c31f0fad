import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { BucketRule, Buckets } from './buckets.ts'

/** How often what was taken here is settled in Redis, in milliseconds. */
const SETTLE_MS = 250
const SWEEP_MS = 10_000
/** Keys in one script call: about half a millisecond of Redis. */
const KEYS_MAX = 200

/**
 * KEYS: buckets. ARGV: tokens per second, burst, then what was spent of each. Answers the levels in thousandths.
 * A level may go below zero: that is what several gateways let through at once, and it is paid back.
 */
const SETTLE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local rate = tonumber(ARGV[1]) / 1000
local burst = tonumber(ARGV[2])
local levels = {}
for index, key in ipairs(KEYS) do
  local level = burst
  local stored = redis.call('HMGET', key, 'level', 'at')
  if stored[1] then
    level = math.min(burst, tonumber(stored[1]) + math.max(0, now - tonumber(stored[2])) * rate)
  end
  level = level - tonumber(ARGV[index + 2])
  redis.call('HSET', key, 'level', level, 'at', now)
  redis.call('PEXPIRE', key, math.ceil((burst - level) / rate) + 1000)
  levels[index] = math.floor(level * 1000)
end
return levels
`

/**
 * Shares buckets between gateways. No request waits for Redis: each gateway counts alone and settles every 250 ms.
 * So between two settlements n gateways together may let through up to n times what is in the bucket (at most its burst);
 * what was too much is a debt in Redis, so the mean over time is the rule's. Without Redis the rule holds per gateway.
 */
export function shareBuckets(
  redis: Redis | undefined,
  shared: readonly { readonly name: string; readonly rule: BucketRule; readonly buckets: Buckets }[],
  log: Logger,
): () => void {
  const settleOne = async (name: string, rule: BucketRule, buckets: Buckets): Promise<void> => {
    const spent = buckets.spent()
    if (redis?.status !== 'ready') return
    for (let from = 0; from < spent.length; from += KEYS_MAX) {
      const part = spent.slice(from, from + KEYS_MAX)
      const levels = (await redis.eval(
        SETTLE,
        part.length,
        ...part.map(({ key }) => `exchange:rate:${name}:${key}`),
        rule.perSecond,
        rule.burst,
        ...part.map(({ tokens }) => tokens),
      )) as number[]
      for (const [index, { key }] of part.entries()) buckets.settle(key, (levels[index] ?? 0) / 1000)
    }
  }
  let settling = false
  const settle = async (): Promise<void> => {
    if (settling) return
    settling = true
    try {
      for (const { name, rule, buckets } of shared) await settleOne(name, rule, buckets)
    } catch (error) {
      log.warn({ err: error }, 'rate limits could not be settled in Redis; they hold per instance')
    } finally {
      settling = false
    }
  }
  const timers = [
    setInterval(() => void settle(), SETTLE_MS),
    setInterval(() => {
      for (const { buckets } of shared) buckets.sweep()
    }, SWEEP_MS),
  ]
  return () => timers.forEach(clearInterval)
}
