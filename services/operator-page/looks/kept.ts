import type { Logger } from 'pino'

export interface Kept<Value> {
  /** What was found last. The first time, and after a time in which nobody asked, it is waited for a moment. */
  value(): Promise<Value>
}

const WAIT_MS_MAX = 1_500
/** So late it is no news. */
const STALE_MS = 5_000

/**
 * Something that is looked at when somebody wants to know it, at most every so often and never twice at once: however many look
 * at the page, and however late the answer is, the exchange is asked no more than that.
 */
export function kept<Value>(
  name: string,
  everyMs: number,
  none: Value,
  look: () => Promise<Value>,
  log: Logger,
): Kept<Value> {
  let value = none
  let askedAtMs = Number.NEGATIVE_INFINITY
  let foundAtMs = Number.NEGATIVE_INFINITY
  let asking: Promise<void> | undefined
  const ask = async (): Promise<void> => {
    askedAtMs = performance.now()
    try {
      value = await look()
    } catch (err) {
      log.warn({ err, look: name }, 'something could not be looked at')
      value = none
    } finally {
      foundAtMs = performance.now()
      asking = undefined
    }
  }
  return {
    value: async () => {
      const nowMs = performance.now()
      if (asking === undefined && nowMs - askedAtMs >= everyMs) asking = ask()
      const isStale = nowMs - foundAtMs > everyMs + STALE_MS
      if (isStale) await Promise.race([asking, new Promise((resolve) => setTimeout(resolve, WAIT_MS_MAX))])
      return value
    },
  }
}
