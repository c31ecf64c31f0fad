import type { Row } from '#mesh/mysql.ts'
import type { LedgerEntry, OrdersQuery, ResultOf } from '#mesh/protocol/orders.ts'
import { encodeCursor } from '../domain/cursor.ts'
import { cursorOf, type Database, SCAN_ROWS_MAX, select, sequencesOf, Where } from './sql.ts'

type LedgerQuery = Extract<OrdersQuery, { query: 'ledger' }>

/** Sequence, item and event of what changed the balances, and which of its entries: a trade's base (1) is before its quote (0). */
type Place = readonly [sequence: number, item: number, event: number, part: number]
type PlacedEntry = { readonly place: Place; readonly entry: LedgerEntry }

/**
 * Newest first, by position in the member's slot. Trades are entries as they stand in the fills: the fills of one outcome
 * are one entry for each of the two assets.
 */
export async function listLedger(database: Database, query: LedgerQuery): Promise<ResultOf<LedgerQuery>> {
  const { asset, fromUs, toUs, limit } = query
  const cursor = cursorOf('ledger', 4, query.cursor)
  const bounds = await sequencesOf(database, query)
  const range = new Where().and('member_id = ?', query.memberId)
  range.and('sequence >= ?', bounds.min).and('sequence <= ?', bounds.max)
  if (cursor !== undefined) upTo(range, cursor)
  const filtered = asset !== undefined || fromUs !== undefined || toUs !== undefined
  const floor = filtered ? await floorOf(database, range) : 0
  range.and('sequence >= ?', floor)
  const [movements, trades] = await Promise.all([movementsOf(database, range, query), tradesOf(database, range, query)])
  const wanted = ({ entry, place }: PlacedEntry): boolean =>
    (asset === undefined || entry.asset === asset) && (cursor === undefined || isBefore(place, cursor))
  const all = [...movements, ...trades].filter(wanted).sort((a, b) => (isBefore(a.place, b.place) ? 1 : -1))
  const page = all.slice(0, limit)
  const entries = page.map(({ entry }) => entry)
  const last = page.length === limit ? page.at(-1)?.place : undefined
  if (last === undefined && floor === 0) return { query: 'ledger', entries }
  return { query: 'ledger', entries, cursor: encodeCursor('ledger', last ?? [floor, 0, 0, 0]) }
}

async function movementsOf({ pool }: Database, range: Where, query: LedgerQuery): Promise<PlacedEntry[]> {
  const where = new Where().and(range.sql, ...range.values)
  where.andIf(query.asset, 'asset = ?').andIf(query.fromUs, 'time_us >= ?').andIf(query.toUs, 'time_us < ?')
  const rows = await select(
    pool,
    `SELECT * FROM movements FORCE INDEX (PRIMARY) WHERE ${where.sql}
     ORDER BY sequence DESC, item DESC, event DESC LIMIT ${query.limit + 1}`,
    where.values,
  )
  return rows.map((row) => ({
    place: [Number(row.sequence), Number(row.item), Number(row.event), 0],
    entry: {
      position: positionOf(row),
      asset: row.asset,
      cause: row.cause,
      deltaMinor: String(row.amount_minor),
      feeMinor: '0',
      availableMinor: String(row.available_minor),
      heldMinor: String(row.held_minor),
      reference: row.reference,
      timeUs: Number(row.time_us),
    },
  }))
}

/** The last fill of an outcome has its balances; the sums are over all fills of that outcome. */
async function tradesOf({ pool }: Database, range: Where, query: LedgerQuery): Promise<PlacedEntry[]> {
  const { asset } = query
  const where = new Where().and(range.sql, ...range.values).and('base_available_minor IS NOT NULL')
  where.andIf(query.fromUs, 'time_us >= ?').andIf(query.toUs, 'time_us < ?')
  if (asset !== undefined) {
    where.and("(SUBSTRING_INDEX(instrument, '-', 1) = ? OR SUBSTRING_INDEX(instrument, '-', -1) = ?)", asset, asset)
  }
  const rows = await select(
    pool,
    `SELECT o.*, SUM(f.base_minor) AS base_sum, SUM(f.quote_minor) AS quote_sum, SUM(f.fee_minor) AS fee_sum
     FROM (SELECT * FROM fills FORCE INDEX (PRIMARY) WHERE ${where.sql}
           ORDER BY sequence DESC, item DESC, event DESC, fill DESC LIMIT ${query.limit + 1}) o
     JOIN fills f ON f.member_id = o.member_id AND f.sequence = o.sequence AND f.item = o.item AND f.event = o.event
     GROUP BY o.sequence, o.item, o.event`,
    where.values,
  )
  return rows.flatMap(entriesOfTrade)
}

function entriesOfTrade(row: Row): PlacedEntry[] {
  const [base, quote] = String(row.instrument).split('-')
  const buys = row.side === 'buy'
  const baseMinor = BigInt(row.base_sum)
  const quoteMinor = BigInt(row.quote_sum)
  const feeMinor = BigInt(row.fee_sum)
  const entry = (part: 0 | 1, change: Pick<LedgerEntry, 'asset' | 'availableMinor' | 'heldMinor'>): PlacedEntry => {
    const receives = buys === (part === 1)
    const amount = part === 1 ? baseMinor : quoteMinor
    return {
      place: [Number(row.sequence), Number(row.item), Number(row.event), part],
      entry: {
        position: positionOf(row),
        cause: 'trade',
        ...change,
        deltaMinor: String(receives ? amount - feeMinor : -amount),
        feeMinor: receives ? String(feeMinor) : '0',
        orderId: Number(row.order_id),
        timeUs: Number(row.time_us),
      },
    }
  }
  return [
    entry(1, {
      asset: base ?? '',
      availableMinor: String(row.base_available_minor),
      heldMinor: String(row.base_held_minor),
    }),
    entry(0, {
      asset: quote ?? '',
      availableMinor: String(row.quote_available_minor),
      heldMinor: String(row.quote_held_minor),
    }),
  ]
}

/** What lies at or before the position of a cursor: of that one's own entries, some may have been given already. */
function upTo(where: Where, [sequence = 0, item = 0, event = 0]: readonly number[]): void {
  where.and('sequence <= ?', sequence)
  where.and('(sequence < ? OR item < ? OR (item = ? AND event <= ?))', sequence, item, item, event)
}

/** The sequence at which one page's look ends; 0 where it comes to the end. */
async function floorOf({ pool }: Database, range: Where): Promise<number> {
  const floors = await Promise.all(
    ['fills', 'movements'].map((table) =>
      select(
        pool,
        `SELECT sequence FROM ${table} FORCE INDEX (PRIMARY) WHERE ${range.sql}
         ORDER BY sequence DESC LIMIT 1 OFFSET ${SCAN_ROWS_MAX - 1}`,
        range.values,
      ),
    ),
  )
  return Math.max(...floors.map(([row]) => (row === undefined ? 0 : Number(row.sequence))))
}

function isBefore(place: readonly number[], other: readonly number[]): boolean {
  for (const [index, value] of place.entries()) {
    const difference = value - (other[index] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

const positionOf = (row: Row): string => `${row.sequence}-${row.item}-${row.event}`
