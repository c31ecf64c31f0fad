import { crc32 } from 'node:zlib'
import type { DepthBook, Level } from '#mesh/domain/depth-book.ts'

/** What brings a client's book from one change to another. */
export interface ViewChange {
  readonly first: number
  readonly last: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

/** The best levels of a book as all clients of this depth have them that are up to date. */
export class BookView {
  readonly #depth: number
  #sequence = 0
  #bids: readonly Level[] = []
  #asks: readonly Level[] = []

  constructor(depth: number) {
    this.#depth = depth
  }

  get sequence(): number {
    return this.#sequence
  }
  get bids(): readonly Level[] {
    return this.#bids
  }
  get asks(): readonly Level[] {
    return this.#asks
  }

  /**
   * Goes on to the book as it is now. Any number of changes of the book become one here, and a level that comes into sight is one
   * too. Undefined: nothing in sight is another.
   */
  update(book: DepthBook): ViewChange | undefined {
    if (book.sequence === this.#sequence) return undefined
    const bidsNow = book.bids.top(this.#depth)
    const asksNow = book.asks.top(this.#depth)
    const bids = changedLevels(this.#bids, bidsNow, 1)
    const asks = changedLevels(this.#asks, asksNow, -1)
    if (bids.length === 0 && asks.length === 0) return undefined
    const change = { first: this.#sequence + 1, last: book.sequence, bids, asks }
    this.reset(book)
    return change
  }

  /** Is as the book, whatever it was. */
  reset(book: DepthBook): void {
    this.#bids = book.bids.top(this.#depth)
    this.#asks = book.asks.top(this.#depth)
    this.#sequence = book.sequence
  }
}

/** Levels that are another now, 0 where there is none any more. Both best first; `sign` 1: the highest price is the best. */
export function changedLevels(before: readonly Level[], after: readonly Level[], sign: 1 | -1): Level[] {
  const changed: Level[] = []
  let old = 0
  let now = 0
  while (old < before.length || now < after.length) {
    const was = before[old]
    const is = after[now]
    const isWasFirst = is === undefined || (was !== undefined && (was[0] - is[0]) * sign > 0)
    if (was !== undefined && isWasFirst) {
      changed.push([was[0], 0])
      old++
    } else if (is !== undefined && (was === undefined || was[0] !== is[0])) {
      changed.push(is)
      now++
    } else if (was !== undefined && is !== undefined) {
      if (was[1] !== is[1]) changed.push(is)
      old++
      now++
    }
  }
  return changed
}

/** Levels of each side that the checksum covers. */
export const CHECKSUM_LEVELS = 10

/**
 * CRC32 of the best ten levels as they are written, bid and ask in turn, best first, with colons between all of it:
 * `bidPrice:bidAmount:askPrice:askAmount:…`. Where a side has no more levels the other goes on alone.
 */
export function checksumOf(
  bids: readonly (readonly [price: string, amount: string])[],
  asks: readonly (readonly [price: string, amount: string])[],
): number {
  const parts: string[] = []
  for (let index = 0; index < CHECKSUM_LEVELS; index++) {
    for (const level of [bids[index], asks[index]]) if (level !== undefined) parts.push(level[0], level[1])
  }
  return crc32(parts.join(':'))
}
