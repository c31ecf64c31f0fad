const NONE = -1
const EMPTY = new Int32Array(2).fill(NONE)
const ENTRIES_MIN = 16
/** An order's id is the first of its floats, and orders lie 4 floats apart. */
const ORDER_SHIFT = 2

/**
 * Slots by order id: open addressing in one typed array, linear probing, deletion by shifting back. An entry is the 32-bit
 * hash of an id and its slot (below 0: empty); the id itself stands in the order. Eight neighbouring ids share a cache
 * line, the lines are scattered by the hash, so dense, descending and random ids all do well. At most half full; it
 * grows from its own hashes, without a look at the orders.
 */
export class IdTable {
  /** Hash, slot, hash, slot, … Reads are cast to number: positions are masked, thus inside. */
  #entries = EMPTY
  /** Of positions in `#entries`; even. */
  #mask = 0
  #count = 0

  /** The home of an id are the low bits of this. */
  hashOf(orderId: number): number {
    const low = orderId | 0
    let line = (low >>> 3) ^ Math.imul((orderId / 4294967296) | 0, 0x9e3779b1)
    line = Math.imul(line ^ (line >>> 15), 0x85ebca6b)
    line = Math.imul(line ^ (line >>> 13), 0xc2b2ae35)
    return ((line ^ (line >>> 16)) << 3) | (low & 7)
  }

  /** The entry of this id, for `slotAt` and `removeAt` (until anything changes); of an unknown id ~(the one to be), below 0. */
  find(orderId: number, hash: number, orderFloats: Float64Array): number {
    const entries = this.#entries
    const mask = this.#mask
    for (let at = (hash << 1) & mask; ; at = (at + 2) & mask) {
      const slot = entries[at | 1] as number
      if (slot < 0) return ~at
      if (entries[at] === hash && orderFloats[slot << ORDER_SHIFT] === orderId) return at
    }
  }

  slotAt(entry: number): number {
    return this.#entries[entry | 1] as number
  }

  /** Adds an id that is not in the table. `found` is what `find` has said of it, unless anything has changed since: 0. */
  add(hash: number, slot: number, found: number): void {
    if (this.#count << 2 >= this.#mask) {
      this.#grow()
      found = 0
    }
    const entries = this.#entries
    this.#count++
    let at = ~found
    if (found === 0) {
      const mask = this.#mask
      at = (hash << 1) & mask
      while ((entries[at | 1] as number) >= 0) at = (at + 2) & mask
    }
    entries[at] = hash
    entries[at | 1] = slot
  }

  /** The order must be in the table. */
  remove(hash: number, slot: number): void {
    const entries = this.#entries
    const mask = this.#mask
    let at = (hash << 1) & mask
    while (entries[at | 1] !== slot) at = (at + 2) & mask
    this.removeAt(at)
  }

  removeAt(entry: number): void {
    const entries = this.#entries
    const mask = this.#mask
    let hole = entry
    this.#count--
    for (let at = (hole + 2) & mask; ; at = (at + 2) & mask) {
      const slot = entries[at | 1] as number
      if (slot < 0) break
      const hash = entries[at] as number
      // An entry may move back to the hole unless its home lies behind the hole.
      if (((at - (hash << 1)) & mask) < ((at - hole) & mask)) continue
      entries[hole] = hash
      entries[hole | 1] = slot
      hole = at
    }
    entries[hole | 1] = NONE
  }

  #grow(): void {
    const old = this.#entries
    const entries = new Int32Array(Math.max(2 * ENTRIES_MIN, 2 * old.length)).fill(NONE)
    const mask = entries.length - 2
    for (let from = 0; from < old.length; from += 2) {
      const slot = old[from | 1] as number
      if (slot < 0) continue
      const hash = old[from] as number
      let at = (hash << 1) & mask
      while ((entries[at | 1] as number) >= 0) at = (at + 2) & mask
      entries[at] = hash
      entries[at | 1] = slot
    }
    this.#entries = entries
    this.#mask = mask
  }
}
