import { IntMap } from './int-map.ts'
import { NONE } from './orders.ts'
import { PriceIndex } from './price-index.ts'

/** How price levels lie in memory: 32 bytes each, seen as floats and as 32-bit integers. */
export const LEVEL_FLOATS = 4
export const LEVEL_INTS = 8
const LEVEL_BYTES = 32

// The float: the sum of the lots that rest, modulo 2^53; LOTS_CARRY counts the multiples.
export const LOTS = 0

// The integers. An unused level has the next unused one in HEAD. A PRICE of 0 marks an unused level.
export const HEAD = 2
export const TAIL = 3
export const PRICE = 4
export const COUNT = 5
export const LOTS_CARRY = 6
export const SIDE = 7

const LOTS_RANGE = 2 ** 53
const LEVELS_MIN = 4

/**
 * The price levels of both sides: as the book is never crossed, a price belongs to one side at a time, and one set of
 * prices serves both.
 */
export class Levels {
  floats = new Float64Array(0)
  ints = new Int32Array(0)
  readonly #byPrice = new IntMap()
  readonly #prices = new PriceIndex()
  #used = 0
  #firstFree = NONE

  /** The level at this price, or NONE. */
  at(priceTicks: number): number {
    return this.#byPrice.get(priceTicks) - 1
  }

  /** Adds a level without orders. There must be none at this price. */
  open(side: number, priceTicks: number): number {
    const level = this.#take()
    const at = level * LEVEL_INTS
    const ints = this.ints
    this.floats[level * LEVEL_FLOATS + LOTS] = 0
    ints[at + HEAD] = NONE
    ints[at + TAIL] = NONE
    ints[at + PRICE] = priceTicks
    ints[at + COUNT] = 0
    ints[at + LOTS_CARRY] = 0
    ints[at + SIDE] = side
    this.#byPrice.set(priceTicks, level + 1)
    this.#prices.add(priceTicks)
    return level
  }

  close(level: number): void {
    const at = level * LEVEL_INTS
    // A level that is in use has a price.
    const priceTicks = this.ints[at + PRICE] as number
    this.#byPrice.delete(priceTicks)
    this.#prices.remove(priceTicks)
    this.ints[at + PRICE] = 0
    this.ints[at + HEAD] = this.#firstFree
    this.#firstFree = level
  }

  /** The price of the next level above, whatever its side; 0 for none. */
  above(priceTicks: number): number {
    return this.#prices.above(priceTicks)
  }

  /** The price of the next level below, whatever its side; 0 for none. */
  below(priceTicks: number): number {
    return this.#prices.below(priceTicks)
  }

  addLots(level: number, lots: number): void {
    const at = level * LEVEL_FLOATS + LOTS
    const sum = this.floats[at] as number
    const room = LOTS_RANGE - sum
    if (lots < room) {
      this.floats[at] = sum + lots
    } else {
      this.floats[at] = lots - room
      this.ints[level * LEVEL_INTS + LOTS_CARRY] = this.carryOf(level) + 1
    }
  }

  subtractLots(level: number, lots: number): void {
    const at = level * LEVEL_FLOATS + LOTS
    const sum = this.floats[at] as number
    if (lots <= sum) {
      this.floats[at] = sum - lots
    } else {
      this.floats[at] = sum + (LOTS_RANGE - lots)
      this.ints[level * LEVEL_INTS + LOTS_CARRY] = this.carryOf(level) - 1
    }
  }

  lotsOf(level: number): number {
    return this.floats[level * LEVEL_FLOATS + LOTS] as number
  }

  carryOf(level: number): number {
    return this.ints[level * LEVEL_INTS + LOTS_CARRY] as number
  }

  #take(): number {
    const level = this.#firstFree
    if (level !== NONE) {
      this.#firstFree = this.ints[level * LEVEL_INTS + HEAD] as number
      return level
    }
    if (this.#used * LEVEL_INTS === this.ints.length) this.#grow()
    return this.#used++
  }

  #grow(): void {
    const levels = Math.max(LEVELS_MIN, 2 * this.#used)
    const buffer = new ArrayBuffer(levels * LEVEL_BYTES)
    const ints = new Int32Array(buffer)
    ints.set(this.ints)
    this.ints = ints
    this.floats = new Float64Array(buffer)
  }
}
