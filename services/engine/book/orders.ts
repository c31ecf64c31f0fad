/** How orders lie in memory: 32 bytes each, so that two share a cache line; seen as floats and as 32-bit integers. */
export const ORDER_FLOATS = 4
export const ORDER_INTS = 8
const ORDER_BYTES = 32

// The floats. An id of 0 marks an unused slot.
export const ID = 0
export const REMAINING = 1

// The integers. At the ends of a queue the neighbour is NONE. An unused slot has the next unused one in NEXT.
export const NEXT = 4
export const PREVIOUS = 5
export const LEVEL = 6
export const HASH = 7

/** No slot, no level. */
export const NONE = -1

const SLOTS_MIN = 8

/** The pool of resting orders. Slots are dense: what was freed last is used first. Grows by doubling, from nothing. */
export class Orders {
  floats = new Float64Array(0)
  ints = new Int32Array(0)
  /** Apart from the rest of an order, as only amendments ask for it. */
  totals = new Float64Array(0)
  count = 0
  /** Slots below this are or were in use. */
  slotsUsed = 0
  /** The first of the unused slots below `slotsUsed`. */
  firstFree = NONE

  take(): number {
    this.count++
    const slot = this.firstFree
    if (slot !== NONE) {
      // The chain holds slots of this pool.
      this.firstFree = this.ints[slot * ORDER_INTS + NEXT] as number
      return slot
    }
    if (this.slotsUsed === this.totals.length) this.reserve(Math.max(SLOTS_MIN, 2 * this.slotsUsed))
    return this.slotsUsed++
  }

  release(slot: number): void {
    this.count--
    this.floats[slot * ORDER_FLOATS + ID] = 0
    if (this.count === 0) {
      this.firstFree = NONE
      this.slotsUsed = 0
      return
    }
    this.ints[slot * ORDER_INTS + NEXT] = this.firstFree
    this.firstFree = slot
  }

  reserve(slots: number): void {
    const buffer = new ArrayBuffer(slots * ORDER_BYTES)
    const ints = new Int32Array(buffer)
    const totals = new Float64Array(slots)
    ints.set(this.ints)
    totals.set(this.totals)
    this.ints = ints
    this.floats = new Float64Array(buffer)
    this.totals = totals
  }
}
