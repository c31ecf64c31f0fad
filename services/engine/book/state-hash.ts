/** 64 bits of a sequence of numbers: not secret, the same on every machine. */
export class StateHash {
  #a = 0x9e3779b9 | 0
  #b = 0x85ebca6b | 0

  /** The low 32 bits of a whole number. */
  word(value: number): void {
    let a = Math.imul(this.#a ^ value, 0x2c1b3c6d)
    a ^= a >>> 15
    const b = Math.imul((this.#b + value) ^ a, 0x297a2d39)
    this.#a = a
    this.#b = b ^ (b >>> 13)
  }

  /** A whole number, |value| below 2^53. */
  number(value: number): void {
    this.word(value | 0)
    this.word(Math.floor(value / 4294967296) | 0)
  }

  hex(): string {
    return this.lanes()
      .map((lane) => lane.toString(16).padStart(8, '0'))
      .join('')
  }

  /** Both 32-bit halves. */
  lanes(): readonly [number, number] {
    return [this.#a >>> 0, this.#b >>> 0]
  }
}
