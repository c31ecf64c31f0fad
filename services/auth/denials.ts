import { jetstream } from '@nats-io/jetstream'
import type { KV } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import { openBucket } from '#mesh/buckets.ts'
import { inTransaction, type Pool, type PoolConnection, type Row } from '#mesh/mysql.ts'
import type { Denial } from '#mesh/protocol/auth.ts'
import { Bucket } from '#mesh/subjects.ts'

/**
 * What is denied stands in MySQL first, in the transaction that decides it, and then in the bucket from which every gateway
 * learns it at once. `publish` after the commit; what it could not do, `publishPending` and `repair` do later.
 */
export interface Denials {
  /** Within the caller's transaction. No code: lifted. */
  write(
    connection: PoolConnection,
    keys: readonly string[],
    code: Denial['code'] | undefined,
    untilMs: number,
  ): Promise<void>
  /** Brings the bucket to what MySQL says now. */
  publish(keys: readonly string[]): Promise<void>
  /** Those that are written but not published, after somebody died in between. */
  publishPending(olderThanMs: number): Promise<void>
  /** Puts back what the bucket lost, takes out what it should not have. */
  repair(published: ReadonlyMap<string, string>): Promise<number>
  /** Takes out what is over, at most 1000 at once. @returns how many. */
  sweep(): Promise<number>
}

const ROWS_MAX = 1000
/** A lifted denial keeps its row and its marker in the bucket for so long that everybody has heard of it. */
const LIFTED_MS = 60_000
const AT_ONCE = 8

export function createDenials(parts: {
  readonly nats: NatsConnection
  readonly pool: Pool
  readonly replicas: number
  readonly liftedMs?: number
}): Denials {
  const { nats, pool, replicas, liftedMs = LIFTED_MS } = parts
  let opened: Promise<KV> | undefined
  const bucket = (): Promise<KV> => {
    opened ??= openBucket(nats, Bucket.denied, replicas).catch((error) => {
      opened = undefined
      throw error
    })
    return opened
  }

  /** The row is locked meanwhile: two instances publish one after the other, the last one what was committed last. */
  const publishOne = (key: string): Promise<void> =>
    inTransaction(pool, async (connection) => {
      const [rows] = await connection.query<Row[]>(
        'SELECT code, until_ms FROM denials WHERE denied_key = ? FOR UPDATE',
        [key],
      )
      const denial = rows[0] === undefined ? undefined : denialOfRow(rows[0])
      const kv = await bucket()
      if (denial === undefined) await kv.delete(key)
      else await kv.put(key, JSON.stringify(denial))
      await connection.query('UPDATE denials SET published = 1 WHERE denied_key = ?', [key])
    })
  /** Everybody has heard of it: the marker that the key left in the bucket goes with the row. */
  const forgetOne = (key: string): Promise<void> =>
    inTransaction(pool, async (connection) => {
      const [rows] = await connection.query<Row[]>(
        'SELECT code FROM denials WHERE denied_key = ? AND published = 1 FOR UPDATE',
        [key],
      )
      if (rows[0] === undefined || rows[0].code !== null) return
      const manager = await jetstream(nats).jetstreamManager(false)
      await manager.streams.purge(`KV_${Bucket.denied}`, { filter: `$KV.${Bucket.denied}.${key}` })
      await connection.query('DELETE FROM denials WHERE denied_key = ?', [key])
    })
  const publish = (keys: readonly string[]): Promise<void> => forEachKey(keys, publishOne)

  return {
    async write(connection, keys, code, untilMs) {
      if (keys.length === 0) return
      const nowMs = Date.now()
      const rows = keys.map((key) => [key, code ?? null, untilMs, nowMs, 0])
      await connection.query(
        `INSERT INTO denials (denied_key, code, until_ms, changed_at_ms, published) VALUES ?
         ON DUPLICATE KEY UPDATE code = VALUES(code), until_ms = VALUES(until_ms), changed_at_ms = VALUES(changed_at_ms), published = 0`,
        [rows],
      )
    },
    publish,
    async publishPending(olderThanMs) {
      const [rows] = await pool.query<Row[]>(
        'SELECT denied_key FROM denials WHERE published = 0 AND changed_at_ms < ? ORDER BY changed_at_ms LIMIT ?',
        [Date.now() - olderThanMs, ROWS_MAX],
      )
      await publish(rows.map((row) => String(row.denied_key)))
    },
    async repair(published) {
      const [rows] = await pool.query<Row[]>('SELECT denied_key, code, until_ms FROM denials WHERE until_ms > ?', [
        Date.now(),
      ])
      const wanted = new Map(rows.map((row) => [String(row.denied_key), denialOfRow(row)]))
      const wrong: string[] = []
      for (const [key, denial] of wanted) {
        const has = published.get(key)
        if (has !== (denial && JSON.stringify(denial))) wrong.push(key)
      }
      const surplus = [...published].filter(([key, text]) => !wanted.has(key) && !isOver(text)).map(([key]) => key)
      if (surplus.length > 0) {
        // A row to lock: should another instance write the same denial right now, it stays.
        const nowMs = Date.now()
        const lifted = surplus.map((key) => [key, null, nowMs, nowMs, 0])
        await pool.query('INSERT IGNORE INTO denials (denied_key, code, until_ms, changed_at_ms, published) VALUES ?', [
          lifted,
        ])
        wrong.push(...surplus)
      }
      await publish(wrong)
      return wrong.length
    },
    async sweep() {
      const nowMs = Date.now()
      const [over] = await pool.query<Row[]>(
        'SELECT denied_key FROM denials WHERE code IS NOT NULL AND until_ms < ? LIMIT ?',
        [nowMs, ROWS_MAX],
      )
      const overKeys = over.map((row) => String(row.denied_key))
      if (overKeys.length > 0) {
        await pool.query(
          'UPDATE denials SET code = NULL, changed_at_ms = ?, published = 0 WHERE denied_key IN (?) AND until_ms < ?',
          [nowMs, overKeys, nowMs],
        )
        await publish(overKeys)
      }
      const [heard] = await pool.query<Row[]>(
        'SELECT denied_key FROM denials WHERE code IS NULL AND published = 1 AND changed_at_ms < ? LIMIT ?',
        [nowMs - liftedMs, ROWS_MAX],
      )
      await forEachKey(
        heard.map((row) => String(row.denied_key)),
        forgetOne,
      )
      return Math.max(overKeys.length, heard.length)
    },
  }
}

async function forEachKey(keys: readonly string[], work: (key: string) => Promise<void>): Promise<void> {
  for (let start = 0; start < keys.length; start += AT_ONCE)
    await Promise.all(keys.slice(start, start + AT_ONCE).map(work))
}

const denialOfRow = (row: Row): Denial | undefined =>
  row.code === null ? undefined : { code: row.code as Denial['code'], untilMs: Number(row.until_ms) }

function isOver(text: string): boolean {
  try {
    return (JSON.parse(text) as Denial).untilMs < Date.now()
  } catch {
    return false
  }
}
