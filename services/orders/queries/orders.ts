import type { Row } from '#mesh/mysql.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import type { OrdersQuery, ResultOf, StoredOrder } from '#mesh/protocol/orders.ts'
import { idAt } from '#services/guid/domain/timeline.ts'
import { encodeCursor } from '../domain/cursor.ts'
import { cursorOf, type Database, optionalNumber, SCAN_ROWS_MAX, select, Where } from './sql.ts'

type OrderQuery = Extract<OrdersQuery, { query: 'order' }>
type ListQuery = Extract<OrdersQuery, { query: 'orders' }>

/** Fills that come with an order, oldest first; an order with more has the rest in the listing of trades. */
const FILLS_MAX = 5_000

/** How far an order's id may be from its creation on the line of time of all ids, in milliseconds. */
const ID_SLACK_MS = 3_600_000

/** Ids end in the year 2161; a period may be told beyond. */
const ID_TIME_MS_MAX = Date.UTC(2160)
const idNear = (timeUs: number, slackMs: number): number => idAt(Math.min(timeUs / 1000 + slackMs, ID_TIME_MS_MAX))

const COLUMNS = `o.member_id, o.order_id, o.client_order_id, o.instrument, o.side, o.order_type, o.price_ticks, o.amount_lots,
  o.quote_tick_lots, o.executed_lots, o.executed_quote_minor, o.fee_minor, o.status, o.reason, o.created_at_us,
  o.received_at_us, o.updated_at_us, o.sequence`

/** One statement, so that the order and its fills are of one moment. */
export async function findOrder({ pool }: Database, query: OrderQuery): Promise<ResultOf<OrderQuery>> {
  const { memberId, orderId, clientOrderId } = query
  const one =
    orderId === undefined
      ? `SELECT * FROM orders FORCE INDEX (by_client_order_id) WHERE member_id = ? AND client_order_id = ?
         ORDER BY order_id DESC LIMIT 1`
      : 'SELECT * FROM orders WHERE member_id = ? AND order_id = ?'
  const rows = await select(
    pool,
    `SELECT ${COLUMNS}, f.trade_id, f.price_ticks AS fill_price_ticks, f.lots, f.quote_minor, f.fee_minor AS fill_fee_minor,
       f.liquidity
     FROM (${one}) o LEFT JOIN fills f ON f.order_id = o.order_id AND f.member_id = o.member_id
     ORDER BY f.sequence, f.item, f.event, f.fill LIMIT ${FILLS_MAX}`,
    [memberId, orderId ?? clientOrderId ?? ''],
  )
  const [first] = rows
  if (first === undefined) return { query: 'order' }
  const fills =
    first.trade_id === null
      ? []
      : rows.map((row) => fillOf({ ...row, price_ticks: row.fill_price_ticks, fee_minor: row.fill_fee_minor }))
  return { query: 'order', found: { ...storedOrderOf(first), fills } }
}

/** Newest first, by id. */
export async function listOrders({ pool }: Database, query: ListQuery): Promise<ResultOf<ListQuery>> {
  const { memberId, instrument, side, statuses, fromUs, toUs, limit } = query
  const cursor = cursorOf('orders', 1, query.cursor)
  const range = new Where().and('member_id = ?', memberId)
  range.andIf(cursor?.[0], 'order_id < ?')
  range.andIf(fromUs && idNear(fromUs, -ID_SLACK_MS), 'order_id >= ?')
  range.andIf(toUs && idNear(toUs, ID_SLACK_MS), 'order_id <= ?')
  const filter = new Where()
  filter.andIf(instrument, 'instrument = ?').andIf(side, 'side = ?')
  filter.andIf(statuses?.length ? statuses : undefined, 'status IN (?)')
  filter.andIf(fromUs, 'created_at_us >= ?').andIf(toUs, 'created_at_us < ?')
  const floor = filter.values.length === 0 ? 0 : await scanFloor(pool, range)
  const where = new Where().and(range.sql, ...range.values)
  if (filter.values.length > 0) where.and(filter.sql, ...filter.values)
  if (floor > 0) where.and('order_id >= ?', floor)
  const rows = await select(
    pool,
    `SELECT ${COLUMNS} FROM orders o FORCE INDEX (PRIMARY) WHERE ${where.sql} ORDER BY order_id DESC LIMIT ${limit}`,
    where.values,
  )
  const orders = rows.map(storedOrderOf)
  const end = orders.length === limit ? (orders.at(-1)?.order.orderId ?? 0) : floor
  return { query: 'orders', orders, ...(end === 0 ? {} : { cursor: encodeCursor('orders', [end]) }) }
}

/** The id at which one page's look ends; 0 where it comes to the end. */
async function scanFloor(pool: Database['pool'], range: Where): Promise<number> {
  const [row] = await select(
    pool,
    `SELECT order_id FROM orders FORCE INDEX (PRIMARY) WHERE ${range.sql}
     ORDER BY order_id DESC LIMIT 1 OFFSET ${SCAN_ROWS_MAX - 1}`,
    range.values,
  )
  return row === undefined ? 0 : Number(row.order_id)
}

function storedOrderOf(row: Row): StoredOrder {
  const quoteTickLots = optionalNumber(row.quote_tick_lots)
  const order: OrderState = {
    orderId: Number(row.order_id),
    memberId: Number(row.member_id),
    ...(row.client_order_id === null ? {} : { clientOrderId: row.client_order_id }),
    instrument: row.instrument,
    side: row.side,
    orderType: row.order_type,
    priceTicks: Number(row.price_ticks),
    amountLots: Number(row.amount_lots),
    ...(quoteTickLots === undefined ? {} : { quoteTickLots }),
    executedLots: Number(row.executed_lots),
    executedQuoteMinor: String(row.executed_quote_minor),
    feeMinor: String(row.fee_minor),
    status: row.status,
    ...(row.reason === null ? {} : { reason: row.reason }),
    createdAtUs: Number(row.created_at_us),
    receivedAtUs: Number(row.received_at_us),
    updatedAtUs: Number(row.updated_at_us),
  }
  return { order, sequence: Number(row.sequence) }
}

export const fillOf = (row: Record<string, unknown>): Fill => ({
  tradeId: Number(row.trade_id),
  priceTicks: Number(row.price_ticks),
  lots: Number(row.lots),
  quoteMinor: String(row.quote_minor),
  feeMinor: String(row.fee_minor),
  liquidity: row.liquidity === 'maker' ? 'maker' : 'taker',
})
