import type { Frame } from '#mesh/frames.ts'
import type { ProjectionBatch } from '#mesh/projection/inbox.ts'
import { adding, ascii, insertInto, int, minor } from '#mesh/projection/sql.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'

const DAY_US = 86_400_000_000

interface Sums {
  readonly memberId: number
  readonly day: number
  readonly instrument: string
  trades: number
  lots: bigint
  quoteMinor: bigint
  baseFeeMinor: bigint
  quoteFeeMinor: bigint
}

/** The rows of a run of frames of one account slot: what its members traded, added to what is there. */
export class MemberRows implements ProjectionBatch<AccountEvent> {
  readonly #sums = new Map<string, Sums>()

  get rowsCount(): number {
    return this.#sums.size
  }

  add({ events }: Frame<AccountEvent>): void {
    for (const event of events) {
      if (event.type !== 'OrderChanged' || event.fills.length === 0) continue
      const sums = this.#sumsOf(event.order)
      for (const fill of event.fills) book(sums, event.order, fill)
    }
  }

  statements(): string[] {
    if (this.#sums.size === 0) return []
    const sorted = [...this.#sums.values()].sort(
      (a, b) => a.memberId - b.memberId || a.day - b.day || (a.instrument < b.instrument ? -1 : 1),
    )
    return [insertDays(sorted.map(rowOf))]
  }

  /** By the time of the trade in the market's log, as candles go. */
  #sumsOf({ memberId, instrument, updatedAtUs }: OrderState): Sums {
    const day = Math.floor(updatedAtUs / DAY_US)
    const key = `${memberId} ${day} ${instrument}`
    let sums = this.#sums.get(key)
    if (sums === undefined) {
      sums = { memberId, day, instrument, trades: 0, lots: 0n, quoteMinor: 0n, baseFeeMinor: 0n, quoteFeeMinor: 0n }
      this.#sums.set(key, sums)
    }
    return sums
  }
}

function book(sums: Sums, { side }: OrderState, { lots, quoteMinor, feeMinor }: Fill): void {
  sums.trades++
  sums.lots += BigInt(lots)
  sums.quoteMinor += BigInt(quoteMinor)
  if (side === 'buy') sums.baseFeeMinor += BigInt(feeMinor)
  else sums.quoteFeeMinor += BigInt(feeMinor)
}

const rowOf = ({ memberId, day, instrument, trades, lots, quoteMinor, baseFeeMinor, quoteFeeMinor }: Sums): string =>
  `(${int(memberId)},${int(day)},${ascii(instrument, 32)},${trades},${lots},${minor(quoteMinor)},${minor(baseFeeMinor)},${minor(quoteFeeMinor)})`

const SUMS = ['trades', 'lots', 'quote_minor', 'base_fee_minor', 'quote_fee_minor']
const insertDays = insertInto('member_days', ['member_id', 'day', 'instrument', ...SUMS], adding(SUMS))
