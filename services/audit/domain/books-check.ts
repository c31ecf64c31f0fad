import type { CreditTransfer, OrderOutcome, TransferSettled } from '#mesh/protocol/accounts.ts'
import { decodeItem } from '#mesh/protocol/compact.ts'
import type { AccountsState } from '#services/accounts/domain/accounts-state.ts'
import { marketAt } from '#services/accounts/domain/accounts-state.ts'
import { NONE } from '#services/accounts/domain/row-index.ts'
import { Difference } from './difference.ts'

/** Sums over all account slots, in minor units of one asset. */
export interface AssetSums {
  readonly asset: string
  /** Deposits minus withdrawals. */
  depositedMinor: bigint
  /** Available and held. */
  membersMinor: bigint
  feesMinor: bigint
  /** Paid, and in messages that are not booked yet. */
  underWayMinor: bigint
}

/**
 * The books of one account slot sum to zero per asset, and say what the members' balances say.
 * @throws Difference
 */
export function checkBooks(slot: string, position: string, state: AccountsState): void {
  const sums = state.books.assetBooks().map(() => ({ available: 0n, held: 0n }))
  for (let member = 0; member < state.members.count; member++) {
    for (let row = state.members.firstBalanceOf(member); row !== NONE; row = state.books.nextOf(row)) {
      const ofAsset = sums[state.books.assetOf(row)]
      if (ofAsset === undefined) continue
      const available = state.books.available(row)
      const held = state.books.held(row)
      if (available < 0n || held < 0n) {
        throw new Difference(
          'books_not_zero',
          { slot, position },
          `Member ${state.members.idOf(member)} has ${available} available and ${held} held.`,
        )
      }
      ofAsset.available += available
      ofAsset.held += held
    }
  }
  state.books.assetBooks().forEach((books, row) => {
    const { available, held } = sums[row] ?? { available: 0n, held: 0n }
    const { asset, feesMinor, depositedMinor, marketsMinor, transfersMinor } = books
    let sum = available + held + feesMinor - depositedMinor
    for (const minor of marketsMinor.values()) sum += minor
    for (const minor of transfersMinor.values()) sum += minor
    if (sum === 0n && available === books.availableMinor && held === books.heldMinor) return
    throw new Difference(
      'books_not_zero',
      { slot, position },
      `The books of ${asset} sum to ${sum}: members ${available} available (books: ${books.availableMinor}) and ${held} held (${books.heldMinor}), fees ${feesMinor}, deposits less withdrawals ${depositedMinor}.`,
    )
  })
}

/** An account slot at the cut, and what is on its way to it. */
export interface SlotAtCut {
  readonly state: AccountsState
  /** Items by the name of their sender, as JSON. */
  readonly underWay: ReadonlyMap<string, readonly string[]>
}

/**
 * The cut is closed by booking what is under way: what markets and transfers took is what they gave, per engine slot and asset,
 * and deposits less withdrawals are what the members and the fee accounts have.
 * @throws Difference
 */
export function checkClearing(slots: readonly SlotAtCut[]): AssetSums[] {
  const markets = new Map<string, bigint>()
  const transfers = new Map<string, bigint>()
  const sums = new Map<string, AssetSums>()
  for (const { state, underWay } of slots) {
    for (const books of state.books.assetBooks()) {
      const { asset } = books
      for (const [slot, minor] of books.marketsMinor) add(markets, `markets-${slot} ${asset}`, minor)
      for (const minor of books.transfersMinor.values()) add(transfers, asset, minor)
      const ofAsset = sumsOf(sums, asset)
      ofAsset.depositedMinor += books.depositedMinor
      ofAsset.membersMinor += books.availableMinor + books.heldMinor
      ofAsset.feesMinor += books.feesMinor
    }
    for (const [sender, items] of underWay) {
      for (const text of items) {
        const item = decodeItem(text) as OrderOutcome | CreditTransfer | TransferSettled
        if (item.type === 'OrderOutcome') {
          for (const [asset, minor] of effectOf(state, item)) {
            add(markets, `${sender} ${asset}`, minor)
            sumsOf(sums, asset).underWayMinor -= minor
          }
        } else if (returnsOrBrings(item)) {
          add(transfers, item.asset, -BigInt(item.amountMinor))
          sumsOf(sums, item.asset).underWayMinor += BigInt(item.amountMinor)
        }
      }
    }
  }
  const notZero = [...markets, ...[...transfers].map(([asset, minor]) => [`transfers ${asset}`, minor] as const)].find(
    ([, minor]) => minor !== 0n,
  )
  if (notZero !== undefined) {
    throw new Difference(
      'clearing_not_zero',
      { slot: notZero[0].split(' ')[0] ?? '' },
      `On the closed cut the clearing accounts of ${notZero[0]} sum to ${notZero[1]} over all account slots.`,
    )
  }
  for (const { asset, depositedMinor, membersMinor, feesMinor, underWayMinor } of sums.values()) {
    if (depositedMinor === membersMinor + feesMinor + underWayMinor) continue
    throw new Difference(
      'money_differs',
      { slot: '' },
      `${asset}: deposits less withdrawals are ${depositedMinor}; members have ${membersMinor}, fees ${feesMinor}, under way are ${underWayMinor}.`,
    )
  }
  return [...sums.values()].sort((a, b) => (a.asset < b.asset ? -1 : 1))
}

/** Not of a repeat, and for an answer: a refusal that brings the money back. */
const returnsOrBrings = (item: CreditTransfer | TransferSettled): boolean =>
  item.repeated !== true &&
  (item.type === 'CreditTransfer' || (item.type === 'TransferSettled' && item.code !== undefined))

/** What booking an outcome will add to the clearing account of its market's slot, by asset. */
function effectOf(state: AccountsState, outcome: OrderOutcome): [asset: string, minor: bigint][] {
  const row = state.orders.find(outcome.orderId)
  if (row === NONE) {
    throw new Difference(
      'outcome_unasked',
      { slot: `accounts-${state.slot}` },
      `An outcome is on its way for order ${outcome.orderId}, which is not there.`,
    )
  }
  const market = marketAt(state, state.orders.marketOf(row))
  let lots = 0n
  let quoteMinor = 0n
  for (const fill of outcome.fills) {
    lots += BigInt(fill.lots)
    quoteMinor += BigInt(fill.quoteMinor)
  }
  const buys = state.orders.sideOf(row) === 'buy'
  const baseMinor = lots * market.baseMinorPerLot
  const [spent, received] = buys ? [market.quote, market.base] : [market.base, market.quote]
  return [
    [state.books.ofAsset(spent).asset, BigInt(outcome.consumedMinor)],
    [state.books.ofAsset(received).asset, -(buys ? baseMinor : quoteMinor)],
  ]
}

function add(sums: Map<string, bigint>, key: string, minor: bigint): void {
  sums.set(key, (sums.get(key) ?? 0n) + minor)
}

function sumsOf(sums: Map<string, AssetSums>, asset: string): AssetSums {
  let ofAsset = sums.get(asset)
  if (ofAsset === undefined) {
    ofAsset = { asset, depositedMinor: 0n, membersMinor: 0n, feesMinor: 0n, underWayMinor: 0n }
    sums.set(asset, ofAsset)
  }
  return ofAsset
}
