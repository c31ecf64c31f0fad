import assert from 'node:assert/strict'
import { giveBack, takeMemory } from './memory.ts'

/** What the fields before a value take at most: length, attributes, time, place, length of the key and of the value, in bytes. */
const HEAD_BYTES_MAX = 1 + 5 * 5
/** The number of headers, which is none. */
const TAIL_BYTES = 1
const NO_ATTRIBUTES = 0
const NO_DELAY = 0
const NO_HEADERS = 0
const NOTHING = Buffer.alloc(0)

/**
 * Records for one partition in the form in which they travel, the field `Records` of a record batch (magic 2): written once, into
 * one piece of memory. The producer takes it where it takes a list of messages.
 */
export class RecordBlock {
  readonly partition: number
  #count = 0
  #buffer = takeMemory(0)
  #end = 0

  constructor(partition: number) {
    this.partition = partition
  }

  /** How many records: the client counts by it. */
  get length(): number {
    return this.#count
  }

  /** In bytes. */
  get size(): number {
    return this.#end
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#end)
  }

  append(key: string, value: string): void {
    const keyBytes = Buffer.byteLength(key)
    const valueBytes = Buffer.byteLength(value)
    this.#reserve(HEAD_BYTES_MAX + keyBytes + valueBytes + TAIL_BYTES)
    const index = this.#count++
    const bodyBytes =
      2 + sizeOfVarInt(index) + sizeOfVarInt(keyBytes) + keyBytes + sizeOfVarInt(valueBytes) + valueBytes + TAIL_BYTES
    const buffer = this.#buffer
    let at = writeVarInt(buffer, this.#end, bodyBytes)
    buffer[at++] = NO_ATTRIBUTES
    buffer[at++] = NO_DELAY
    at = writeVarInt(buffer, at, index)
    at = writeVarInt(buffer, at, keyBytes)
    at += writeText(buffer, at, key, keyBytes)
    at = writeVarInt(buffer, at, valueBytes)
    at += writeText(buffer, at, value, valueBytes)
    buffer[at++] = NO_HEADERS
    this.#end = at
  }

  /** What the client looks for in its messages: one without a value. There is none. */
  find(): undefined {
    return undefined
  }

  /** Nobody reads it any more. */
  release(): void {
    giveBack(this.#buffer)
    this.#buffer = NOTHING
    this.#count = this.#end = 0
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return
    const larger = takeMemory(Math.max(this.#buffer.length * 2, this.#end + bytes))
    this.#buffer.copy(larger, 0, 0, this.#end)
    giveBack(this.#buffer)
    this.#buffer = larger
  }
}

/** Records for one partition of one topic, in as many blocks as requests to the broker need. */
export class RecordBlocks {
  readonly #partition: number
  readonly #bytesMax: number
  readonly blocks: RecordBlock[] = []
  #count = 0

  /** A block has about so many bytes at most; a record that is larger has one of its own. */
  constructor(partition: number, bytesMax: number) {
    this.#partition = partition
    this.#bytesMax = bytesMax
  }

  get count(): number {
    return this.#count
  }

  append(key: string, value: string): void {
    let block = this.blocks.at(-1)
    if (block === undefined || block.size + key.length + value.length > this.#bytesMax) {
      block = new RecordBlock(this.#partition)
      this.blocks.push(block)
    }
    block.append(key, value)
    this.#count++
  }

  /** Nobody reads them any more. */
  release(): void {
    for (const block of this.blocks) block.release()
  }
}

/** A text of single bytes is copied as it is, which is faster than looking at each character. */
function writeText(buffer: Buffer, at: number, text: string, bytes: number): number {
  return buffer.write(text, at, bytes, text.length === bytes ? 'latin1' : 'utf8')
}

const BITS = 7
const MORE = 1 << BITS

/** Zigzag, as the protocol has it, of a number from 0 to 2^30 − 1. */
function writeVarInt(buffer: Buffer, at: number, value: number): number {
  assert(value >= 0 && value < 2 ** 30, 'a length fits')
  let rest = value << 1
  let end = at
  for (; rest >= MORE; rest >>>= BITS) buffer[end++] = (rest & (MORE - 1)) | MORE
  buffer[end++] = rest
  return end
}

function sizeOfVarInt(value: number): number {
  let size = 1
  for (let rest = value << 1; rest >= MORE; rest >>>= BITS) size++
  return size
}
