const EMPTY = new Int32Array(2)
const ENTRIES_MIN = 8

/**
 * Whole numbers by whole numbers, 32 bits each: open addressing in one typed array, linear probing, deletion by shifting
 * back (so that no tombstones pile up). A key is never 0, and a value of 0 means that the key is absent.
 * Eight neighbouring keys share a cache line; the lines are scattered by a hash. At most half full.
 * Takes no memory of its own before the first key.
 */
export class IntMap {
  #entries = EMPTY
  #mask = 0
  #count = 0

  get(key: number): number {
    const entries = this.#entries
    const mask = this.#mask
    for (let at = homeOf(key) & mask; ; at = (at + 1) & mask) {
      // Indexes are masked, thus in range, here and below.
      const value = entries[2 * at + 1] as number
      if (value === 0 || entries[2 * at] === key) return value
    }
  }

  /** `value` is not 0. */
  set(key: number, value: number): void {
    // The array may be another one after `#entryFor`.
    const at = 2 * this.#entryFor(key) + 1
    this.#entries[at] = value
  }

  /** Sets `bits` (not 0) in the key's value; returns what the value was. */
  setBits(key: number, bits: number): number {
    const at = 2 * this.#entryFor(key) + 1
    const value = this.#entries[at] as number
    this.#entries[at] = value | bits
    return value
  }

  /** Clears `bits` in the value of a key that is present; returns what is left. A key without bits is absent. */
  clearBits(key: number, bits: number): number {
    const entries = this.#entries
    const mask = this.#mask
    let at = homeOf(key) & mask
    while (entries[2 * at] !== key || entries[2 * at + 1] === 0) at = (at + 1) & mask
    const left = (entries[2 * at + 1] as number) & ~bits
    if (left !== 0) entries[2 * at + 1] = left
    else this.#deleteAt(at)
    return left
  }

  /** The key must be present. */
  delete(key: number): void {
    const entries = this.#entries
    const mask = this.#mask
    let at = homeOf(key) & mask
    while (entries[2 * at] !== key || entries[2 * at + 1] === 0) at = (at + 1) & mask
    this.#deleteAt(at)
  }

  #entryFor(key: number): number {
    if (2 * this.#count >= this.#mask) this.#grow()
    const entries = this.#entries
    const mask = this.#mask
    let at = homeOf(key) & mask
    while (entries[2 * at + 1] !== 0) {
      if (entries[2 * at] === key) return at
      at = (at + 1) & mask
    }
    this.#count++
    entries[2 * at] = key
    return at
  }

  #deleteAt(entry: number): void {
    const entries = this.#entries
    const mask = this.#mask
    let hole = entry
    this.#count--
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const value = entries[2 * at + 1] as number
      if (value === 0) break
      const moved = entries[2 * at] as number
      // An entry may move back to the hole unless its home lies behind the hole.
      if (((at - homeOf(moved)) & mask) < ((at - hole) & mask)) continue
      entries[2 * hole] = moved
      entries[2 * hole + 1] = value
      hole = at
    }
    entries[2 * hole + 1] = 0
  }

  #grow(): void {
    const old = this.#entries
    const size = Math.max(ENTRIES_MIN, old.length)
    const entries = new Int32Array(2 * size)
    const mask = size - 1
    for (let from = 0; from < old.length; from += 2) {
      const value = old[from + 1] as number
      if (value === 0) continue
      const key = old[from] as number
      let at = homeOf(key) & mask
      while (entries[2 * at + 1] !== 0) at = (at + 1) & mask
      entries[2 * at] = key
      entries[2 * at + 1] = value
    }
    this.#entries = entries
    this.#mask = mask
  }
}

function homeOf(key: number): number {
  let line = Math.imul(key >>> 3, 0x9e3779b1)
  line = Math.imul(line ^ (line >>> 15), 0x85ebca6b)
  return ((line ^ (line >>> 13)) << 3) | (key & 7)
}
