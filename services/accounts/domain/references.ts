import type { Packer, Unpacker } from '#mesh/domain/packed.ts'
import type { MachineCode } from '#mesh/protocol/common.ts'
import { type Hash64, hashText, highWord, type RecordsHash } from './hashes.ts'
import { NONE, RowIndex } from './row-index.ts'
import { Rows } from './rows.ts'

/** What became of the command with a reference, as far as this slot knows. */
export type LedgerResult =
  /** This slot keeps the reference for another one. */
  { readonly kind: 'claimed' } | { readonly kind: 'booked' } | { readonly kind: 'under_way' } | RefusedResult
interface RefusedResult {
  readonly kind: 'refused'
  readonly code: MachineCode
}

/** Codes that a ledger command may be refused with. A row holds the place in this list: append only. */
const REFUSALS: readonly MachineCode[] = [
  'member_unknown',
  'member_blocked',
  'member_closed',
  'asset_unknown',
  'amount_invalid',
  'insufficient_balance',
  'balance_overflow',
]
const CLAIMED = 0
const BOOKED = 1
const UNDER_WAY = 2
const REFUSED = 3

/** Words of 32 bits: key (64), content (53) and the result (11). */
const ROW_SIZE = 2

/**
 * The references of deposits, withdrawals and transfers, for good: 22 bytes each. Keys are 64-bit hashes: two references
 * that share one would be a `reference_conflict`, never a booking twice.
 */
export class References {
  #rows = new Rows(ROW_SIZE)
  #index = new RowIndex((row) => this.#word(row, 0) | 0)

  /** @returns the content's hash and the result, or `undefined` where the reference is not known. */
  find(reference: string): { readonly contentHash: number; readonly result: LedgerResult } | undefined {
    const row = this.#search(hashText(reference, 0))
    if (row === NONE) return undefined
    const contentHash = (this.#word(row, 3) & 0x1fffff) * 4294967296 + this.#word(row, 2)
    return { contentHash, result: decode(this.#word(row, 3) >>> 21) }
  }

  /** Remembers a new reference, or the next result of a known one. */
  put(reference: string, contentHash: number, result: LedgerResult): void {
    const key = hashText(reference, 0)
    let row = this.#search(key)
    if (row === NONE) {
      row = this.#rows.take()
      this.#index.insertHere(row)
    }
    const { words } = this.#rows.page(row)
    const at = this.#rows.at(row) * 2
    words[at] = key.low
    words[at + 1] = key.high
    words[at + 2] = contentHash
    words[at + 3] = highWord(contentHash) | (encode(result) << 21)
  }

  pack(packer: Packer): void {
    this.#rows.pack(packer)
    this.#index.pack(packer)
  }

  static unpack(packed: Unpacker): References {
    const references = new References()
    references.#rows = Rows.unpack(ROW_SIZE, packed)
    references.#index = RowIndex.unpack((row) => references.#word(row, 0) | 0, packed)
    return references
  }

  addTo(hash: RecordsHash, kind: number): void {
    for (let row = 0; row < this.#rows.end; row++) {
      hash.begin(kind)
      for (let word = 0; word < 4; word++) hash.number(this.#word(row, word))
      hash.end()
    }
  }

  #search(key: Hash64): number {
    for (let row = this.#index.first(key.low | 0); row !== NONE; row = this.#index.next()) {
      if (this.#word(row, 0) === key.low && this.#word(row, 1) === key.high) return row
    }
    return NONE
  }

  #word(row: number, word: number): number {
    return this.#rows.page(row).words[this.#rows.at(row) * 2 + word] ?? 0
  }
}

/** The slot that keeps a reference, so that it is good for one command in the whole exchange. */
export const referenceSlotOf = (reference: string, accountSlots: number): number =>
  hashText(reference, 1).low % accountSlots

function encode(result: LedgerResult): number {
  switch (result.kind) {
    case 'claimed':
      return CLAIMED
    case 'booked':
      return BOOKED
    case 'under_way':
      return UNDER_WAY
    case 'refused': {
      const place = REFUSALS.indexOf(result.code)
      if (place < 0) throw new RangeError(`${result.code} is no refusal of a ledger command`)
      return REFUSED + place
    }
  }
}

function decode(bits: number): LedgerResult {
  if (bits === CLAIMED) return { kind: 'claimed' }
  if (bits === BOOKED) return { kind: 'booked' }
  if (bits === UNDER_WAY) return { kind: 'under_way' }
  const code = REFUSALS[bits - REFUSED]
  if (code === undefined) throw new RangeError(`no such result: ${bits}`)
  return { kind: 'refused', code }
}
