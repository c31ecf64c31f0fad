import assert from 'node:assert/strict'
import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'
import { type Hash64, hashNumber, hashText, highWord, mix32, type RecordsHash } from './hashes.ts'
import { NONE, RowIndex } from './row-index.ts'

export const IdKind = { order: 0, voided: 1, command: 2 } as const
export type IdKind = (typeof IdKind)[keyof typeof IdKind]

/** What is remembered of an id. */
export interface RememberedId {
  readonly id: number
  readonly kind: IdKind
  readonly contentHash: number
}

/** Six words of 32 bits: id (53 bits), kind (2), check on the member (20), key of the clientOrderId (64), content (53). */
const ENTRY_WORDS = 6
const PAGE_BITS = 14
const PAGE_ENTRIES = 1 << PAGE_BITS
/** Entries are timed in blocks, by the newest of a block: at most so many entries, and so many microseconds. */
const BLOCK_ENTRIES_MAX = 256
const BLOCK_US_MAX = 60_000_000

/** Entries before `end` (and after those of the block before). */
interface Block {
  readonly firstUs: number
  lastUs: number
  end: number
  count: number
}

/**
 * The ids of commands that the slot has seen, and the members' own ids (clientOrderId) of orders: a ring that forgets the
 * oldest first, by number and by age (to the minute), with an index over both keys. 24 bytes an entry and 5 to 8 for each
 * key. A member's ids are compared by 64-bit hashes, contents by 53 bits. Memory is taken when it is needed.
 */
export class RememberedIds {
  readonly #countMax: number
  readonly #ageUsMax: number
  readonly #ringPages: number
  readonly #pages: (Uint32Array | undefined)[]
  readonly #blocks: Block[] = []
  #blocksHead = 0
  /** A ring position times 2, plus 0 for the id or 1 for the clientOrderId. */
  #index: RowIndex
  #head = 0
  #end = 0
  #forgottenUntilUs = 0

  /** At most `countMax` ids, none older than `ageUsMax` microseconds of log time. */
  constructor({ countMax, ageUsMax }: { readonly countMax: number; readonly ageUsMax: number }) {
    assert(Number.isSafeInteger(countMax) && countMax >= 1 && countMax <= 1_000_000_000)
    this.#countMax = countMax
    this.#ageUsMax = ageUsMax
    this.#ringPages = Math.ceil(countMax / PAGE_ENTRIES) + 1
    this.#pages = new Array<Uint32Array | undefined>(this.#ringPages).fill(undefined)
    this.#index = new RowIndex((row) => this.#hashOfKey(row))
  }

  get count(): number {
    return this.#end - this.#head
  }

  /** Log time of the newest entry that was forgotten; 0 if none was. */
  get forgottenUntilUs(): number {
    return this.#forgottenUntilUs
  }

  findId(id: number): RememberedId | undefined {
    const position = this.#searchId(id)
    return position === NONE ? undefined : this.#entry(position)
  }

  findClientOrderId(memberId: number, clientOrderId: string): RememberedId | undefined {
    const position = this.#searchKey(clientKey(memberId, clientOrderId))
    return position === NONE ? undefined : this.#entry(position)
  }

  /** Whether a remembered id was the member's. (By 20 bits of a hash: good enough to choose between two refusals.) */
  isOf(id: number, memberId: number): boolean {
    const position = this.#searchId(id)
    if (position === NONE) return false
    const words = this.#page(position)
    const at = wordAt(position)
    const check = ((words[at + 1] ?? 0) >>> 23) | (((words[at + 5] ?? 0) >>> 21) << 9)
    return check === memberCheck(memberId)
  }

  /**
   * Remembers an id that is not known yet, with the member's own id where there is one that is not known either.
   * Forgets the oldest for it where there is no room, and tells which.
   */
  remember(
    entry: RememberedId & {
      readonly memberId: number
      readonly clientOrderId?: string | undefined
      readonly timeUs: number
    },
    forgotten: (id: number) => void,
  ): void {
    if (this.count === this.#countMax) this.#forgetOldest(forgotten)
    const position = this.#end % (this.#ringPages * PAGE_ENTRIES)
    assert(this.#searchId(entry.id) === NONE)
    this.#index.insertHere(position * 2)

    const words = this.#takePage(position)
    const at = wordAt(position)
    const check = memberCheck(entry.memberId)
    words[at] = entry.id
    words[at + 1] = highWord(entry.id) | (entry.kind << 21) | ((check & 0x1ff) << 23)
    words[at + 2] = 0
    words[at + 3] = 0
    words[at + 4] = entry.contentHash
    words[at + 5] = highWord(entry.contentHash) | ((check >>> 9) << 21)
    this.#end++
    this.#extendBlocks(entry.timeUs)
    if (entry.clientOrderId === undefined) return
    const key = clientKey(entry.memberId, entry.clientOrderId)
    assert(this.#searchKey(key) === NONE)
    words[at + 2] = key.low
    words[at + 3] = key.high
    this.#index.insertHere(position * 2 + 1)
  }

  /** Forgets what is too old and tells which ids, oldest first. */
  forgetAged(timeUs: number, forgotten: (id: number) => void): void {
    while (this.#head < this.#end && this.#oldestBlock().lastUs < timeUs - this.#ageUsMax) this.#forgetOldest(forgotten)
  }

  #forgetOldest(forgotten: (id: number) => void): void {
    const position = this.#head % (this.#ringPages * PAGE_ENTRIES)
    const words = this.#page(position)
    const at = wordAt(position)
    const id = this.#idAt(position)
    assert(this.#searchId(id) === position)
    this.#index.removeHere()
    const key = { low: words[at + 2] ?? 0, high: words[at + 3] ?? 0 }
    if (key.low !== 0 || key.high !== 0) {
      assert(this.#searchKey(key) === position)
      this.#index.removeHere()
    }
    this.#head++
    if ((this.#head & (PAGE_ENTRIES - 1)) === 0) this.#pages[position >>> PAGE_BITS] = undefined
    const block = this.#oldestBlock()
    this.#forgottenUntilUs = Math.max(this.#forgottenUntilUs, block.lastUs)
    if (block.end === this.#head) this.#dropOldestBlock()
    forgotten(id)
  }

  #oldestBlock(): Block {
    const block = this.#blocks[this.#blocksHead]
    assert(block !== undefined)
    return block
  }

  #dropOldestBlock(): void {
    this.#blocksHead++
    if (this.#blocksHead < 1024 && this.#blocksHead < this.#blocks.length) return
    this.#blocks.splice(0, this.#blocksHead)
    this.#blocksHead = 0
  }

  #extendBlocks(timeUs: number): void {
    const last = this.#blocks.at(-1)
    if (last === undefined || last.count === BLOCK_ENTRIES_MAX || timeUs - last.firstUs > BLOCK_US_MAX) {
      this.#blocks.push({ firstUs: timeUs, lastUs: timeUs, end: this.#end, count: 1 })
    } else {
      last.lastUs = timeUs
      last.end = this.#end
      last.count++
    }
  }

  pack(packer: Packer): void {
    packer.numbers([this.#countMax, this.#ageUsMax, this.#head, this.#end, this.#forgottenUntilUs])
    const blocks = this.#blocks.slice(this.#blocksHead)
    packer.numbers(blocks.flatMap(({ firstUs, lastUs, end, count }) => [firstUs, lastUs, end, count]))
    for (const page of this.#pages) packer.bytes(page ?? NO_PAGE)
    this.#index.pack(packer)
  }

  static unpack(limits: { readonly countMax: number; readonly ageUsMax: number }, packed: Unpacker): RememberedIds {
    const remembered = new RememberedIds(limits)
    const [countMax, ageUsMax, head = 0, end = 0, forgottenUntilUs = 0] = packed.numbers()
    if (countMax !== limits.countMax || ageUsMax !== limits.ageUsMax) {
      throw new PackedInvalid('The limits of the remembered ids are others.')
    }
    remembered.#head = head
    remembered.#end = end
    remembered.#forgottenUntilUs = forgottenUntilUs
    const blocks = packed.numbers()
    for (let at = 0; at < blocks.length; at += 4) {
      const [firstUs = 0, lastUs = 0, blockEnd = 0, count = 0] = blocks.slice(at, at + 4)
      remembered.#blocks.push({ firstUs, lastUs, end: blockEnd, count })
    }
    for (let index = 0; index < remembered.#ringPages; index++) {
      const page = new Uint32Array(packed.buffer(PAGE_ENTRIES * ENTRY_WORDS * 4, 'atMost'))
      if (page.length > 0) remembered.#pages[index] = page
    }
    remembered.#index = RowIndex.unpack((row) => remembered.#hashOfKey(row), packed)
    return remembered
  }

  /** The order of the entries counts: it decides what is forgotten first. */
  addTo(hash: RecordsHash, kind: number): void {
    hash.begin(kind).number(this.#head).number(this.#end).number(this.#forgottenUntilUs).end()
    for (let index = this.#blocksHead; index < this.#blocks.length; index++) {
      const block = this.#blocks[index]
      assert(block !== undefined)
      hash.begin(kind).number(block.end).number(block.count).number(block.firstUs).number(block.lastUs).end()
    }
    for (let number = this.#head; number < this.#end; number++) {
      const position = number % (this.#ringPages * PAGE_ENTRIES)
      const words = this.#page(position)
      const at = wordAt(position)
      hash.begin(kind + 1).number(number)
      for (let word = 0; word < ENTRY_WORDS; word++) hash.number(words[at + word] ?? 0)
      hash.end()
    }
  }

  #searchId(id: number): number {
    for (let row = this.#index.first(hashNumber(id)); row !== NONE; row = this.#index.next()) {
      if ((row & 1) === 0 && this.#idAt(row >>> 1) === id) return row >>> 1
    }
    return NONE
  }

  #searchKey(key: Hash64): number {
    for (let row = this.#index.first(key.low | 0); row !== NONE; row = this.#index.next()) {
      if ((row & 1) === 0) continue
      const position = row >>> 1
      const words = this.#page(position)
      const at = wordAt(position)
      if (words[at + 2] === key.low && words[at + 3] === key.high) return position
    }
    return NONE
  }

  #hashOfKey(row: number): number {
    const position = row >>> 1
    if ((row & 1) === 0) return hashNumber(this.#idAt(position))
    return (this.#page(position)[wordAt(position) + 2] ?? 0) | 0
  }

  #idAt(position: number): number {
    const words = this.#page(position)
    const at = wordAt(position)
    return ((words[at + 1] ?? 0) & 0x1fffff) * 4294967296 + (words[at] ?? 0)
  }

  #entry(position: number): RememberedId {
    const words = this.#page(position)
    const at = wordAt(position)
    return {
      id: this.#idAt(position),
      kind: kindOf(((words[at + 1] ?? 0) >>> 21) & 3),
      contentHash: ((words[at + 5] ?? 0) & 0x1fffff) * 4294967296 + (words[at + 4] ?? 0),
    }
  }

  #page(position: number): Uint32Array {
    const page = this.#pages[position >>> PAGE_BITS]
    if (page === undefined) throw new RangeError(`nothing is remembered at ${position}`)
    return page
  }

  #takePage(position: number): Uint32Array {
    let page = this.#pages[position >>> PAGE_BITS]
    if (page === undefined) {
      page = new Uint32Array(PAGE_ENTRIES * ENTRY_WORDS)
      this.#pages[position >>> PAGE_BITS] = page
    }
    return page
  }
}

const NO_PAGE = new Uint32Array(0)

const wordAt = (position: number): number => (position & (PAGE_ENTRIES - 1)) * ENTRY_WORDS

/** Never 0-0, which stands for no key. */
function clientKey(memberId: number, clientOrderId: string): Hash64 {
  const key = hashText(clientOrderId, memberId)
  return key.low === 0 && key.high === 0 ? { low: 1, high: 0 } : key
}

const memberCheck = (memberId: number): number => mix32(hashNumber(memberId) ^ 0x51ed270b) >>> 12

function kindOf(bits: number): IdKind {
  if (bits === IdKind.order || bits === IdKind.voided || bits === IdKind.command) return bits
  throw new RangeError(`no such kind of id: ${bits}`)
}
