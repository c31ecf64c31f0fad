import type { Pool, PoolConnection, Row } from '#mesh/mysql.ts'
import { loadPositions, NOTHING_WRITTEN, type Progress } from '#mesh/projection/positions.ts'
import { INTERVALS } from '#mesh/protocol/stats.ts'
import { Projection } from '#mesh/subjects.ts'
import { type Candle, startBefore } from './domain/candles.ts'
import { DAY_S, startOf } from './domain/intervals.ts'
import { LiveMarket } from './domain/live-market.ts'

/** Markets whose candles are asked for in one statement. */
const MARKETS_AT_ONCE = 50

export interface StoredSlot {
  /** Up to where the markets are made of the log. */
  readonly progress: Progress
  readonly markets: Map<string, LiveMarket>
}

/** The markets of an engine slot as they are written, and up to which frame that is: one moment of the database. */
export async function loadSlot(pool: Pool, slot: number, nowS: number): Promise<StoredSlot> {
  const connection = await pool.getConnection()
  try {
    await connection.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
    await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
    const stored = await loadMarkets(connection, slot, nowS)
    await connection.query('COMMIT')
    connection.release()
    return stored
  } catch (error) {
    connection.destroy()
    throw error
  }
}

interface MarketRow {
  readonly instrument: string
  readonly tradeId: number
  readonly lastTicks: number
  readonly lastS: number
}

async function loadMarkets(connection: PoolConnection, slot: number, nowS: number): Promise<StoredSlot> {
  const progress = (await loadPositions(connection, Projection.candles)).get(slot) ?? NOTHING_WRITTEN
  const [rows] = await connection.query<Row[]>(
    'SELECT instrument, trade_id, last_ticks, last_s FROM traded_markets WHERE slot = ? ORDER BY instrument',
    [slot],
  )
  const all = rows.map((row) => ({
    instrument: String(row.instrument),
    tradeId: Number(row.trade_id),
    lastTicks: Number(row.last_ticks),
    lastS: Number(row.last_s),
  }))
  const markets = new Map<string, LiveMarket>()
  for (let from = 0; from < all.length; from += MARKETS_AT_ONCE) {
    await loadCandles(connection, all.slice(from, from + MARKETS_AT_ONCE), nowS, markets)
  }
  return { progress, markets }
}

async function loadCandles(
  connection: PoolConnection,
  some: readonly MarketRow[],
  nowS: number,
  markets: Map<string, LiveMarket>,
): Promise<void> {
  const values: (string | number)[] = []
  for (const { instrument, lastS } of some) {
    for (const interval of INTERVALS) {
      values.push(instrument, interval, startBefore(interval, lastS, 1), startBefore(interval, lastS, 0))
    }
  }
  const latest = new Map<string, Candle>()
  // Spelled out: MariaDB reads the whole table for `(instrument, period, start_s) IN (…)`.
  const one = '(instrument = ? AND period = ? AND start_s IN (?, ?))'
  const [latestRows] = await connection.query<Row[]>(
    `SELECT ${CANDLE_COLUMNS} FROM candles WHERE ${Array(values.length / 4)
      .fill(one)
      .join(' OR ')}`,
    values,
  )
  for (const row of latestRows) latest.set(`${row.instrument} ${row.period} ${row.start_s}`, candleOfRow(row))
  const minutes = new Map<string, Candle[]>(some.map(({ instrument }) => [instrument, []]))
  const [minuteRows] = await connection.query<Row[]>(
    `SELECT ${CANDLE_COLUMNS} FROM candles WHERE instrument IN (?) AND period = '1m' AND start_s > ? ORDER BY instrument, start_s`,
    [some.map(({ instrument }) => instrument), startOf('1m', nowS) - DAY_S],
  )
  for (const row of minuteRows) minutes.get(String(row.instrument))?.push(candleOfRow(row))
  for (const { instrument, tradeId, lastTicks, lastS } of some) {
    const ofInterval = INTERVALS.map((interval) => {
      const at = (before: number) => latest.get(`${instrument} ${interval} ${startBefore(interval, lastS, before)}`)
      return [at(0), at(1)] as const
    })
    markets.set(
      instrument,
      new LiveMarket({ tradeId, lastTicks, minutes: minutes.get(instrument) ?? [], latest: ofInterval }),
    )
  }
}

export const CANDLE_COLUMNS =
  'instrument, period, start_s, open_ticks, high_ticks, low_ticks, close_ticks, lots, tick_lots, trades'

export const candleOfRow = (row: Row): Candle => ({
  startS: Number(row.start_s),
  openTicks: Number(row.open_ticks),
  highTicks: Number(row.high_ticks),
  lowTicks: Number(row.low_ticks),
  closeTicks: Number(row.close_ticks),
  lots: BigInt(row.lots),
  tickLots: BigInt(row.tick_lots),
  trades: Number(row.trades),
})
