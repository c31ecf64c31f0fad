/** Seeded pseudo-random numbers (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** 0 ≤ x < 1, in steps of 2^−32. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    value ^= value + Math.imul(value ^ (value >>> 7), 61 | value)
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }

  /** A whole number, 0 ≤ x < count. */
  below(count: number): number {
    return Math.floor(this.unit() * count)
  }

  /** A whole number, lowest ≤ x ≤ highest. */
  between(lowest: number, highest: number): number {
    return lowest + this.below(highest - lowest + 1)
  }

  /** Exponentially distributed. */
  exponential(mean: number): number {
    return -Math.log(1 - this.unit()) * mean
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }
}
