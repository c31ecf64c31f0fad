import { ORDER_FLOATS } from './orders.ts'

const EMPTY = new Int32Array(2)
const ENTRIES_MIN = 16

/**
 * Slots by order id: open addressing in one typed array, linear probing, deletion by shifting back. An entry is the 32-bit
 * hash of an id and its slot + 1 (0: empty); the id itself stands in the order. Eight neighbouring ids share a cache
 * line, the lines are scattered by the hash, so dense, descending and random ids all do well. At most half full; it
 * grows from its own hashes, without a look at the orders.
 */
export class IdTable {
  #entries = EMPTY
  #mask = 0
  #count = 0

  /** The entry of this id, for `slotAt` and `removeAt` (until anything changes), or −1. */
  find(orderId: number, hash: number, orderFloats: Float64Array): number {
    const entries = this.#entries
    const mask = this.#mask
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      // Indexes are masked, thus in range, here and below.
      const slot = (entries[2 * at + 1] as number) - 1
      if (slot < 0) return -1
      if (entries[2 * at] === hash && orderFloats[slot * ORDER_FLOATS] === orderId) return at
    }
  }

  slotAt(entry: number): number {
    return (this.#entries[2 * entry + 1] as number) - 1
  }

  /** The id must not be in the table. */
  add(hash: number, slot: number): void {
    if (2 * this.#count >= this.#mask) this.#grow()
    this.#count++
    place(this.#entries, this.#mask, hash, slot + 1)
  }

  /** The order must be in the table. */
  remove(hash: number, slot: number): void {
    const entries = this.#entries
    const mask = this.#mask
    let at = hash & mask
    while (entries[2 * at + 1] !== slot + 1) at = (at + 1) & mask
    this.removeAt(at)
  }

  removeAt(entry: number): void {
    const entries = this.#entries
    const mask = this.#mask
    this.#count--
    let hole = entry
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const value = entries[2 * at + 1] as number
      if (value === 0) break
      const hash = entries[2 * at] as number
      // An entry may move back to the hole unless its home lies behind the hole.
      if (((at - hash) & mask) < ((at - hole) & mask)) continue
      entries[2 * hole] = hash
      entries[2 * hole + 1] = value
      hole = at
    }
    entries[2 * hole + 1] = 0
  }

  #grow(): void {
    const old = this.#entries
    const size = Math.max(ENTRIES_MIN, old.length)
    const entries = new Int32Array(2 * size)
    for (let from = 0; from < old.length; from += 2) {
      const value = old[from + 1] as number
      if (value !== 0) place(entries, size - 1, old[from] as number, value)
    }
    this.#entries = entries
    this.#mask = size - 1
  }
}

/** The home of an id is the low bits of this. */
export function hashOfId(orderId: number): number {
  const low = orderId | 0
  let line = (low >>> 3) ^ Math.imul((orderId / 4294967296) | 0, 0x9e3779b1)
  line = Math.imul(line ^ (line >>> 15), 0x85ebca6b)
  line = Math.imul(line ^ (line >>> 13), 0xc2b2ae35)
  return ((line ^ (line >>> 16)) << 3) | (low & 7)
}

function place(entries: Int32Array, mask: number, hash: number, value: number): void {
  let at = hash & mask
  while (entries[2 * at + 1] !== 0) at = (at + 1) & mask
  entries[2 * at] = hash
  entries[2 * at + 1] = value
}
