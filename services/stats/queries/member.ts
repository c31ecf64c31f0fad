import type { Pool, Row } from '#mesh/mysql.ts'
import type { MemberDay, StatementLine, StatsQuery, StatsResultOf } from '#mesh/protocol/stats.ts'
import { RpcError } from '#mesh/rpc.ts'
import { decodeCursor, encodeCursor } from '../domain/query.ts'

type MemberQuery = Extract<StatsQuery, { query: 'member' }>
type StatementsQuery = Extract<StatsQuery, { query: 'statements' }>

export async function listMemberDays(pool: Pool, query: MemberQuery): Promise<StatsResultOf<MemberQuery>> {
  const [rows, [discounts]] = await Promise.all([
    pageOf(pool, 'member_days', 'instrument', query.instrument, query),
    pool.query<Row[]>('SELECT discount_ppm FROM fee_discounts WHERE member_id = ?', [query.memberId]),
  ])
  const days = rows.map(
    (row): MemberDay => ({
      day: Number(row.day),
      instrument: String(row.instrument),
      trades: Number(row.trades),
      lots: String(row.lots),
      quoteMinor: String(row.quote_minor),
      baseFeeMinor: String(row.base_fee_minor),
      quoteFeeMinor: String(row.quote_fee_minor),
    }),
  )
  const feeDiscountPpm = Number(discounts[0]?.discount_ppm ?? 0)
  const last = days.length === query.limit ? days.at(-1) : undefined
  const cursor = last === undefined ? {} : { cursor: encodeCursor({ day: last.day, name: last.instrument }) }
  return { query: 'member', days, feeDiscountPpm, ...cursor }
}

export async function listStatements(pool: Pool, query: StatementsQuery): Promise<StatsResultOf<StatementsQuery>> {
  const rows = await pageOf(pool, 'statements', 'asset', query.asset, query)
  const lines = rows.map(
    (row): StatementLine => ({
      day: Number(row.day),
      asset: String(row.asset),
      openingMinor: String(row.opening_minor),
      depositsMinor: String(row.deposits_minor),
      withdrawalsMinor: String(row.withdrawals_minor),
      transfersMinor: String(row.transfers_minor),
      tradesMinor: String(row.trades_minor),
      feesMinor: String(row.fees_minor),
      closingMinor: String(row.closing_minor),
    }),
  )
  const last = lines.length === query.limit ? lines.at(-1) : undefined
  const cursor = last === undefined ? {} : { cursor: encodeCursor({ day: last.day, name: last.asset }) }
  return { query: 'statements', lines, ...cursor }
}

/** Newest day first, and within a day by name. */
async function pageOf(
  pool: Pool,
  table: 'member_days' | 'statements',
  nameColumn: 'instrument' | 'asset',
  name: string | undefined,
  page: Pick<MemberQuery, 'memberId' | 'fromDay' | 'toDay' | 'limit' | 'cursor'>,
): Promise<Row[]> {
  const { memberId, fromDay, toDay, limit } = page
  const conditions = ['member_id = ?']
  const values: (string | number)[] = [memberId]
  const and = (condition: string, ...more: (string | number)[]): void => {
    conditions.push(condition)
    values.push(...more)
  }
  if (fromDay !== undefined) and('day >= ?', fromDay)
  if (toDay !== undefined) and('day < ?', toDay)
  if (name !== undefined) and(`${nameColumn} = ?`, name)
  if (page.cursor !== undefined) {
    const cursor = decodeCursor(page.cursor)
    if (cursor === undefined) throw new RpcError('cursor_invalid', 'The cursor is not one of this listing.')
    and('day <= ?', cursor.day)
    and(`(day < ? OR ${nameColumn} > ?)`, cursor.day, cursor.name)
  }
  const [rows] = await pool.query<Row[]>(
    `SELECT * FROM ${table} WHERE ${conditions.join(' AND ')} ORDER BY day DESC, ${nameColumn} LIMIT ${limit}`,
    values,
  )
  return rows
}
