import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, createConnection } from 'mysql2/promise'
import { type Frame, followFrames } from '#mesh/frames.ts'
import { connectionOptions, type Row } from '#mesh/mysql.ts'
import { loadPositions, type Progress } from '#mesh/projection/positions.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, sourceName } from '#mesh/subjects.ts'
import type { LogsAudit, LogsOptions } from './audit-logs.ts'
import { Difference } from './domain/difference.ts'
import {
  type AssetTotals,
  ExpectedRows,
  type MarketTotals,
  TABLE_NAMES,
  TABLES,
  type Table,
} from './domain/expected-rows.ts'
import { RowSums, rowHash, SummingSink } from './domain/row-sums.ts'
import { Suspects } from './domain/suspects.ts'
import { Pace } from './pace.ts'

/** The projection whose tables are audited. */
const PROJECTION = 'orders'
/** Rows that one statement reads. */
const CHUNK_ROWS = 5_000
const RETRY_MS = 200

export interface RowsOptions extends Pick<LogsOptions, 'nats' | 'shape'> {
  readonly mysqlUrl: string
  /** Rows a second, at most; 0 is no limit. */
  readonly rate: number
  /** How long the projection may take to reach the cut, in milliseconds. */
  readonly waitMs: number
}

export type RowCounts = Readonly<Record<Table, number>>

interface Expected {
  readonly rows: ExpectedRows
  readonly sink: SummingSink
  frameSequence: number
  frameHash: number
}

/**
 * Every event of the account frames is in MySQL exactly once. What must be there is folded from the frames, up to the position
 * at which each slot is written in one snapshot of the database; both sides are compared by sums over their rows, and where the sums
 * differ, row by row.
 */
export class RowsAudit {
  readonly #options: RowsOptions
  readonly #expected: Expected[] = []
  readonly #marketOf: LogsAudit['markets']

  constructor(options: RowsOptions, markets: LogsAudit['markets']) {
    this.#options = options
    this.#marketOf = markets
    for (let slot = 0; slot < options.shape.accountSlots; slot++) {
      const sink = new SummingSink()
      const rows = new ExpectedRows(sourceName(Log.accounts, slot), (name) => markets.get(name), sink)
      this.#expected.push({ rows, sink, frameSequence: 0, frameHash: 0 })
    }
  }

  /** Frames of each slot in order, from the first on. */
  add(slot: number, frame: Frame<AccountEvent>, sequence: number): void {
    const expected = this.#expected[slot]
    if (expected === undefined) throw new RangeError(`there is no account slot ${slot}`)
    expected.rows.add(frame)
    expected.frameSequence = sequence
    expected.frameHash = frame.header.hash
  }

  /** @throws Difference */
  async compare(logs: LogsAudit): Promise<RowCounts> {
    const connection = await createConnection({ ...connectionOptions(this.#options.mysqlUrl), rowsAsArray: false })
    try {
      const positions = await this.#snapshotBehind(connection, logs.cutOfAccounts())
      await logs.readOn(positions.map(({ frameSequence }) => frameSequence))
      this.#checkPositions(positions)
      const found = await this.#sumsOf(connection)
      const differing = this.#differing(found)
      if (differing.size > 0) throw await this.#firstDifference(connection, differing, positions)
      await this.#checkTotals(connection)
      const count = (table: Table): number => found.reduce((sum, sums) => sum + sums.rows(table), 0)
      return {
        orders: count('orders'),
        fills: count('fills'),
        movements: count('movements'),
        balances: count('balances'),
      }
    } finally {
      connection.destroy()
    }
  }

  /** A snapshot of the database in which every slot is written up to its cut, or beyond. */
  async #snapshotBehind(connection: Connection, cut: readonly number[]): Promise<Progress[]> {
    const deadlineMs = performance.now() + this.#options.waitMs
    await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
    for (;;) {
      await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
      const loaded = await loadPositions(connection, PROJECTION)
      const behind = cut.findIndex((sequence, slot) => (loaded.get(slot)?.frameSequence ?? 0) < sequence)
      if (behind < 0) return cut.map((_, slot) => loaded.get(slot) ?? NOTHING)
      if (performance.now() > deadlineMs) {
        const at = loaded.get(behind)
        throw new Difference(
          'projection_behind',
          { slot: sourceName(Log.accounts, behind), position: `${at?.inSequence ?? 0}-${at?.inItem ?? 0}` },
          `MySQL has the slot up to frame ${at?.frameSequence ?? 0}, the cut is at frame ${cut[behind]}, and it has not got there within ${this.#options.waitMs} ms.`,
        )
      }
      await connection.query('ROLLBACK')
      await sleep(RETRY_MS)
    }
  }

  #checkPositions(positions: readonly Progress[]): void {
    positions.forEach(({ frameSequence, frameHash, inSequence, inItem }, slot) => {
      const expected = this.#expected[slot]
      if (expected?.frameSequence === frameSequence && (frameSequence === 0 || expected.frameHash === frameHash)) return
      throw new Difference(
        'projection_position_differs',
        { slot: sourceName(Log.accounts, slot), position: `${inSequence}-${inItem}` },
        `MySQL stands at frame ${frameSequence} with hash ${frameHash}; EVENTS has frame ${expected?.frameSequence} with hash ${expected?.frameHash}.`,
      )
    })
  }

  async #sumsOf(connection: Connection): Promise<RowSums[]> {
    const sums = this.#expected.map(() => new RowSums())
    await this.#scan(connection, TABLE_NAMES, (table, memberId, keys, columns) => {
      sums[this.#slotOf(memberId)]?.add(table, memberId, rowHash(keys, columns))
    })
    return sums
  }

  #slotOf(memberId: number): number {
    return accountSlotOf(memberId, this.#options.shape.accountSlots)
  }

  #differing(found: readonly RowSums[]): Map<number, Map<Table, Set<number>>> {
    const differing = new Map<number, Map<Table, Set<number>>>()
    found.forEach((sums, slot) => {
      const { sink } = this.#expected[slot] ?? {}
      const tables = new Map<Table, Set<number>>()
      for (const table of TABLE_NAMES) {
        const buckets = sink?.sums.differing(table, sums).slice(0, SUSPECT_BUCKETS_MAX) ?? []
        if (buckets.length > 0) tables.set(table, new Set(buckets))
      }
      if (tables.size > 0) differing.set(slot, tables)
    })
    return differing
  }

  /** Reads the frames and the rows again, of the slots and buckets that differ. */
  async #firstDifference(
    connection: Connection,
    differing: ReadonlyMap<number, ReadonlyMap<Table, ReadonlySet<number>>>,
    positions: readonly Progress[],
  ): Promise<Difference> {
    const suspectsOf = new Map<number, Suspects>()
    for (const [slot, buckets] of differing) {
      const suspects = new Suspects(sourceName(Log.accounts, slot), buckets)
      suspectsOf.set(slot, suspects)
      const rows = new ExpectedRows(sourceName(Log.accounts, slot), (name) => this.#marketOf.get(name), suspects)
      await this.#readFrames(slot, positions[slot]?.frameSequence ?? 0, (frame) => rows.add(frame))
    }
    const tables = TABLE_NAMES.filter((table) => [...differing.values()].some((buckets) => buckets.has(table)))
    await this.#scan(connection, tables, (table, memberId, keys, columns) => {
      const suspects = suspectsOf.get(this.#slotOf(memberId))
      if (suspects?.isSuspect(table, memberId)) suspects.found(table, keys, columns)
    })
    for (const suspects of suspectsOf.values()) {
      const difference = suspects.first()
      if (difference !== undefined) return difference
    }
    return new Difference('row_differs', { slot: '' }, 'The sums over the rows differ, the rows do not.')
  }

  async #readFrames(slot: number, until: number, onFrame: (frame: Frame<AccountEvent>) => void): Promise<void> {
    if (until === 0) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const reader = await followFrames<AccountEvent>(this.#options.nats, Log.accounts, slot, 0, (frame, sequence) => {
      if (sequence <= until) onFrame(frame)
      if (sequence >= until) resolve()
    })
    reader.done.catch(reject)
    await promise
    // Not waited for: it hands over to nobody any more.
    void reader.stop()
  }

  /** Every row of the tables in the order of its key, a chunk at a time. */
  async #scan(
    connection: Connection,
    tables: readonly Table[],
    onRow: (table: Table, memberId: number, keys: readonly unknown[], columns: readonly unknown[]) => void,
  ): Promise<void> {
    const pace = new Pace(this.#options.rate)
    for (const table of tables) {
      const { keys, columns } = TABLES[table]
      let after: readonly unknown[] | undefined
      for (;;) {
        const sql = `SELECT ${[...keys, ...columns].join(', ')} FROM ${table}${after === undefined ? '' : ` WHERE ${isAfter(keys)}`}
          ORDER BY ${keys.join(', ')} LIMIT ${CHUNK_ROWS}`
        const values = after === undefined ? [] : keys.flatMap((_, index) => after?.slice(0, index + 1))
        const [rows] = (await connection.query({ sql, values, rowsAsArray: true })) as unknown as [unknown[][]]
        for (const row of rows) {
          after = keys.map((key, index) => (key === 'asset' ? row[index] : Number(row[index])))
          onRow(table, Number(row[0]), after, row.slice(keys.length))
        }
        await pace.step(rows.length)
        if (rows.length < CHUNK_ROWS) break
      }
    }
  }

  async #checkTotals(connection: Connection): Promise<void> {
    const [assets] = await connection.query<Row[]>(
      'SELECT slot, asset AS name, deposits_minor, withdrawals_minor, transfers_minor, trades_minor, fees_minor FROM asset_totals',
    )
    const [markets] = await connection.query<Row[]>(
      'SELECT slot, instrument AS name, orders, rejected, fills, executed_lots, executed_quote_minor FROM market_totals',
    )
    this.#expected.forEach(({ rows }, slot) => {
      compareTotals(slot, 'asset_totals', rows.assetTotals, assets)
      compareTotals(slot, 'market_totals', rows.marketTotals, markets)
    })
  }
}

const NOTHING: Progress = { frameSequence: 0, frameHash: 0, frameTimeUs: 0, inSequence: 0, inItem: 0, inComplete: true }

/** Of one slot and table, so that what is looked at row by row stays a part of what there is. */
const SUSPECT_BUCKETS_MAX = 32

/** `(a > ?) OR (a = ? AND b > ?) …`: a range of the key that both MySQL and MariaDB read from its begin on. */
const isAfter = (keys: readonly string[]): string =>
  keys
    .map((key, index) => `(${[...keys.slice(0, index).map((one) => `${one} = ?`), `${key} > ?`].join(' AND ')})`)
    .join(' OR ')

/** The values of a row are in the order of the totals' fields. */
function compareTotals(
  slot: number,
  table: string,
  expected: ReadonlyMap<string, AssetTotals | MarketTotals>,
  rows: readonly Row[],
): void {
  const said = (name: string, values: readonly unknown[]): string => `${name}: ${values.join(', ')}`
  const wanted = [...expected].map(([name, totals]) => said(name, Object.values(totals))).sort()
  const found = rows
    .filter((row) => Number(row.slot) === slot)
    .map(({ slot: _, name, ...values }) => said(String(name), Object.values(values)))
    .sort()
  const at = wanted.findIndex((line, index) => line !== found[index])
  if (at < 0 && found.length === wanted.length) return
  const index = at < 0 ? wanted.length : at
  throw new Difference(
    'totals_differ',
    { slot: sourceName(Log.accounts, slot) },
    `${table} has ${found[index] ?? 'no more rows'}; the frames say ${wanted[index] ?? 'no more'}.`,
  )
}
