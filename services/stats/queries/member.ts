import type { Pool, Row } from '#mesh/mysql.ts'
import type { MemberDay, StatsQuery, StatsResultOf } from '#mesh/protocol/stats.ts'
import { RpcError } from '#mesh/rpc.ts'
import { decodeCursor, encodeCursor } from '../domain/query.ts'

type MemberQuery = Extract<StatsQuery, { query: 'member' }>

/** Newest day first. */
export async function listMemberDays(pool: Pool, query: MemberQuery): Promise<StatsResultOf<MemberQuery>> {
  const { memberId, instrument, fromDay, toDay, limit } = query
  const conditions = ['member_id = ?']
  const values: (string | number)[] = [memberId]
  const and = (condition: string, ...more: (string | number)[]): void => {
    conditions.push(condition)
    values.push(...more)
  }
  if (fromDay !== undefined) and('day >= ?', fromDay)
  if (toDay !== undefined) and('day < ?', toDay)
  if (instrument !== undefined) and('instrument = ?', instrument)
  if (query.cursor !== undefined) {
    const cursor = decodeCursor(query.cursor)
    if (cursor === undefined) throw new RpcError('cursor_invalid', 'The cursor is not one of this listing.')
    and('day <= ?', cursor.day)
    and('(day < ? OR instrument > ?)', cursor.day, cursor.instrument)
  }
  const [rows] = await pool.query<Row[]>(
    `SELECT * FROM member_days WHERE ${conditions.join(' AND ')} ORDER BY day DESC, instrument LIMIT ${limit}`,
    values,
  )
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
  const last = days.length === limit ? days.at(-1) : undefined
  return last === undefined ? { query: 'member', days } : { query: 'member', days, cursor: encodeCursor(last) }
}
