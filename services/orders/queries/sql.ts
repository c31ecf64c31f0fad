import type { Pool, Row } from '#mesh/mysql.ts'
import { RpcError } from '#mesh/rpc.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { type CursorKind, decodeCursor } from '../domain/cursor.ts'

export interface Database {
  readonly pool: Pool
  readonly accountSlots: number
}

export type Value = string | number | readonly string[]

/** Rows that one page looks at, at most: a filter that matches little gives short pages, not a long wait. */
export const SCAN_ROWS_MAX = 20_000

export async function select(pool: Pool, sql: string, values: readonly Value[]): Promise<Row[]> {
  const [rows] = await pool.query<Row[]>(sql, [...values])
  return rows
}

/** Conditions that are joined by AND. */
export class Where {
  readonly #conditions: string[] = []
  readonly values: Value[] = []

  and(condition: string, ...values: Value[]): this {
    this.#conditions.push(condition)
    this.values.push(...values)
    return this
  }

  andIf(value: Value | undefined, condition: string): this {
    return value === undefined ? this : this.and(condition, value)
  }

  get sql(): string {
    return this.#conditions.join(' AND ')
  }
}

/** @throws RpcError `cursor_invalid` */
export function cursorOf(kind: CursorKind, count: number, cursor: string | undefined): number[] | undefined {
  if (cursor === undefined) return undefined
  const numbers = decodeCursor(kind, count, cursor)
  if (numbers === undefined) throw new RpcError('cursor_invalid', 'The cursor is not one of this listing.')
  return numbers
}

const MICROSECONDS_PER_MINUTE = 60_000_000

/**
 * Between which sequences of the member's slot a period lies, wide by a minute or two on both sides, so that a listing does
 * not read what is far from it.
 */
export async function sequencesOf(
  { pool, accountSlots }: Database,
  { memberId, fromUs, toUs }: { memberId: number; fromUs?: number; toUs?: number },
): Promise<{ readonly min: number; readonly max: number }> {
  const slot = accountSlotOf(memberId, accountSlots)
  const edge = async (sql: string, timeUs: number, otherwise: number): Promise<number> => {
    const minute = Math.floor(timeUs / MICROSECONDS_PER_MINUTE)
    const [row] = await select(pool, `SELECT sequence FROM orders_timeline WHERE slot = ? AND ${sql} LIMIT 1`, [
      slot,
      minute,
    ])
    return row === undefined ? otherwise : Number(row.sequence)
  }
  const min = fromUs === undefined ? 0 : await edge('minute < ? ORDER BY minute DESC', fromUs, 0)
  const max =
    toUs === undefined
      ? Number.MAX_SAFE_INTEGER
      : await edge('minute > ? + 1 ORDER BY minute', toUs, Number.MAX_SAFE_INTEGER)
  return { min, max }
}

export const optionalNumber = (value: unknown): number | undefined => (value === null ? undefined : Number(value))
