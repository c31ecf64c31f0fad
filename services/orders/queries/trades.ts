import type { OrdersQuery, ResultOf, StoredTrade } from '#mesh/protocol/orders.ts'
import { encodeCursor } from '../domain/cursor.ts'
import { fillOf } from './orders.ts'
import { cursorOf, type Database, SCAN_ROWS_MAX, select, sequencesOf, Where } from './sql.ts'

type TradesQuery = Extract<OrdersQuery, { query: 'trades' }>

/** Newest first, by position in the member's slot. */
export async function listTrades(database: Database, query: TradesQuery): Promise<ResultOf<TradesQuery>> {
  const { pool } = database
  const { memberId, instrument, orderId, fromUs, toUs, limit } = query
  const range = new Where().and('member_id = ?', memberId)
  range.andIf(orderId, 'order_id = ?')
  const bounds = await sequencesOf(database, query)
  range.and('sequence >= ?', bounds.min).and('sequence <= ?', bounds.max)
  before(range, cursorOf('trades', 4, query.cursor))
  const index = orderId === undefined ? 'PRIMARY' : 'by_order'
  const filter = new Where()
  filter.andIf(instrument, 'instrument = ?').andIf(fromUs, 'time_us >= ?').andIf(toUs, 'time_us < ?')
  const floor = filter.values.length === 0 ? 0 : await floorOf(database, index, range)
  const where = new Where().and(range.sql, ...range.values).and('sequence >= ?', floor)
  if (filter.values.length > 0) where.and(filter.sql, ...filter.values)
  const rows = await select(
    pool,
    `SELECT * FROM fills FORCE INDEX (${index}) WHERE ${where.sql}
     ORDER BY sequence DESC, item DESC, event DESC, fill DESC LIMIT ${limit}`,
    where.values,
  )
  const trades = rows.map(
    (row): StoredTrade => ({
      ...fillOf(row),
      orderId: Number(row.order_id),
      instrument: row.instrument,
      side: row.side,
      timeUs: Number(row.time_us),
    }),
  )
  const last = rows.length === limit ? rows.at(-1) : undefined
  const end = last === undefined ? [floor, 0, 0, 0] : [last.sequence, last.item, last.event, last.fill].map(Number)
  if (last === undefined && floor === 0) return { query: 'trades', trades }
  return { query: 'trades', trades, cursor: encodeCursor('trades', end) }
}

/** Rows before a position. The first condition alone is one that an index is read by. */
function before(where: Where, cursor: readonly number[] | undefined): void {
  if (cursor === undefined) return
  const [sequence = 0, item = 0, event = 0, fill = 0] = cursor
  where.and('sequence <= ?', sequence)
  where.and(
    '(sequence < ? OR item < ? OR (item = ? AND (event < ? OR (event = ? AND fill < ?))))',
    sequence,
    item,
    item,
    event,
    event,
    fill,
  )
}

/** The sequence at which one page's look ends; 0 where it comes to the end. */
async function floorOf({ pool }: Database, index: string, range: Where): Promise<number> {
  const [row] = await select(
    pool,
    `SELECT sequence FROM fills FORCE INDEX (${index}) WHERE ${range.sql}
     ORDER BY sequence DESC, item DESC, event DESC, fill DESC LIMIT 1 OFFSET ${SCAN_ROWS_MAX - 1}`,
    range.values,
  )
  return row === undefined ? 0 : Number(row.sequence)
}
