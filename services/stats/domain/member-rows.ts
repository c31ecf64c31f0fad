import type { Frame } from '#mesh/frames.ts'
import type { ProjectionBatch } from '#mesh/projection/inbox.ts'
import { adding, ascii, insertInto, int, minor, overwriting } from '#mesh/projection/sql.ts'
import type { AccountEvent, BalanceAfter } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'

const DAY_US = 86_400_000_000

/** What a member traded of a market on a day. */
interface Traded {
  readonly memberId: number
  readonly day: number
  readonly instrument: string
  trades: number
  lots: bigint
  quoteMinor: bigint
  baseFeeMinor: bigint
  quoteFeeMinor: bigint
}

/** What moved his balance of an asset. */
interface Moved {
  readonly memberId: number
  readonly day: number
  readonly asset: string
  deposits: bigint
  withdrawals: bigint
  transfers: bigint
  fees: bigint
  /** What he has in the end, held included: whatever moves it tells it. */
  closing: bigint
}

type OrderChanged = Extract<AccountEvent, { type: 'OrderChanged' }>
type BalanceChanged = Extract<AccountEvent, { type: 'BalanceChanged' }>

/** The rows of a run of frames of one account slot: what its members traded and moved, added to what is there. */
export class MemberRows implements ProjectionBatch<AccountEvent> {
  readonly #traded = new Map<string, Traded>()
  readonly #moved = new Map<string, Moved>()
  readonly #discounts = new Map<number, string>()

  get rowsCount(): number {
    return this.#traded.size + this.#moved.size + this.#discounts.size
  }

  add({ header, events }: Frame<AccountEvent>): void {
    const day = Math.floor(header.timeUs / DAY_US)
    for (const event of events) {
      switch (event.type) {
        case 'OrderChanged':
          if (event.fills.length > 0) this.#addFills(event, day)
          break
        case 'BalanceChanged':
          this.#addMovement(event, day)
          break
        case 'FeeDiscountChanged':
          this.#discounts.set(event.memberId, `(${int(event.memberId)},${int(event.day)},${int(event.discountPpm)})`)
      }
    }
  }

  /** In the order of their keys. */
  statements(): string[] {
    const statements: string[] = []
    const traded = [...this.#traded.values()].sort(
      (a, b) => a.memberId - b.memberId || a.day - b.day || (a.instrument < b.instrument ? -1 : 1),
    )
    if (traded.length > 0) statements.push(insertTraded(traded.map(rowOfTraded)))
    const moved = [...this.#moved.values()].sort(
      (a, b) => a.memberId - b.memberId || (a.asset < b.asset ? -1 : a.asset > b.asset ? 1 : a.day - b.day),
    )
    if (moved.length > 0) statements.push(insertMoved(moved.map(rowOfMoved)))
    const discounts = [...this.#discounts].sort(([a], [b]) => a - b).map(([, row]) => row)
    if (discounts.length > 0) statements.push(insertDiscounts(discounts))
    return statements
  }

  /** Trades go by their time in the market's log, as candles do; what they move by that of the account, as the ledger does. */
  #addFills({ order, fills, balances }: OrderChanged, day: number): void {
    const traded = this.#tradedOf(order)
    for (const fill of fills) book(traded, order, fill)
    const [base = '', quote = ''] = order.instrument.split('-')
    const received = order.side === 'buy' ? base : quote
    for (const asset of [base, quote]) {
      const moved = this.#movedOf(order.memberId, day, asset, balances)
      if (asset === received) for (const { feeMinor } of fills) moved.fees += BigInt(feeMinor)
    }
  }

  #addMovement({ memberId, cause, asset, amountMinor, balances }: BalanceChanged, day: number): void {
    const moved = this.#movedOf(memberId, day, asset, balances)
    const amount = BigInt(amountMinor)
    if (cause === 'deposit') moved.deposits += amount
    else if (cause === 'withdrawal') moved.withdrawals -= amount
    else moved.transfers += amount
  }

  #tradedOf({ memberId, instrument, updatedAtUs }: OrderState): Traded {
    const day = Math.floor(updatedAtUs / DAY_US)
    const key = `${memberId} ${day} ${instrument}`
    let traded = this.#traded.get(key)
    if (traded === undefined) {
      traded = { memberId, day, instrument, trades: 0, lots: 0n, quoteMinor: 0n, baseFeeMinor: 0n, quoteFeeMinor: 0n }
      this.#traded.set(key, traded)
    }
    return traded
  }

  #movedOf(memberId: number, day: number, asset: string, balances: readonly BalanceAfter[]): Moved {
    const key = `${memberId} ${day} ${asset}`
    let moved = this.#moved.get(key)
    if (moved === undefined) {
      moved = { memberId, day, asset, deposits: 0n, withdrawals: 0n, transfers: 0n, fees: 0n, closing: 0n }
      this.#moved.set(key, moved)
    }
    for (const [name, available, held] of balances) if (name === asset) moved.closing = BigInt(available) + BigInt(held)
    return moved
  }
}

function book(traded: Traded, { side }: OrderState, { lots, quoteMinor, feeMinor }: Fill): void {
  traded.trades++
  traded.lots += BigInt(lots)
  traded.quoteMinor += BigInt(quoteMinor)
  if (side === 'buy') traded.baseFeeMinor += BigInt(feeMinor)
  else traded.quoteFeeMinor += BigInt(feeMinor)
}

const rowOfTraded = (traded: Traded): string => {
  const { memberId, day, instrument, trades, lots, quoteMinor, baseFeeMinor, quoteFeeMinor } = traded
  return `(${int(memberId)},${int(day)},${ascii(instrument, 32)},${trades},${lots},${minor(quoteMinor)},${minor(baseFeeMinor)},${minor(quoteFeeMinor)})`
}

const rowOfMoved = ({ memberId, day, asset, deposits, withdrawals, transfers, fees, closing }: Moved): string =>
  `(${int(memberId)},${ascii(asset, 16)},${int(day)},${minor(deposits)},${minor(withdrawals)},${minor(transfers)},${minor(fees)},${minor(closing)})`

const TRADED_SUMS = ['trades', 'lots', 'quote_minor', 'base_fee_minor', 'quote_fee_minor']
const insertTraded = insertInto('member_days', ['member_id', 'day', 'instrument', ...TRADED_SUMS], adding(TRADED_SUMS))
const MOVED_SUMS = ['deposits_minor', 'withdrawals_minor', 'transfers_minor', 'fees_minor']
const insertMoved = insertInto(
  'member_asset_days',
  ['member_id', 'asset', 'day', ...MOVED_SUMS, 'closing_minor'],
  `${adding(MOVED_SUMS)},closing_minor=VALUES(closing_minor)`,
)
const insertDiscounts = insertInto(
  'fee_discounts',
  ['member_id', 'day', 'discount_ppm'],
  overwriting(['day', 'discount_ppm']),
)
