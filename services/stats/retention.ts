import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Pool, ResultSetHeader, Row } from '#mesh/mysql.ts'

const EVERY_MS = 10 * 60_000
const HOUR_S = 3_600
/** Rows of one statement, so that no lock is held for long. */
const ROWS_AT_ONCE = 5_000

interface Retention {
  readonly pool: Pick<Pool, 'query'>
  readonly hours: number
  readonly nowS: () => number
}

/** Every ten minutes, in every instance: what one has removed the next one does not find. */
export async function keepRetention(retention: Retention, log: Logger, shutdown: AbortSignal): Promise<void> {
  while (!shutdown.aborted) {
    try {
      const removed = await removeOldSeconds(retention, shutdown)
      if (removed > 0) log.info({ removed }, 'old candles of a second are removed')
    } catch (err) {
      log.warn({ err }, 'old candles of a second could not be removed')
    }
    await sleep(EVERY_MS, undefined, { signal: shutdown }).catch(() => {})
  }
}

/** @returns how many. */
export async function removeOldSeconds({ pool, hours, nowS }: Retention, shutdown?: AbortSignal): Promise<number> {
  const beforeS = nowS() - hours * HOUR_S
  const [markets] = await pool.query<Row[]>('SELECT instrument FROM traded_markets ORDER BY instrument')
  let removed = 0
  for (const { instrument } of markets) {
    for (;;) {
      if (shutdown?.aborted) return removed
      const [{ affectedRows }] = await pool.query<ResultSetHeader>(
        `DELETE FROM candles WHERE instrument = ? AND period = '1s' AND start_s < ? ORDER BY start_s LIMIT ${ROWS_AT_ONCE}`,
        [instrument, beforeS],
      )
      removed += affectedRows
      if (affectedRows < ROWS_AT_ONCE) break
    }
  }
  return removed
}
