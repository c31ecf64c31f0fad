import { connect } from 'amqplib'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { Pool, Row } from '#mesh/mysql.ts'
import { DEAD_LETTERS_QUEUE, QUEUES } from '#services/ingest-rabbitmq/topology.ts'
import type { Server } from '../domain/state.ts'
import { type Kept, kept } from './kept.ts'

export interface ServerParts {
  readonly natsMonitorUrls: readonly string[]
  readonly pool: Pool | undefined
  readonly redis: Redis | undefined
  readonly rabbitmqUrl: string | undefined
  readonly log: Logger
}

type Facts = Server['facts']

const NATS_MS = 2_000
const OTHERS_MS = 5_000
/** A connection is made for each look. */
const RABBITMQ_MS = 10_000
const ANSWER_MS_MAX = 2_000

/** The servers that the exchange stands on, those that this process was told of. */
export function createServerLooks({ natsMonitorUrls, pool, redis, rabbitmqUrl, log }: ServerParts): Kept<Server>[] {
  const server = (name: string, everyMs: number, ask: () => Promise<Facts>): Kept<Server> => {
    const look = async (): Promise<Server> => {
      try {
        return { name, state: 'ok', words: '', facts: await inTime(ask()) }
      } catch (error) {
        return { name, state: 'down', words: wordsOf(error), facts: [] }
      }
    }
    return kept(name, everyMs, { name, state: 'ok', words: 'not asked yet', facts: [] }, look, log)
  }
  const looks = natsMonitorUrls.map((url, index) =>
    server(natsMonitorUrls.length === 1 ? 'NATS' : `NATS ${index + 1}`, NATS_MS, natsLook(url)),
  )
  if (pool !== undefined) looks.push(server('MySQL', OTHERS_MS, () => askMysql(pool)))
  if (redis !== undefined) looks.push(server('Redis', OTHERS_MS, () => askRedis(redis)))
  if (rabbitmqUrl !== undefined) looks.push(server('RabbitMQ', RABBITMQ_MS, () => askRabbitmq(rabbitmqUrl)))
  return looks
}

/** `fetch` hides why it failed; several addresses that were tried in vain make an error without a message. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause instanceof Error) return wordsOf(error.cause)
  return error.message || ('code' in error ? String(error.code) : error.name)
}

async function inTime<Found>(asking: Promise<Found>): Promise<Found> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS_MAX / 1_000} s`)), ANSWER_MS_MAX)
  try {
    return await Promise.race([asking, late])
  } finally {
    clearTimeout(timer)
    // Whatever comes of it later.
    asking.catch(() => {})
  }
}

interface Varz {
  readonly version: string
  readonly uptime: string
  readonly connections: number
  readonly mem: number
  readonly in_msgs: number
  readonly slow_consumers: number
  readonly jetstream?: { readonly stats?: { readonly storage?: number }; readonly config?: { max_storage?: number } }
}

function natsLook(url: string): () => Promise<Facts> {
  let before: { readonly count: number; readonly atMs: number } | undefined
  return async () => {
    const response = await fetch(`${url}/varz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
    if (!response.ok) throw new Error(`its monitoring answers ${response.status}`)
    const varz = (await response.json()) as Varz
    const atMs = performance.now()
    const rate = before === undefined ? undefined : ((varz.in_msgs - before.count) * 1_000) / (atMs - before.atMs)
    before = { count: varz.in_msgs, atMs }
    return [
      ['version', varz.version],
      ['up', varz.uptime],
      ['connections', String(varz.connections)],
      ['messages in', rate === undefined ? '–' : `${Math.max(0, Math.round(rate))}/s`],
      ['slow consumers', String(varz.slow_consumers)],
      ['memory', bytes(varz.mem)],
      ['stored', bytes(varz.jetstream?.stats?.storage ?? 0)],
    ]
  }
}

async function askMysql(pool: Pool): Promise<Facts> {
  const [[found]] = await pool.query<Row[]>('SELECT VERSION() AS version')
  const [rows] = await pool.query<Row[]>(
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Threads_running', 'Uptime')",
  )
  const status = new Map(rows.map((row) => [String(row.Variable_name), String(row.Value)]))
  return [
    ['version', String(found?.version).split('-')[0] ?? ''],
    ['up', `${Math.round(Number(status.get('Uptime')) / 60)} min`],
    ['connections', status.get('Threads_connected') ?? ''],
    ['at work', status.get('Threads_running') ?? ''],
  ]
}

async function askRedis(redis: Redis): Promise<Facts> {
  if (redis.status !== 'ready') throw new Error('no connection')
  const info = await redis.info()
  const of = (name: string): string => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? ''
  return [
    ['version', of('redis_version')],
    ['up', `${Math.round(Number(of('uptime_in_seconds')) / 60)} min`],
    ['connections', of('connected_clients')],
    ['memory', bytes(Number(of('used_memory')))],
    ['commands', `${of('instantaneous_ops_per_sec')}/s`],
  ]
}

/** How many messages wait in each queue of ours. */
async function askRabbitmq(url: string): Promise<Facts> {
  const connection = await connect(url, { timeout: ANSWER_MS_MAX })
  try {
    connection.on('error', () => {})
    const facts: [string, string][] = [['version', String(connection.connection.serverProperties.version)]]
    for (const queue of [...Object.keys(QUEUES), DEAD_LETTERS_QUEUE]) {
      // A queue that is not there ends its channel.
      const channel = await connection.createChannel()
      channel.on('error', () => {})
      const found = await channel.checkQueue(queue).catch(() => undefined)
      facts.push([queue, found === undefined ? 'not there' : `${found.messageCount} waiting`])
      if (found !== undefined) await channel.close()
    }
    return facts
  } finally {
    await connection.close().catch(() => {})
  }
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const

function bytes(count: number): string {
  const power = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(count) / 10))
  const amount = count / 1024 ** power
  return `${amount < 10 && power > 0 ? amount.toFixed(1) : Math.round(amount)} ${UNITS[power]}`
}
