/** A 64-bit digest of a sequence of numbers and texts: not secret, equal for equal sequences on every machine. */
export interface Digest {
  /** A whole number, |value| below 2^53. */
  number(value: number): void
  /** 0..2^64−1. */
  minor(value: bigint): void
  text(value: string): void
  hex(): string
}

export function createDigest(): Digest {
  let a = 0x9e3779b9 | 0
  let b = 0x85ebca6b | 0
  const word = (value: number): void => {
    a = Math.imul(a ^ value, 0x2c1b3c6d)
    a ^= a >>> 15
    b = Math.imul((b + value) ^ a, 0x297a2d39)
    b ^= b >>> 13
  }
  return {
    number: (value) => {
      word(value | 0)
      word(Math.floor(value / 4294967296) | 0)
    },
    minor: (value) => {
      word(Number(value & 0xffffffffn) | 0)
      word(Number(value >> 32n) | 0)
    },
    text: (value) => {
      word(value.length)
      for (let index = 0; index < value.length; index++) word(value.charCodeAt(index))
    },
    hex: () => [a, b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join(''),
  }
}
