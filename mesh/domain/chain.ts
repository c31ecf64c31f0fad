let units = Buffer.from(new ArrayBuffer(16_384))
let unitPairs = new Int32Array(units.buffer)

/**
 * Lays a text's UTF-16 units side by side, and returns how many whole pairs of them there are. Asking the text for one
 * character after the other was a fifth of what accounts did: where texts of all kinds come by (cut out of a message, joined,
 * just written) V8 looks up for each character anew how to get at it.
 */
function layOut(text: string): number {
  const bytesCount = 2 * text.length
  if (bytesCount > units.length) {
    units = Buffer.from(new ArrayBuffer(2 ** Math.ceil(Math.log2(bytesCount))))
    unitPairs = new Int32Array(units.buffer)
  }
  units.write(text, 'utf16le')
  return text.length >>> 1
}

/**
 * The next value of a chain of hashes: 53 bits that depend on the previous value and on every character of the text.
 * It tells accidents apart (a lost tail, another version's output, a reordering), not forgeries; permissions on the bus do that.
 * Two lanes of 32 bits; the mixing is MurmurHash3's finaliser.
 */
export function chainHash(previous: number, text: string): number {
  const { length } = text
  const pairsCount = layOut(text)
  let a = (previous >>> 0) ^ 0x9e3779b9
  let b = Math.floor(previous / 4294967296) ^ length ^ 0x85ebca6b
  const pairs = unitPairs
  for (let at = 0; at < pairsCount; at++) {
    const pair = pairs[at] as number
    a = Math.imul(a ^ pair, 0x2c1b3c6d)
    a ^= a >>> 15
    b = Math.imul(b ^ pair, 0x297a2d39)
    b = (b << 13) | (b >>> 19)
  }
  if (length % 2 === 1) {
    const last = text.charCodeAt(length - 1)
    a = Math.imul(a ^ last, 0x2c1b3c6d)
    b = Math.imul(b ^ last, 0x297a2d39)
  }
  return joined(a, b)
}

/** Two chains that the same text continues: both of `chainHash`, for little more than the price of one. */
export function chainHashes(chain: { hash: number }, other: { hash: number }, text: string): void {
  const { length } = text
  const pairsCount = layOut(text)
  let a = (chain.hash >>> 0) ^ 0x9e3779b9
  let b = Math.floor(chain.hash / 4294967296) ^ length ^ 0x85ebca6b
  let c = (other.hash >>> 0) ^ 0x9e3779b9
  let d = Math.floor(other.hash / 4294967296) ^ length ^ 0x85ebca6b
  const pairs = unitPairs
  for (let at = 0; at < pairsCount; at++) {
    const pair = pairs[at] as number
    a = Math.imul(a ^ pair, 0x2c1b3c6d)
    c = Math.imul(c ^ pair, 0x2c1b3c6d)
    a ^= a >>> 15
    c ^= c >>> 15
    b = Math.imul(b ^ pair, 0x297a2d39)
    d = Math.imul(d ^ pair, 0x297a2d39)
    b = (b << 13) | (b >>> 19)
    d = (d << 13) | (d >>> 19)
  }
  if (length % 2 === 1) {
    const last = text.charCodeAt(length - 1)
    a = Math.imul(a ^ last, 0x2c1b3c6d)
    b = Math.imul(b ^ last, 0x297a2d39)
    c = Math.imul(c ^ last, 0x2c1b3c6d)
    d = Math.imul(d ^ last, 0x297a2d39)
  }
  chain.hash = joined(a, b)
  other.hash = joined(c, d)
}

function joined(laneA: number, laneB: number): number {
  const a = finish(laneA ^ laneB)
  const b = finish(laneB + a)
  return (b & 0x1fffff) * 4294967296 + (a >>> 0)
}

function finish(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
