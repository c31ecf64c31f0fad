const EMPTY = new Int32Array(2)
const ENTRIES_MIN = 8

/**
 * Whole numbers by whole numbers, 32 bits each: open addressing in one typed array, linear probing, deletion by shifting
 * back (so that no tombstones pile up). A key is never 0, and a value of 0 means that the key is absent.
 * Eight neighbouring keys share a cache line; the lines are scattered by a hash. At most half full.
 * Takes no memory of its own before the first key.
 */
export class IntMap {
  /** Key, value, key, value, … Reads are cast to number: positions are masked, thus inside. */
  #entries = EMPTY
  /** Of positions in `#entries`; even. */
  #mask = 0
  #count = 0

  get(key: number): number {
    const entries = this.#entries
    const mask = this.#mask
    for (let at = homeOf(key) & mask; ; at = (at + 2) & mask) {
      const value = entries[at | 1] as number
      if (value === 0 || entries[at] === key) return value
    }
  }

  /** The entry of this key, for `valueAt` (until anything changes); of an absent key ~(the one to be), below 0. */
  find(key: number): number {
    const entries = this.#entries
    const mask = this.#mask
    for (let at = homeOf(key) & mask; ; at = (at + 2) & mask) {
      if (entries[at | 1] === 0) return ~at
      if (entries[at] === key) return at
    }
  }

  valueAt(entry: number): number {
    return this.#entries[entry | 1] as number
  }

  /** Adds a key that is absent, with a value that is not 0. `found` is what `find` has said of it just before. */
  add(key: number, value: number, found: number): void {
    let at = ~found
    if (this.#count << 2 >= this.#mask) {
      this.#grow()
      at = ~this.find(key)
    }
    const entries = this.#entries
    this.#count++
    entries[at] = key
    entries[at | 1] = value
  }

  /** Sets `bits` (not 0) in the key's value; returns what the value was. */
  setBits(key: number, bits: number): number {
    const at = this.#entryFor(key)
    const entries = this.#entries
    const value = entries[at | 1] as number
    entries[at | 1] = value | bits
    return value
  }

  /** Clears `bits` in the value of a key that is present; returns what is left. A key without bits is absent. */
  clearBits(key: number, bits: number): number {
    const entries = this.#entries
    const at = this.#entryOf(key)
    const left = (entries[at | 1] as number) & ~bits
    if (left !== 0) entries[at | 1] = left
    else this.#deleteAt(at)
    return left
  }

  /** The key must be present. */
  delete(key: number): void {
    this.#deleteAt(this.#entryOf(key))
  }

  /** The key must be present. */
  #entryOf(key: number): number {
    const entries = this.#entries
    const mask = this.#mask
    let at = homeOf(key) & mask
    while (entries[at] !== key || entries[at | 1] === 0) at = (at + 2) & mask
    return at
  }

  /** The key's entry, or a new one whose value is still 0. */
  #entryFor(key: number): number {
    if (this.#count << 2 >= this.#mask) this.#grow()
    const entries = this.#entries
    const mask = this.#mask
    let at = homeOf(key) & mask
    while (entries[at | 1] !== 0) {
      if (entries[at] === key) return at
      at = (at + 2) & mask
    }
    this.#count++
    entries[at] = key
    return at
  }

  #deleteAt(entry: number): void {
    const entries = this.#entries
    const mask = this.#mask
    let hole = entry
    this.#count--
    for (let at = (hole + 2) & mask; ; at = (at + 2) & mask) {
      const value = entries[at | 1] as number
      if (value === 0) break
      const key = entries[at] as number
      // An entry may move back to the hole unless its home lies behind the hole.
      if (((at - homeOf(key)) & mask) < ((at - hole) & mask)) continue
      entries[hole] = key
      entries[hole | 1] = value
      hole = at
    }
    entries[hole | 1] = 0
  }

  #grow(): void {
    const old = this.#entries
    const entries = new Int32Array(Math.max(2 * ENTRIES_MIN, 2 * old.length))
    const mask = entries.length - 2
    for (let from = 0; from < old.length; from += 2) {
      const value = old[from | 1] as number
      if (value === 0) continue
      const key = old[from] as number
      let at = homeOf(key) & mask
      while (entries[at | 1] !== 0) at = (at + 2) & mask
      entries[at] = key
      entries[at | 1] = value
    }
    this.#entries = entries
    this.#mask = mask
  }
}

/** Twice what an entry's number is to be, in its low bits. */
function homeOf(key: number): number {
  let line = Math.imul(key >>> 3, 0x9e3779b1)
  line = Math.imul(line ^ (line >>> 15), 0x85ebca6b)
  return ((line ^ (line >>> 13)) << 4) | ((key & 7) << 1)
}
