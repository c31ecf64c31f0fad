import type { Position } from '#mesh/frames.ts'
import { Difference } from './difference.ts'
import { type RowSink, TABLES, type Table } from './expected-rows.ts'
import { bucketOf } from './row-sums.ts'

interface Row {
  readonly table: Table
  readonly keys: string
  readonly columns: readonly string[]
  readonly position: Position
}

/** The rows of the buckets whose sums differ, kept whole, to be laid beside what MySQL has. */
export class Suspects implements RowSink {
  readonly #slot: string
  readonly #buckets: ReadonlyMap<Table, ReadonlySet<number>>
  readonly #rows = new Map<string, Row>()
  #first: { readonly position: Position; readonly difference: Difference } | undefined

  constructor(slot: string, buckets: ReadonlyMap<Table, ReadonlySet<number>>) {
    this.#slot = slot
    this.#buckets = buckets
  }

  put(table: Table, { keys, columns }: Parameters<RowSink['put']>[1], position: Position): void {
    if (!this.isSuspect(table, Number(keys[0]))) return
    const key = keys.join('|')
    this.#rows.set(`${table}|${key}`, { table, keys: key, columns: columns.map(textOf), position })
  }

  isSuspect(table: Table, memberId: number): boolean {
    return this.#buckets.get(table)?.has(bucketOf(memberId)) === true
  }

  /** A row of MySQL. Those that are as expected are forgotten. */
  found(table: Table, keys: readonly unknown[], columns: readonly unknown[]): void {
    const key = keys.join('|')
    const expected = this.#rows.get(`${table}|${key}`)
    this.#rows.delete(`${table}|${key}`)
    const texts = columns.map(textOf)
    if (expected === undefined) {
      const position = positionIn(table, keys, columns)
      const row = `${table} (${describe(TABLES[table].keys, keys)})`
      this.#keep(position, 'row_unknown', `MySQL has a row that no event wrote: ${row}: ${texts.join(', ')}.`)
      return
    }
    const at = texts.findIndex((text, index) => text !== expected.columns[index])
    if (at < 0) return
    this.#keep(
      expected.position,
      'row_differs',
      `${table} (${describe(TABLES[table].keys, keys)}): ${TABLES[table].columns[at]} is ${texts[at]} in MySQL, ${expected.columns[at]} by the event at this position.`,
    )
  }

  /** The first difference by position, when all rows of MySQL are seen. */
  first(): Difference | undefined {
    for (const { table, keys, position } of this.#rows.values()) {
      const row = `${table} (${describe(TABLES[table].keys, keys.split('|'))})`
      this.#keep(position, 'row_missing', `MySQL lacks a row that the event at this position wrote: ${row}.`)
    }
    return this.#first?.difference
  }

  #keep(position: Position, check: Difference['check'], message: string): void {
    if (this.#first !== undefined && compare(this.#first.position, position) <= 0) return
    this.#first = {
      position,
      difference: new Difference(check, { slot: this.#slot, position: position.join('-') }, message),
    }
  }
}

const textOf = (value: unknown): string => (value === null ? 'NULL' : String(value))

const describe = (names: readonly string[], values: readonly unknown[]): string =>
  names.map((name, index) => `${name} ${values[index]}`).join(', ')

/** Where a row says that it was written; a balance does not say. */
function positionIn(table: Table, keys: readonly unknown[], columns: readonly unknown[]): Position {
  if (table === 'orders') return [Number(columns.at(-1)), 0, 0]
  if (table === 'balances') return [Number.MAX_SAFE_INTEGER, 0, 0]
  return [Number(keys[1]), Number(keys[2]), Number(keys[3])]
}

const compare = (a: Position, b: Position): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
