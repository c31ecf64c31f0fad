/** What a search gives when there is nothing (more). */
export const NONE = -1

const SEGMENT_BITS = 8
const SEGMENTS = 1 << SEGMENT_BITS
const CAPACITY_MIN = 8
/** A segment grows when it is fuller than this: probes stay short, and an entry costs 5 to 8 bytes. */
const LOAD_MAX = 0.8
const GROWTH = 1.5

/**
 * A hash table from 32-bit hashes to row numbers (0..2^32−2); the rows hold their keys themselves. Open addressing with
 * linear probing in 256 segments that grow one by one, so that no single insertion moves more than a 256th of the table.
 *
 * To find a row: `for (let row = index.first(hash); row !== NONE; row = index.next()) if (it is the one) …`.
 * After a search that ended with NONE `insertHere` takes the place; after one that found, `removeHere` gives it free.
 */
export class RowIndex {
  /** Row + 1; 0 is a free place. */
  readonly #segments: Uint32Array[] = []
  readonly #counts = new Uint32Array(SEGMENTS)
  readonly #hashOf: (row: number) => number
  #segment = 0
  #place = 0
  #hash = 0

  /** `hashOf` gives the hash under which a row was inserted. */
  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf
    for (let segment = 0; segment < SEGMENTS; segment++) this.#segments.push(new Uint32Array(CAPACITY_MIN))
  }

  first(hash: number): number {
    this.#hash = hash
    this.#segment = hash >>> (32 - SEGMENT_BITS)
    const table = this.#table(this.#segment)
    this.#place = home(hash, table.length)
    return (table[this.#place] ?? 0) - 1
  }

  next(): number {
    const table = this.#table(this.#segment)
    this.#place = this.#place + 1 === table.length ? 0 : this.#place + 1
    return (table[this.#place] ?? 0) - 1
  }

  insertHere(row: number): void {
    const segment = this.#segment
    const count = (this.#counts[segment] ?? 0) + 1
    this.#counts[segment] = count
    let table = this.#table(segment)
    if (count > table.length * LOAD_MAX) {
      table = this.#grow(table)
      this.#segments[segment] = table
      this.#place = freePlace(table, this.#hash)
    }
    table[this.#place] = row + 1
  }

  removeHere(): void {
    const table = this.#table(this.#segment)
    this.#counts[this.#segment] = (this.#counts[this.#segment] ?? 0) - 1
    // Entries behind the hole move up unless that would put them before their home.
    let hole = this.#place
    for (let place = hole; ; ) {
      place = place + 1 === table.length ? 0 : place + 1
      const entry = table[place] ?? 0
      if (entry === 0) break
      const wanted = home(this.#hashOf(entry - 1), table.length)
      const staysBehindHole = hole <= place ? hole < wanted && wanted <= place : hole < wanted || wanted <= place
      if (staysBehindHole) continue
      table[hole] = entry
      hole = place
    }
    table[hole] = 0
  }

  #table(segment: number): Uint32Array {
    const table = this.#segments[segment]
    if (table === undefined) throw new RangeError('no such segment')
    return table
  }

  #grow(table: Uint32Array): Uint32Array {
    const larger = new Uint32Array(Math.ceil(table.length * GROWTH))
    for (const entry of table) {
      if (entry !== 0) larger[freePlace(larger, this.#hashOf(entry - 1))] = entry
    }
    return larger
  }
}

/** Where an entry would stand if nothing were in its way: the hash's bits below those of the segment, scaled to the table. */
function home(hash: number, capacity: number): number {
  return Math.floor((((hash << SEGMENT_BITS) >>> 0) / 4294967296) * capacity)
}

function freePlace(table: Uint32Array, hash: number): number {
  let place = home(hash, table.length)
  while (table[place] !== 0) place = place + 1 === table.length ? 0 : place + 1
  return place
}
