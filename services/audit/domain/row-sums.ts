import { chainHash } from '#mesh/domain/chain.ts'
import type { RowSink, Table } from './expected-rows.ts'
import { TABLE_NAMES } from './expected-rows.ts'

/** Members of a slot are shared out to so many buckets, so that a difference is searched for among a few rows. */
export const BUCKETS = 256

export function bucketOf(memberId: number): number {
  const mixed = Math.imul((memberId >>> 0) ^ 0x5bd1e995, 0x9e3779b1) ^ Math.floor(memberId / 4_294_967_296)
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 24
}

/** The hash of a row. Values are joined as text: MySQL's numbers come as text or number, NULL is empty. */
export const rowHash = (keys: readonly unknown[], columns: readonly unknown[]): number =>
  chainHash(1, `${keys.join('|')}|${columns.join('|')}`)

/**
 * For each table and bucket how many rows there are, and a sum over their hashes that does not depend on their order:
 * what two places must have in common when they hold the same rows. 12 bytes a bucket, however many rows there are.
 */
export class RowSums {
  readonly #counts = new Int32Array(TABLE_NAMES.length * BUCKETS)
  readonly #low = new Uint32Array(TABLE_NAMES.length * BUCKETS)
  readonly #high = new Uint32Array(TABLE_NAMES.length * BUCKETS)

  add(table: Table, memberId: number, hash: number): void {
    this.#change(table, memberId, hash, 1)
  }

  remove(table: Table, memberId: number, hash: number): void {
    this.#change(table, memberId, hash, -1)
  }

  rows(table: Table): number {
    const start = TABLE_NAMES.indexOf(table) * BUCKETS
    return this.#counts.subarray(start, start + BUCKETS).reduce((sum, count) => sum + count, 0)
  }

  /** The buckets in which the other has other rows. */
  differing(table: Table, other: RowSums): number[] {
    const start = TABLE_NAMES.indexOf(table) * BUCKETS
    const differing: number[] = []
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const at = start + bucket
      const same =
        this.#counts[at] === other.#counts[at] && this.#low[at] === other.#low[at] && this.#high[at] === other.#high[at]
      if (!same) differing.push(bucket)
    }
    return differing
  }

  #change(table: Table, memberId: number, hash: number, sign: 1 | -1): void {
    const at = TABLE_NAMES.indexOf(table) * BUCKETS + bucketOf(memberId)
    this.#counts[at] = (this.#counts[at] ?? 0) + sign
    this.#low[at] = (this.#low[at] ?? 0) + sign * (hash >>> 0)
    this.#high[at] = (this.#high[at] ?? 0) + sign * Math.floor(hash / 4_294_967_296)
  }
}

/** Sums over expected rows. What may be written again is remembered by its hash: open orders and balances. */
export class SummingSink implements RowSink {
  readonly sums = new RowSums()
  readonly #openOrders = new Map<number, number>()
  readonly #balances = new Map<number, Map<string, number>>()

  put(table: Table, { keys, columns, final }: Parameters<RowSink['put']>[1]): void {
    const memberId = Number(keys[0])
    const hash = rowHash(keys, columns)
    const before = this.#replace(table, memberId, keys[1], final, hash)
    if (before !== undefined) this.sums.remove(table, memberId, before)
    this.sums.add(table, memberId, hash)
  }

  /** The hash of the row that this one is written over. */
  #replace(table: Table, memberId: number, key: unknown, final: boolean, hash: number): number | undefined {
    if (table === 'orders') {
      const orderId = Number(key)
      const before = this.#openOrders.get(orderId)
      if (!final) this.#openOrders.set(orderId, hash)
      else if (before !== undefined) this.#openOrders.delete(orderId)
      return before
    }
    if (table !== 'balances') return undefined
    let ofMember = this.#balances.get(memberId)
    if (ofMember === undefined) {
      ofMember = new Map()
      this.#balances.set(memberId, ofMember)
    }
    const before = ofMember.get(String(key))
    ofMember.set(String(key), hash)
    return before
  }
}
