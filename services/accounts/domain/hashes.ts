/** Hashes for tables and comparisons; not against forgers. All are pure functions of their arguments. */

/** 64 bits as two halves of 32. */
export interface Hash64 {
  readonly high: number
  readonly low: number
}

/** Mixes 32 bits so that every input bit moves every output bit (MurmurHash3's finaliser). Signed result. */
export function mix32(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** Upper 32 bits of a whole number below 2^53 (21 of them used). */
export const highWord = (value: number): number => (value / 4294967296) >>> 0

/** 32 bits, signed, of a whole number below 2^53. */
export const hashNumber = (value: number): number => mix32((value | 0) ^ mix32(highWord(value) ^ 0x9e3779b9))

/** 32 bits, signed, of two whole numbers below 2^32. */
export const hashPair = (a: number, b: number): number => mix32(a ^ mix32(b ^ 0x85ebca6b))

/** 64 bits of a text, under a seed below 2^53: the same text under two seeds has unrelated hashes. */
export function hashText(text: string, seed: number): Hash64 {
  let low = 0x9e3779b9 ^ (seed | 0)
  let high = 0x85ebca6b ^ highWord(seed) ^ text.length
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    low = Math.imul(low ^ code, 0x2c1b3c6d)
    low ^= low >>> 15
    high = Math.imul(high ^ code, 0x297a2d39)
    high = (high << 13) | (high >>> 19)
  }
  const a = mix32(low ^ mix32(high))
  const b = mix32(high + Math.imul(a, 0x2c1b3c6d))
  return { high: b >>> 0, low: a >>> 0 }
}

/** 53 bits of a text, as a whole number. */
export function contentHashOf(text: string): number {
  const { high, low } = hashText(text, 0)
  return (high & 0x1fffff) * 4294967296 + low
}

/**
 * A hash of a set of records, the same in whatever order they come: each record is hashed alone, the results are added
 * modulo 2^64. Records are told apart by the kind that they begin with.
 */
export class RecordsHash {
  #sumLow = 0
  #sumHigh = 0
  #low = 0
  #high = 0

  begin(kind: number): this {
    this.#low = Math.imul(kind + 1, 0x9e3779b9)
    this.#high = Math.imul(kind + 1, 0x85ebca6b)
    return this
  }

  /** A whole number, −2^53 < value < 2^53. */
  number(value: number): this {
    return this.#word(value | 0).#word(Math.floor(value / 4294967296) | 0)
  }

  bigint(value: bigint): this {
    return this.text(value.toString())
  }

  text(value: string): this {
    const { high, low } = hashText(value, 0)
    return this.#word(low).#word(high)
  }

  end(): void {
    const low = mix32(this.#low ^ mix32(this.#high)) >>> 0
    const high = mix32(this.#high + low) >>> 0
    const sum = this.#sumLow + low
    this.#sumLow = sum >>> 0
    this.#sumHigh = (this.#sumHigh + high + (sum > 0xffffffff ? 1 : 0)) >>> 0
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return this.#sumHigh.toString(16).padStart(8, '0') + this.#sumLow.toString(16).padStart(8, '0')
  }

  #word(word: number): this {
    this.#low = mix32(this.#low ^ word)
    this.#high = Math.imul(this.#high ^ word, 0x297a2d39) + this.#low
    this.#high = (this.#high << 13) | (this.#high >>> 19)
    return this
  }
}
