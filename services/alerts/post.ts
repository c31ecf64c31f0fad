import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { ALARMS_KEY, type Alarm } from '#mesh/protocol/alerts.ts'
import type { Channel } from './channels.ts'
import { wordsOf } from './domain/words.ts'

export interface PostOptions {
  readonly redisUrl: string
  readonly channels: readonly Channel[]
  readonly everySeconds: number
  readonly log: Logger
  readonly shutdown: AbortSignal
  /** Told after each try. */
  readonly tried: (failure: string | undefined) => void
}

/** Takes alarms from the list and tells them. */
export interface Post {
  /** To whom this alarm was told; undefined where nobody was, yet. */
  deliveredTo(id: string): Promise<string[] | undefined>
  add(alarm: Alarm): Promise<void>
  waiting(): Promise<number>
  stop(): Promise<void>
}

/** One that was taken and is not told yet: it comes again after a crash. */
const WORKING_KEY = `${ALARMS_KEY}:working`
const LOOK_SECONDS = 1
const PAUSE_MS_MIN = 500
const PAUSE_MS_MAX = 30_000
/** How long it is known to whom one was told. */
const TOLD_SECONDS = 60

export function startPost(options: PostOptions): Post {
  const { channels, everySeconds, log, shutdown, tried } = options
  const redis = connect(options.redisUrl, log)
  // A list that is waited for holds its connection up.
  const waiter = connect(options.redisUrl, log)

  /** What it has to say of others of its kind; undefined: one was told less than a minute ago, and this one is counted. */
  const heldBefore = async ({ id, kind, held }: Alarm): Promise<number | undefined> => {
    const key = `${ALARMS_KEY}:told:${kind}`
    const heldKey = `${ALARMS_KEY}:held:${kind}`
    await redis.set(key, id, 'EX', everySeconds, 'NX')
    // Its own mark: a process that died before it could tell is followed by this one.
    if ((await redis.get(key)) !== id) {
      await redis.incrby(heldKey, held + 1)
      return undefined
    }
    return Number((await redis.getdel(heldKey)) ?? 0) + held
  }
  const deliver = async (alarm: Alarm): Promise<void> => {
    const held = await heldBefore(alarm)
    if (held === undefined) return
    const words = wordsOf(alarm, held)
    const told: string[] = []
    let pauseMs = PAUSE_MS_MIN
    while (!shutdown.aborted) {
      const missing = channels.filter(({ name }) => !told.includes(name))
      const results = await Promise.allSettled(missing.map((channel) => channel.tell(alarm, held, words)))
      const failures = results.flatMap((result, index) => {
        const name = missing[index]?.name ?? ''
        if (result.status === 'rejected') return [`${name}: ${String(result.reason)}`]
        told.push(name)
        return []
      })
      tried(failures.length === 0 ? undefined : failures.join('; '))
      if (failures.length === 0) {
        await redis.set(`${ALARMS_KEY}:delivered:${alarm.id}`, JSON.stringify(told), 'EX', TOLD_SECONDS)
        return
      }
      log.warn({ failures, kind: alarm.kind }, 'an alert could not be told; trying again')
      await pause(pauseMs, shutdown)
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)
    }
    throw new Error('The service stops.')
  }
  const takeOne = async (): Promise<void> => {
    const text = await waiter.blmove(ALARMS_KEY, WORKING_KEY, 'RIGHT', 'LEFT', LOOK_SECONDS)
    if (text === null) return
    const alarm = parse(text)
    if (alarm === undefined) log.warn({ text }, 'this is no alarm')
    else await deliver(alarm)
    await redis.lrem(WORKING_KEY, 1, text)
  }
  const run = async (): Promise<void> => {
    let isBegun = false
    while (!shutdown.aborted) {
      try {
        // What a process that died had taken. Another one that lives may have it in hand: its mark says so.
        while (!isBegun && (await redis.lmove(WORKING_KEY, ALARMS_KEY, 'LEFT', 'RIGHT')) !== null);
        isBegun = true
        await takeOne()
      } catch (err) {
        if (shutdown.aborted) return
        log.warn({ err }, 'Redis is out of reach')
        await pause(PAUSE_MS_MIN, shutdown)
      }
    }
  }
  const running = run()

  return {
    deliveredTo: async (id) => {
      const text = await redis.get(`${ALARMS_KEY}:delivered:${id}`)
      return text === null ? undefined : (JSON.parse(text) as string[])
    },
    add: async (alarm) => void (await redis.lpush(ALARMS_KEY, JSON.stringify(alarm))),
    waiting: async () => (await redis.llen(ALARMS_KEY)) + (await redis.llen(WORKING_KEY)),
    stop: async () => {
      await running
      redis.disconnect()
      waiter.disconnect()
    },
  }
}

function connect(url: string, log: Logger): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, retryStrategy: () => 500 })
  redis.on('error', (err) => log.debug({ err }, 'Redis is out of reach'))
  return redis
}

function parse(text: string): Alarm | undefined {
  try {
    const alarm = JSON.parse(text) as Alarm
    return typeof alarm.id === 'string' && typeof alarm.kind === 'string' ? alarm : undefined
  } catch {
    return undefined
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
