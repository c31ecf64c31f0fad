import type { Redis } from 'ioredis'
import type { Pool } from '../mysql.ts'
import type { Telemetry } from './telemetry.ts'
import { childOf } from './traceparent.ts'

/** Statements beyond it are cut; their values are not told. */
const STATEMENT_CHARS_MAX = 500

/** Every statement that a sampled request asks the pool for has a span in its trace. */
export function tracePool(pool: Pool, telemetry: Telemetry | undefined): Pool {
  if (telemetry === undefined) return pool
  traceStatements(pool, telemetry)
  const getConnection = pool.getConnection.bind(pool)
  const traced = new WeakSet<object>()
  pool.getConnection = async () => {
    const connection = await getConnection()
    if (!traced.has(connection)) {
      traced.add(connection)
      traceStatements(connection, telemetry)
    }
    return connection
  }
  return pool
}

type Ask = (...args: unknown[]) => Promise<unknown>

function traceStatements(target: object, telemetry: Telemetry): void {
  for (const method of ['query', 'execute'] as const) {
    const original = (target as Record<string, Ask>)[method]?.bind(target)
    if (original === undefined) continue
    const ask: Ask = (...args) => {
      const [statement] = args
      const text = typeof statement === 'string' ? statement : String((statement as { sql?: unknown })?.sql ?? '')
      const what = text.trimStart().split(/\s/, 1)[0]?.toUpperCase() ?? ''
      return timed(
        telemetry,
        `mysql ${what}`,
        { 'db.system.name': 'mysql', 'db.query.text': text.slice(0, STATEMENT_CHARS_MAX) },
        () => original(...args),
      )
    }
    Object.assign(target, { [method]: ask })
  }
}

/** Every command that a sampled request sends to Redis has a span in its trace. */
export function traceRedis(redis: Redis, telemetry: Telemetry | undefined): Redis {
  if (telemetry === undefined) return redis
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = (command, stream) =>
    timed(telemetry, `redis ${command.name.toUpperCase()}`, { 'db.system.name': 'redis' }, () => send(command, stream))
  return redis
}

/** Awaits what it returns, if the request that asks is sampled. */
function timed<Result>(
  telemetry: Telemetry,
  name: string,
  attributes: Readonly<Record<string, string>>,
  work: () => Result,
): Result {
  const parent = telemetry.active()?.span
  if (parent === undefined) return work()
  const startUs = telemetry.nowUs()
  const result = work()
  const end = (error?: unknown): void =>
    telemetry.record({
      name,
      self: childOf(parent),
      parent,
      kind: 'client',
      startUs,
      endUs: telemetry.nowUs(),
      attributes,
      error: error === undefined ? undefined : String(error),
    })
  Promise.resolve(result).then(() => end(), end)
  return result
}
