/** What a search gives when there is nothing (more). */
export const NONE = -1

const SEGMENT_BITS = 8
const SEGMENTS = 1 << SEGMENT_BITS
const CAPACITY_MIN = 8
/** A segment grows when it is fuller than this, by this factor: 6.7 to 8.4 bytes an entry. */
const LOAD_MAX = 0.9
const GROWTH = 1.25
/** A mark is the distance from home, from 1 on, in the upper byte, and a byte of the hash in the lower. */
const STEP = 256
const DISTANCE_MAX = 255

interface Segment {
  /** Row + 1. */
  readonly rows: Uint32Array
  /** 0: a free place. */
  readonly marks: Uint16Array
  /** Rows with so many others of the same hash that a larger table would not help: none, unless someone makes them. */
  readonly crowd: number[]
  count: number
}

/**
 * A hash table from 32-bit hashes to row numbers (0..2^32−2); the rows hold their keys themselves. Robin Hood hashing: of
 * two entries the one that is farther from its home has the place, so that a search ends soon though the table is nearly
 * full, and the marks tell nearly all entries apart without a look at their rows. 256 segments grow one by one, so that no
 * insertion moves more than a 256th of the table.
 *
 * To find a row: `for (let row = index.first(hash); row !== NONE; row = index.next()) if (it is the one) …`.
 * After a search that ended with NONE `insertHere` takes a place; after one that found, `removeHere` gives it free.
 */
export class RowIndex {
  readonly #segments: Segment[] = []
  readonly #hashOf: (row: number) => number
  #segment: Segment
  #place = 0
  /** The mark that the wanted entry has if it is at `#place`. */
  #mark = 0
  /** Place in the crowd, or −1 while the search is in the table. */
  #crowdPlace = -1
  #hash = 0

  /** `hashOf` gives the hash under which a row was inserted. */
  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf
    for (let segment = 0; segment < SEGMENTS; segment++) this.#segments.push(newSegment(CAPACITY_MIN))
    this.#segment = this.#segmentOf(0)
  }

  first(hash: number): number {
    this.#hash = hash
    this.#segment = this.#segmentOf(hash)
    this.#place = homeOf(hash, this.#segment.marks.length)
    this.#mark = firstMarkOf(hash)
    this.#crowdPlace = -1
    return this.#search()
  }

  next(): number {
    if (this.#crowdPlace >= 0) return this.#nextOfCrowd()
    this.#advance()
    return this.#search()
  }

  insertHere(row: number): void {
    let segment = this.#segment
    if (segment.count + 1 > segment.marks.length * LOAD_MAX) segment = this.#grow(segment)
    while (!put(segment, this.#place, this.#mark, row + 1)) {
      if (segment.count < segment.marks.length / 2) {
        segment.crowd.push(row)
        return
      }
      segment = this.#grow(segment)
    }
    segment.count++
  }

  removeHere(): void {
    const { rows, marks, crowd } = this.#segment
    if (this.#crowdPlace >= 0) {
      crowd.splice(this.#crowdPlace, 1)
      return
    }
    this.#segment.count--
    // Entries behind move up until one is at home or the place is free.
    let hole = this.#place
    for (;;) {
      const place = hole + 1 === marks.length ? 0 : hole + 1
      const mark = marks[place] ?? 0
      if (mark < 2 * STEP) break
      rows[hole] = rows[place] ?? 0
      marks[hole] = mark - STEP
      hole = place
    }
    rows[hole] = 0
    marks[hole] = 0
  }

  /** From the place on: the first entry with the mark, unless the wanted one would have had a place before. */
  #search(): number {
    const { rows, marks } = this.#segment
    for (;;) {
      const mark = marks[this.#place] ?? 0
      if (mark === this.#mark) return (rows[this.#place] ?? 0) - 1
      if (mark >>> 8 < this.#mark >>> 8) return this.#segment.crowd.length === 0 ? NONE : this.#nextOfCrowd()
      this.#advance()
    }
  }

  #nextOfCrowd(): number {
    this.#crowdPlace++
    return this.#segment.crowd[this.#crowdPlace] ?? NONE
  }

  #advance(): void {
    this.#place = this.#place + 1 === this.#segment.marks.length ? 0 : this.#place + 1
    this.#mark += STEP
  }

  #segmentOf(hash: number): Segment {
    const segment = this.#segments[hash >>> (32 - SEGMENT_BITS)]
    if (segment === undefined) throw new RangeError('no such segment')
    return segment
  }

  /** Moves a segment into a larger one, and the cursor to where the entry that is to be inserted has its home. */
  #grow(segment: Segment): Segment {
    const capacity = Math.ceil(segment.marks.length * GROWTH)
    const larger = newSegment(capacity)
    for (const entry of segment.rows) if (entry !== 0) this.#move(entry, larger)
    for (const row of segment.crowd) this.#move(row + 1, larger)
    this.#segments[this.#hash >>> (32 - SEGMENT_BITS)] = larger
    this.#segment = larger
    this.#place = homeOf(this.#hash, capacity)
    this.#mark = firstMarkOf(this.#hash)
    return larger
  }

  #move(entry: number, to: Segment): void {
    const hash = this.#hashOf(entry - 1)
    if (put(to, homeOf(hash, to.marks.length), firstMarkOf(hash), entry)) to.count++
    else to.crowd.push(entry - 1)
  }
}

function newSegment(capacity: number): Segment {
  return { rows: new Uint32Array(capacity), marks: new Uint16Array(capacity), crowd: [], count: 0 }
}

/** Where an entry would stand if nothing were in its way: the hash's bits below those of the segment, scaled to the table. */
function homeOf(hash: number, capacity: number): number {
  return Math.floor((((hash << SEGMENT_BITS) >>> 0) / 4294967296) * capacity)
}

const firstMarkOf = (hash: number): number => STEP | (hash & (STEP - 1))

/**
 * Puts an entry at the place or behind it; those nearer to their homes make way.
 * @returns false, with nothing changed, where an entry would get too far from its home.
 */
function put({ rows, marks }: Segment, at: number, markAt: number, entry: number): boolean {
  if (!hasRoom(marks, at, markAt)) return false
  let place = at
  let mark = markAt
  let carried = entry
  for (;;) {
    const there = marks[place] ?? 0
    if (there >>> 8 < mark >>> 8) {
      const row = rows[place] ?? 0
      rows[place] = carried
      marks[place] = mark
      if (there === 0) return true
      carried = row
      mark = there
    }
    place = place + 1 === marks.length ? 0 : place + 1
    mark += STEP
  }
}

/** Every entry from the place to the next free one moves by one at most. */
function hasRoom(marks: Uint16Array, at: number, markAt: number): boolean {
  let mark = markAt
  for (let place = at; ; place = place + 1 === marks.length ? 0 : place + 1) {
    const there = marks[place] ?? 0
    if (mark >>> 8 > DISTANCE_MAX || there >>> 8 >= DISTANCE_MAX) return false
    if (there === 0) return true
    mark += STEP
  }
}
