import { IntMap } from './int-map.ts'

/** Set in front of a price, so that every prefix of it is a key of its own, whatever its length. */
const FRONT_BIT = 0x80000000 | 0

/**
 * A sorted set of prices, 1..2^31−1, as bitmap pages of 32 bits. A page is found by the prefix of its prices and says which
 * prefixes, five bits longer, have anything in them; only pages that do exist. So a price alone in its region
 * costs a few pages of 8 bytes each, and neighbours share one.
 */
export class PriceIndex {
  readonly #pages = new IntMap()
  /** The page of the empty prefix. */
  #root = 0

  /** The price must not be in the set. */
  add(priceTicks: number): void {
    let prefix = priceTicks | FRONT_BIT
    for (;;) {
      const bit = 1 << (prefix & 31)
      prefix >>>= 5
      if (prefix === 0) {
        this.#root |= bit
        return
      }
      if (this.#pages.setBits(prefix, bit) !== 0) return
    }
  }

  /** The price must be in the set. */
  remove(priceTicks: number): void {
    let prefix = priceTicks | FRONT_BIT
    for (;;) {
      const bit = 1 << (prefix & 31)
      prefix >>>= 5
      if (prefix === 0) {
        this.#root &= ~bit
        return
      }
      if (this.#pages.clearBits(prefix, bit) !== 0) return
    }
  }

  /** The lowest price above this one, which need not be in the set; 0 for none. */
  above(priceTicks: number): number {
    let prefix = priceTicks | FRONT_BIT
    for (;;) {
      const bits = -2 << (prefix & 31)
      prefix >>>= 5
      let page = (prefix === 0 ? this.#root : this.#pages.get(prefix)) & bits
      if (page !== 0) {
        for (;;) {
          prefix = (prefix << 5) | (31 - Math.clz32(page & -page))
          if (prefix < 0) return prefix ^ FRONT_BIT
          page = this.#pages.get(prefix)
        }
      }
      if (prefix === 0) return 0
    }
  }

  /** The highest price below this one, which need not be in the set; 0 for none. */
  below(priceTicks: number): number {
    let prefix = priceTicks | FRONT_BIT
    for (;;) {
      const bits = (1 << (prefix & 31)) - 1
      prefix >>>= 5
      let page = (prefix === 0 ? this.#root : this.#pages.get(prefix)) & bits
      if (page !== 0) {
        for (;;) {
          prefix = (prefix << 5) | (31 - Math.clz32(page))
          if (prefix < 0) return prefix ^ FRONT_BIT
          page = this.#pages.get(prefix)
        }
      }
      if (prefix === 0) return 0
    }
  }
}
