import { createHash } from 'node:crypto'
import { inTransaction, type Pool, type Row } from '#mesh/mysql.ts'
import { RpcError } from '#mesh/rpc.ts'
import { ATTEMPT_WINDOW_MS, type AttemptLimit } from './domain/attempts.ts'

export interface Attempts {
  /** Counts first, so that attempts side by side cannot pass the limit together. @throws RpcError `login_rate_limited` */
  count(limits: readonly AttemptLimit[]): Promise<void>
  /** The attempt was right. */
  takeBack(limits: readonly AttemptLimit[]): Promise<void>
  sweep(): Promise<void>
}

export function createAttempts(pool: Pool): Attempts {
  return {
    async count(limits) {
      const nowMs = Date.now()
      const buckets = limits.map(({ subject }) => bucketOf(subject))
      const rows = buckets.map((bucket) => [bucket, 1, nowMs + ATTEMPT_WINDOW_MS])
      // In one transaction: each attempt sees its own count, not that of those who came while it was written.
      const counted = await inTransaction(pool, async (connection) => {
        await connection.query(
          `INSERT INTO login_attempts (bucket, attempts, window_until_ms) VALUES ?
           ON DUPLICATE KEY UPDATE
             attempts = IF(window_until_ms <= ?, 1, attempts + 1),
             window_until_ms = IF(window_until_ms <= ?, VALUES(window_until_ms), window_until_ms)`,
          [rows.sort(byBucket), nowMs, nowMs],
        )
        const [counts] = await connection.query<Row[]>(
          'SELECT bucket, attempts, window_until_ms FROM login_attempts WHERE bucket IN (?)',
          [buckets],
        )
        return counts
      })
      for (const row of counted) {
        const limit = limits.find((_, index) => buckets[index]?.equals(row.bucket))
        if (limit === undefined || Number(row.attempts) <= limit.attemptsMax) continue
        const retryAfterS = Math.ceil((Number(row.window_until_ms) - nowMs) / 1000)
        throw new RpcError('login_rate_limited', 'Too many attempts; try again later.', { retryAfterS })
      }
    },
    async takeBack(limits) {
      const buckets = limits.map(({ subject }) => bucketOf(subject)).sort(Buffer.compare)
      await inTransaction(pool, (connection) =>
        connection.query('UPDATE login_attempts SET attempts = GREATEST(attempts - 1, 0) WHERE bucket IN (?)', [
          buckets,
        ]),
      )
    },
    async sweep() {
      await pool.query('DELETE FROM login_attempts WHERE window_until_ms < ? LIMIT 10000', [Date.now()])
    },
  }
}

/** E-mails and addresses of those who fail are not kept in the clear. */
const bucketOf = (subject: string): Buffer => createHash('sha256').update(subject).digest()

/** Rows in one order everywhere, so that few statements meet head-on. */
const byBucket = (a: unknown[], b: unknown[]): number =>
  Buffer.isBuffer(a[0]) && Buffer.isBuffer(b[0]) ? Buffer.compare(a[0], b[0]) : 0
