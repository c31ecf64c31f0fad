import type { Pool, Row } from '#mesh/mysql.ts'
import type { StatsQuery, StatsResultOf } from '#mesh/protocol/stats.ts'

export async function listMarkets(pool: Pool): Promise<StatsResultOf<Extract<StatsQuery, { query: 'markets' }>>> {
  const [rows] = await pool.query<Row[]>(
    'SELECT instrument, trades, lots, tick_lots FROM traded_markets ORDER BY instrument',
  )
  const markets = rows.map((row) => ({
    instrument: String(row.instrument),
    trades: Number(row.trades),
    lots: String(row.lots),
    tickLots: String(row.tick_lots),
  }))
  return { query: 'markets', markets }
}
