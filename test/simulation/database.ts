import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WriterConnection } from '#mesh/projection/positions.ts'
import type { SlotOptions } from '#mesh/projection/slot.ts'
import type { SimulatedProcess } from './process.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** A row by column; numbers and NULL stay the text that the statement had. */
export type TableRow = Record<string, string>

interface Table {
  readonly key: readonly string[]
  readonly rows: Map<string, TableRow>
}

interface Session {
  /** Statements of the open transaction that are carried out when it commits. */
  pending: string[]
  /** Keys of the rows that it has locked. */
  locks: string[]
}

type Pool = SlotOptions<unknown>['pool']

/**
 * MySQL as far as the projection uses it: transactions over several statements, a lock on the position's row, and the few
 * statements that it writes. Anything else is refused. Tables and their keys are those of the migrations.
 */
export class SimulatedDatabase {
  readonly #world: World
  readonly #random: Random
  readonly #tables = readTables()
  readonly #locks = new Map<string, { readonly owner: Session; readonly waiting: (() => void)[] }>()
  isUp = true
  /** Answers that are lost though the statement was carried out, as a share of all. */
  lostAnswers = 0

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
  }

  rows(table: string): TableRow[] {
    return [...this.#table(table).rows.values()]
  }

  /** For single statements. */
  pool(process: SimulatedProcess): Pool {
    const query = (sql: string) => this.#ask(process, { pending: [], locks: [] }, sql, () => true)
    return { query } as Pool
  }

  async connect(process: SimulatedProcess): Promise<WriterConnection> {
    const session: Session = { pending: [], locks: [] }
    let isOpen = true
    const destroy = (): void => {
      isOpen = false
      // The server notices a little later.
      this.#world.after(this.#random.int(0, 50), () => this.#rollBack(session))
    }
    process.onDeath.push(destroy)
    const query = async (sql: string): Promise<unknown> => {
      try {
        return await this.#ask(process, session, sql, () => isOpen)
      } catch (error) {
        destroy()
        throw error
      }
    }
    await query('DO 0')
    return { query, destroy } as unknown as WriterConnection
  }

  #ask(process: SimulatedProcess, session: Session, sql: string, isOpen: () => boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (how: () => void): void =>
        void this.#world.at(this.#world.nowUs + this.#random.int(50, 1_000), () => process.run(how))
      const broken = (): void => settle(() => reject(new Error('The connection to the database is lost.')))
      this.#world.at(this.#world.nowUs + this.#random.int(50, 1_000), () => {
        if (!isOpen()) return
        if (!this.isUp) return broken()
        this.#carryOut(session, sql, (error, results) => {
          if (this.#random.chance(this.lostAnswers)) return broken()
          settle(() => (error === undefined ? resolve([results.length === 1 ? results[0] : results]) : reject(error)))
        })
      })
    })
  }

  #carryOut(session: Session, sql: string, done: (error: Error | undefined, results: unknown[]) => void): void {
    const results: unknown[] = []
    const statements = sql.split(/;\n|; *$/).map((statement) => statement.trim())
    const next = (index: number): void => {
      const statement = statements[index]
      if (statement === undefined) {
        done(undefined, results)
        return
      }
      const lock = lockOf(statement)
      if (lock !== undefined && !this.#lock(session, lock, () => next(index))) return
      try {
        results.push(this.#one(session, statement))
      } catch (error) {
        this.#rollBack(session)
        done(error as Error, results)
        return
      }
      next(index + 1)
    }
    next(0)
  }

  #one(session: Session, statement: string): unknown {
    if (statement === 'DO 0' || statement === 'START TRANSACTION') return {}
    if (statement === 'ROLLBACK') return this.#rollBack(session)
    if (statement === 'COMMIT') return this.#commit(session)
    if (statement.startsWith('SELECT')) return this.#select(statement)
    if (statement.startsWith('UPDATE')) {
      session.pending.push(statement)
      return { affectedRows: this.#updated(statement).length }
    }
    assert(statement.startsWith('INSERT INTO'), `The simulated database cannot carry out: ${statement.slice(0, 80)}`)
    session.pending.push(statement)
    return {}
  }

  #commit(session: Session): unknown {
    for (const statement of session.pending) {
      if (statement.startsWith('UPDATE')) {
        const { set } = parseUpdate(statement)
        for (const row of this.#updated(statement)) Object.assign(row, set)
      } else this.#insert(statement)
    }
    return this.#rollBack(session)
  }

  #rollBack(session: Session): unknown {
    session.pending = []
    const { locks } = session
    session.locks = []
    for (const key of locks) {
      const waiting = this.#locks.get(key)?.waiting ?? []
      this.#locks.delete(key)
      for (const again of waiting) again()
    }
    return {}
  }

  /** False when another session has it: then `again` is called when it is free. */
  #lock(session: Session, key: string, again: () => void): boolean {
    const lock = this.#locks.get(key)
    if (lock === undefined) {
      this.#locks.set(key, { owner: session, waiting: [] })
      session.locks.push(key)
      return true
    }
    if (lock.owner === session) return true
    lock.waiting.push(again)
    return false
  }

  #select(statement: string): TableRow[] {
    const [, table = '', projection = ''] = /FROM (\w+) WHERE projection = '(\w+)'$/.exec(statement) ?? []
    return this.rows(table).filter((row) => row.projection === projection)
  }

  #updated(statement: string): TableRow[] {
    const { table, where } = parseUpdate(statement)
    return this.rows(table).filter((row) => Object.entries(where).every(([column, value]) => row[column] === value))
  }

  #insert(statement: string): void {
    const { table, columns, rows, onDuplicate } = parseInsert(statement)
    const { key, rows: known } = this.#table(table)
    for (const values of rows) {
      const row = Object.fromEntries(columns.map((column, index) => [column, values[index] ?? '']))
      const name = key.map((column) => row[column]).join(' ')
      const there = known.get(name)
      if (there === undefined) known.set(name, row)
      else if (onDuplicate.length === 0) throw new Error(`ER_DUP_ENTRY: ${table} has ${name}`)
      else
        for (const change of onDuplicate)
          there[change.column] = changed(change.how, there[change.column], row[change.column])
    }
  }

  /** As the projection's own statement does, at the very beginning. */
  createPositions(projection: string, slots: number): void {
    const { rows } = this.#table('positions')
    const zero = { frame_sequence: '0', frame_hash: '0', frame_time_us: '0', in_sequence: '0', in_item: '0' }
    for (let slot = 0; slot < slots; slot++) {
      rows.set(`${projection} ${slot}`, { projection, slot: String(slot), ...zero, in_complete: '1' })
    }
  }

  #table(name: string): Table {
    const table = this.#tables.get(name)
    assert(table !== undefined, `There is no table ${name}`)
    return table
  }
}

type Change = { readonly column: string; readonly how: 'overwrite' | 'add' | 'least' }

function changed(how: Change['how'], before = '0', given = '0'): string {
  if (how === 'overwrite') return given
  if (how === 'add') return String(BigInt(before) + BigInt(given))
  return BigInt(before) < BigInt(given) ? before : given
}

/** The row that a statement locks until its transaction ends. */
function lockOf(statement: string): string | undefined {
  if (!statement.startsWith('UPDATE')) return undefined
  const { table, where } = parseUpdate(statement)
  return `${table} ${where.projection} ${where.slot}`
}

function parseUpdate(statement: string): { table: string; set: TableRow; where: TableRow } {
  const match = /^UPDATE (\w+) SET ([\s\S]*?)\s+WHERE ([\s\S]*)$/.exec(statement)
  assert(match !== null, `The simulated database cannot read: ${statement.slice(0, 80)}`)
  const [, table = '', set = '', where = ''] = match
  return { table, set: pairsOf(set, ','), where: pairsOf(where, ' AND ') }
}

const pairsOf = (text: string, between: string): TableRow =>
  Object.fromEntries(
    text
      .split(between)
      .map((pair) => pair.trim().split('='))
      .map(([column = '', value = '']) => [column, value.replace(/^'|'$/g, '')]),
  )

function parseInsert(statement: string) {
  const match = /^INSERT INTO (\w+) \(([\w,]+)\) VALUES /.exec(statement)
  assert(match !== null, `The simulated database cannot read: ${statement.slice(0, 80)}`)
  const [head, table = '', columns = ''] = match
  const rows: string[][] = []
  let at = head.length
  while (statement[at] === '(') {
    const { values, end } = parseRow(statement, at + 1)
    rows.push(values)
    at = statement[end] === ',' ? end + 1 : end
  }
  return { table, columns: columns.split(','), rows, onDuplicate: parseOnDuplicate(statement.slice(at)) }
}

function parseRow(statement: string, from: number): { values: string[]; end: number } {
  const values: string[] = []
  let at = from
  for (;;) {
    let value = ''
    if (statement[at] === "'") {
      for (at++; statement[at] !== "'"; at++) {
        if (statement[at] === '\\') at++
        value += statement[at]
      }
      at++
    } else while (statement[at] !== ',' && statement[at] !== ')') value += statement[at++]
    values.push(value)
    if (statement[at++] === ')') return { values, end: at }
  }
}

function parseOnDuplicate(text: string): Change[] {
  if (text === '') return []
  const prefix = ' ON DUPLICATE KEY UPDATE '
  assert(text.startsWith(prefix), `The simulated database cannot read: ${text.slice(0, 80)}`)
  const changes: Change[] = []
  const assignments = text.slice(prefix.length).split(/,(?=\w+=)/)
  for (const assignment of assignments) {
    const [column = '', value = ''] = assignment.split('=')
    const how =
      value === `VALUES(${column})`
        ? 'overwrite'
        : value === `${column}+VALUES(${column})`
          ? 'add'
          : value === `LEAST(${column},VALUES(${column}))`
            ? 'least'
            : undefined
    assert(how !== undefined, `The simulated database cannot read: ${assignment}`)
    changes.push({ column, how })
  }
  return changes
}

let migration: string | undefined

/** The tables of the migration with their primary keys, empty. */
function readTables(): Map<string, Table> {
  migration ??= readFileSync(join(import.meta.dirname, '..', '..', 'migrations', '002-orders.sql'), 'utf8')
  const tables = new Map<string, Table>()
  for (const [, name = '', body = ''] of migration.matchAll(/CREATE TABLE IF NOT EXISTS (\w+) \(([\s\S]*?)\n\)/g)) {
    const key = /PRIMARY KEY \(([\w, ]+)\)/.exec(body)?.[1]?.split(', ') ?? []
    tables.set(name, { key, rows: new Map() })
  }
  return tables
}
