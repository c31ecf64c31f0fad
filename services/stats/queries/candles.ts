import type { Pool, Row } from '#mesh/mysql.ts'
import type { StatsQuery, StatsResultOf } from '#mesh/protocol/stats.ts'
import { firstStart, lineOf, startBefore, withoutGaps } from '../domain/candles.ts'
import { nextStart, startOf } from '../domain/intervals.ts'
import { CANDLE_COLUMNS, candleOfRow } from '../stored.ts'

type CandlesQuery = Extract<StatsQuery, { query: 'candles' }>

/** `secondsFromS`: candles of a second that begin before are not kept, so nothing is said of whether there were any. */
export async function listCandles(
  pool: Pool,
  query: CandlesQuery,
  { nowS, secondsFromS }: { readonly nowS: number; readonly secondsFromS: number },
): Promise<StatsResultOf<CandlesQuery>> {
  const { instrument, interval, limit, fill } = query
  // What is to come has no candles, and no gaps.
  const toS = Math.min(query.endS ?? Number.MAX_SAFE_INTEGER, nextStart(interval, startOf(interval, nowS)))
  const wantedS = query.startS ?? (fill ? startBefore(interval, toS - 1, limit - 1) : 0)
  const fromS = interval === '1s' ? Math.max(wantedS, secondsFromS) : wantedS
  const isFromStart = query.startS !== undefined
  const [rows] = await pool.query<Row[]>(
    `SELECT ${CANDLE_COLUMNS} FROM candles WHERE instrument = ? AND period = ? AND start_s >= ? AND start_s < ?
     ORDER BY start_s ${isFromStart ? 'ASC' : 'DESC'} LIMIT ${limit}`,
    [instrument, interval, fromS, Math.max(toS, 0)],
  )
  if (!isFromStart) rows.reverse()
  const candles = rows.map((row) => lineOf(candleOfRow(row)))
  if (!fill) return { query: 'candles', candles }
  const [before] = await pool.query<Row[]>(
    `SELECT close_ticks FROM candles WHERE instrument = ? AND period = ? AND start_s < ? ORDER BY start_s DESC LIMIT 1`,
    [instrument, interval, firstStart(interval, fromS)],
  )
  const closeTicksBefore = before[0] === undefined ? undefined : Number(before[0].close_ticks)
  return { query: 'candles', candles: withoutGaps(candles, { interval, closeTicksBefore, fromS, toS, limit }) }
}
