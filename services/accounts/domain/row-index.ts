import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'

/** What a search gives when there is nothing (more). */
export const NONE = -1

/**
 * Places of a page. Pages are split in two when they are full, so that they are half to nearly full: 6.3 to 12.6 bytes an
 * entry. At this size the ids of a slot (two keys of 10 million, shared by 2^n slots) fill pages to 83 %, which is 7.3.
 */
const PAGE_PLACES = 736
const ENTRIES_MAX = Math.floor(PAGE_PLACES * 0.95)
/** A mark is the distance from home, from 1 on, in the upper byte, and a byte of the hash in the lower. */
const STEP = 256
const DISTANCE_MAX = 255

interface Page {
  /** Row + 1. */
  readonly rows: Uint32Array
  /** 0: a free place. */
  readonly marks: Uint16Array
  /** Rows with so many others of the same hash that splitting would not help: none, unless someone makes them. */
  crowd: number[]
  count: number
  /** So many upper bits of the hash are the same for all entries. */
  depth: number
}

/**
 * A hash table from 32-bit hashes to row numbers (0..2^32−2); the rows hold their keys themselves. Extendible hashing: a
 * directory over pages of one size, so that growing moves the entries of one page and leaves no holes in memory. Within a
 * page Robin Hood hashing: of two entries the one that is farther from its home has the place, so that a search ends soon
 * though the page is nearly full, and the marks tell nearly all entries apart without a look at their rows.
 *
 * To find a row: `for (let row = index.first(hash); row !== NONE; row = index.next()) if (it is the one) …`.
 * After a search that ended with NONE `insertHere` takes a place; after one that found, `removeHere` gives it free.
 */
export class RowIndex {
  readonly #hashOf: (row: number) => number
  /** 2^depth entries; a page of less depth stands in several. */
  #directory: Page[]
  #depth = 1
  #count = 0
  #page: Page
  #place = 0
  /** The mark that the wanted entry has if it is at `#place`. */
  #mark = 0
  /** Place in the crowd, or −1 while the search is in the page. */
  #crowdPlace = -1
  #hash = 0

  /** `hashOf` gives the hash under which a row was inserted. */
  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf
    this.#page = newPage(1)
    this.#directory = [this.#page, newPage(1)]
  }

  first(hash: number): number {
    this.#goHome(hash)
    return this.#search()
  }

  next(): number {
    if (this.#crowdPlace >= 0) return this.#nextOfCrowd()
    this.#advance()
    return this.#search()
  }

  insertHere(row: number): void {
    this.#count++
    const hash = this.#hash
    while (this.#page.count >= ENTRIES_MAX || !put(this.#page, this.#place, this.#mark, row + 1)) {
      if (!this.#maySplit(this.#page)) {
        this.#page.crowd.push(row)
        return
      }
      this.#split(this.#page, hash)
      this.#goHome(hash)
    }
    this.#page.count++
  }

  removeHere(): void {
    this.#count--
    const { rows, marks, crowd } = this.#page
    if (this.#crowdPlace >= 0) {
      crowd.splice(this.#crowdPlace, 1)
      return
    }
    this.#page.count--
    // Entries behind move up until one is at home or the place is free.
    let hole = this.#place
    for (;;) {
      const place = after(hole)
      const mark = marks[place] ?? 0
      if (mark < 2 * STEP) break
      rows[hole] = rows[place] ?? 0
      marks[hole] = mark - STEP
      hole = place
    }
    rows[hole] = 0
    marks[hole] = 0
  }

  pack(packer: Packer): void {
    packer.numbers([this.#depth, this.#count])
    let before: Page | undefined
    for (const page of this.#directory) {
      if (page === before) continue
      before = page
      packer.numbers([page.depth, page.count, ...page.crowd]).bytes(new Uint8Array(page.rows.buffer))
    }
  }

  /** An index over the same rows, which `hashOf` gives the same hashes. */
  static unpack(hashOf: (row: number) => number, packed: Unpacker): RowIndex {
    const index = new RowIndex(hashOf)
    const [depth = 0, count = 0] = packed.numbers()
    index.#depth = depth
    index.#count = count
    index.#directory = []
    while (index.#directory.length < 2 ** depth) {
      const [pageDepth = 0, pageCount = 0, ...crowd] = packed.numbers()
      if (pageDepth < 1 || pageDepth > depth) throw new PackedInvalid('A page has a depth that its index has not.')
      const page = { ...pageIn(packed.buffer(PAGE_PLACES * 6), pageDepth), crowd, count: pageCount }
      for (let span = 2 ** (depth - pageDepth); span > 0; span--) index.#directory.push(page)
    }
    index.#goHome(0)
    return index
  }

  #goHome(hash: number): void {
    this.#hash = hash
    this.#page = this.#pageOf(hash)
    this.#place = homeOf(hash)
    this.#mark = firstMarkOf(hash)
    this.#crowdPlace = -1
  }

  /** From the place on: the first entry with the mark, unless the wanted one would have had a place before. */
  #search(): number {
    const { rows, marks } = this.#page
    for (;;) {
      const mark = marks[this.#place] ?? 0
      if (mark === this.#mark) return (rows[this.#place] ?? 0) - 1
      if (mark >>> 8 < this.#mark >>> 8) return this.#page.crowd.length === 0 ? NONE : this.#nextOfCrowd()
      this.#advance()
    }
  }

  #nextOfCrowd(): number {
    this.#crowdPlace++
    return this.#page.crowd[this.#crowdPlace] ?? NONE
  }

  #advance(): void {
    this.#place = after(this.#place)
    this.#mark += STEP
  }

  #pageOf(hash: number): Page {
    const page = this.#directory[hash >>> (32 - this.#depth)]
    if (page === undefined) throw new RangeError('no such page')
    return page
  }

  /** Not where it would not help: a page that is far from full, or a directory that would be far too large. */
  #maySplit(page: Page): boolean {
    if (page.count < PAGE_PLACES / 2) return false
    return page.depth < this.#depth || this.#directory.length * PAGE_PLACES < 8 * (this.#count + PAGE_PLACES)
  }

  /** Of the entries of the page that has the hash, those whose next bit is set go into a page of their own. */
  #split(page: Page, hash: number): void {
    if (page.depth === this.#depth) {
      this.#directory = this.#directory.flatMap((each) => [each, each])
      this.#depth++
    }
    page.depth++
    const upper = newPage(page.depth)
    const span = 1 << (this.#depth - page.depth)
    const first = (hash >>> (32 - this.#depth)) & ~(2 * span - 1)
    for (let entry = first + span; entry < first + 2 * span; entry++) this.#directory[entry] = upper

    const entries = [...page.rows.filter((entry) => entry !== 0), ...page.crowd.map((row) => row + 1)]
    page.rows.fill(0)
    page.marks.fill(0)
    page.crowd = []
    page.count = 0
    for (const entry of entries) {
      const entryHash = this.#hashOf(entry - 1)
      const target = this.#pageOf(entryHash)
      if (put(target, homeOf(entryHash), firstMarkOf(entryHash), entry)) target.count++
      else target.crowd.push(entry - 1)
    }
  }
}

const newPage = (depth: number): Page => pageIn(new ArrayBuffer(PAGE_PLACES * 6), depth)

function pageIn(buffer: ArrayBuffer, depth: number): Page {
  return {
    rows: new Uint32Array(buffer, 0, PAGE_PLACES),
    marks: new Uint16Array(buffer, PAGE_PLACES * 4, PAGE_PLACES),
    crowd: [],
    count: 0,
    depth,
  }
}

const after = (place: number): number => (place + 1 === PAGE_PLACES ? 0 : place + 1)

/** Where an entry would stand if nothing were in its way. All bits of the hash count, as those of a page share some. */
const homeOf = (hash: number): number => Math.floor(((Math.imul(hash, 0x9e3779b1) >>> 0) / 4294967296) * PAGE_PLACES)

const firstMarkOf = (hash: number): number => STEP | (hash & (STEP - 1))

/**
 * Puts an entry at the place or behind it; those nearer to their homes make way.
 * @returns false, with nothing changed, where an entry would get too far from its home, or all places are taken.
 */
function put({ rows, marks }: Page, at: number, markAt: number, entry: number): boolean {
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
    place = after(place)
    mark += STEP
  }
}

/** Every entry from the place to the next free one moves by one at most. */
function hasRoom(marks: Uint16Array, at: number, markAt: number): boolean {
  let mark = markAt
  for (let place = at; ; place = after(place)) {
    const there = marks[place] ?? 0
    if (mark >>> 8 > DISTANCE_MAX || there >>> 8 >= DISTANCE_MAX) return false
    if (there === 0) return true
    mark += STEP
  }
}
