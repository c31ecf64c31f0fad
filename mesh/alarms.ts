import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import type { LoggerOptions } from 'pino'
import { counter } from './metrics.ts'
import { ALARMS_KEY, ALARMS_MAX, type Alarm, RECENT_ALARMS_KEY, RECENT_ALARMS_MAX } from './protocol/alerts.ts'

/** Of one kind a process sends at most one in that time. */
const EVERY_MS = 60_000
const KINDS_MAX = 1_000
const TEXT_CHARS_MAX = 2_000
const CONNECT_MS_MAX = 2_000
const FATAL = 60

const raised = counter('exchange_alarms_total', 'Fatal and alarming states that were logged.', ['kind'])

export interface Alarms {
  /** Options of the root logger: what is logged as fatal, or with `alarm: true`, is an alarm. */
  readonly logger: Pick<LoggerOptions, 'hooks'>
  /** Resolves when what was raised is in Redis, or cannot be brought there. */
  settled(): Promise<void>
  close(): void
}

/** Puts alarms into a list of Redis, from where the service alerts takes them. Without a URL they are only logged and counted. */
export function createAlarms(
  source: { readonly service: string; readonly instance: string },
  redisUrl: string | undefined,
): Alarms {
  const recent = new Map<string, { atMs: number; held: number }>()
  const underWay = new Set<Promise<unknown>>()
  let redis: Redis | undefined

  /** Undefined: one of its kind was sent a moment ago. */
  const heldBefore = (kind: string): number | undefined => {
    const nowMs = performance.now()
    const before = recent.get(kind)
    if (before !== undefined && nowMs - before.atMs < EVERY_MS) {
      before.held++
      return undefined
    }
    if (recent.size >= KINDS_MAX) recent.clear()
    recent.set(kind, { atMs: nowMs, held: 0 })
    return before?.held ?? 0
  }
  const send = async (alarm: Alarm): Promise<void> => {
    if (redisUrl === undefined) return
    redis ??= connect(redisUrl)
    const text = JSON.stringify(alarm)
    await redis
      .multi()
      .lpush(ALARMS_KEY, text)
      .ltrim(ALARMS_KEY, 0, ALARMS_MAX - 1)
      .lpush(RECENT_ALARMS_KEY, text)
      .ltrim(RECENT_ALARMS_KEY, 0, RECENT_ALARMS_MAX - 1)
      .exec()
  }
  const raise = (logged: Logged, level: number): void => {
    const kind = `${source.service}:${logged.code}`
    raised.inc({ kind })
    const held = heldBefore(kind)
    if (held === undefined) return
    const at = new Date().toISOString()
    const words = { message: told(logged.message), details: told(logged.details), at, held }
    const alarm: Alarm = { id: randomUUID(), kind, level: level >= FATAL ? 'fatal' : 'alarm', ...source, ...words }
    // It is in the log; an alarm about an alarm would not come far either.
    const sending = send(alarm)
      .catch(() => recent.delete(kind))
      .finally(() => underWay.delete(sending))
    underWay.add(sending)
  }

  return {
    logger: {
      hooks: {
        logMethod(args, method, level) {
          const logged = readLogged(args, level, this.bindings())
          if (logged !== undefined) raise(logged, level)
          method.apply(this, args)
        },
      },
    },
    settled: async () => void (await Promise.allSettled(underWay)),
    close: () => redis?.disconnect(),
  }
}

function connect(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, connectTimeout: CONNECT_MS_MAX, retryStrategy: () => 500 })
  redis.on('error', () => {})
  return redis
}

/** An address may have a password in it, and alarms leave the house. */
const told = (text: string): string => text.replaceAll(/:\/\/[^/@\s]+@/g, '://***@').slice(0, TEXT_CHARS_MAX)

interface Logged {
  readonly code: string
  readonly message: string
  readonly details: string
}

/** Undefined where a line is no alarm. */
function readLogged(
  args: readonly unknown[],
  level: number,
  bindings: Readonly<Record<string, unknown>>,
): Logged | undefined {
  const [first, second] = args
  const fields = typeof first === 'object' && first !== null ? (first as Record<string, unknown>) : {}
  if (level < FATAL && fields.alarm !== true) return undefined
  const message = typeof first === 'string' ? first : typeof second === 'string' ? second : 'something is wrong'
  const { err, code = codeOf(err), details } = fields
  const slot = fields.slot ?? bindings.slot
  const about = [slot, err === undefined ? undefined : String(err), details && JSON.stringify(details)]
  return {
    code: typeof code === 'string' ? code : message.replaceAll(' ', '_'),
    message,
    details: about.filter((one) => one !== undefined && one !== '').join('; '),
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)
