import { formatMinor } from '#mesh/edge/decimal.ts'
import type { AccountReadResult } from '#mesh/protocol/accounts.ts'
import type { Book } from './state.ts'

export type SlotTotals = Extract<AccountReadResult, { read: 'totals' }>

/**
 * What is missing in the books of a slot: members, fees and what is under way, less what was deposited, by asset. After every
 * command it is 0; anything else is money that came from nowhere, or is lost.
 */
export function differencesOf({ totals }: SlotTotals): Map<string, bigint> {
  return new Map(
    totals.map((of) => {
      const has = BigInt(of.availableMinor) + BigInt(of.heldMinor) + BigInt(of.feesMinor) + clearingOf(of)
      return [of.asset, has - BigInt(of.depositedMinor)]
    }),
  )
}

/** By asset, over these slots. */
export function booksOf(slots: readonly SlotTotals[], scaleOf: (asset: string) => number): Book[] {
  const assets = [...new Set(slots.flatMap(({ totals }) => totals.map(({ asset }) => asset)))].sort()
  return assets.map((asset) => {
    const own = slots.flatMap(({ totals }) => totals.filter((of) => of.asset === asset))
    const sum = (amountOf: (of: (typeof own)[number]) => bigint): string =>
      formatMinor(own.reduce((total, of) => total + amountOf(of), 0n).toString(), scaleOf(asset))
    return {
      asset,
      members: sum((of) => BigInt(of.availableMinor) + BigInt(of.heldMinor)),
      fees: sum((of) => BigInt(of.feesMinor)),
      underWay: sum(clearingOf),
      deposited: sum((of) => BigInt(of.depositedMinor)),
      differsIn: slots.flatMap((slot) => ((differencesOf(slot).get(asset) ?? 0n) === 0n ? [] : [slot.slot])),
    }
  })
}

const clearingOf = ({ clearing }: SlotTotals['totals'][number]): bigint =>
  clearing.reduce((total, { balanceMinor }) => total + BigInt(balanceMinor), 0n)
