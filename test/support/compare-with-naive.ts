import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import type { NaiveExchange } from './naive-exchange.ts'

/** What an exchange says became of everything: from its events, its memory or its database. */
export interface Observed {
  readonly orders: readonly ObservedOrder[]
  /** Each execution twice: once for either order. */
  readonly fills: readonly (Fill & { readonly orderId: number })[]
  /** Zero balances may be there or not. */
  readonly balances: readonly {
    readonly memberId: number
    readonly asset: string
    readonly availableMinor: string | bigint
    readonly heldMinor: string | bigint
  }[]
  /** What the fee accounts of all slots have together, by asset. */
  readonly feesMinor: ReadonlyMap<string, bigint>
}

/** Orders that reached a market; what accounts rejected is none of them. */
export type ObservedOrder = Pick<
  OrderState,
  | 'orderId'
  | 'memberId'
  | 'priceTicks'
  | 'amountLots'
  | 'executedLots'
  | 'executedQuoteMinor'
  | 'feeMinor'
  | 'status'
  | 'reason'
>

/** Where an exchange and its naive twin differ, one line each; empty when they agree. */
export function differences(naive: NaiveExchange, observed: Observed): string[] {
  return [
    ...compare('order', naiveOrders(naive), observedOrders(observed)),
    ...compare('fill', naiveFills(naive), observedFills(observed)),
    ...compare('balance', naiveBalances(naive), observedBalances(observed)),
    ...[...observed.feesMinor].flatMap(([asset, minor]) =>
      minor === naive.feesMinor(asset) ? [] : [`fees ${asset}: ${minor}, expected ${naive.feesMinor(asset)}`],
    ),
  ]
}

type Facts = ReadonlyMap<string, string>

function compare(kind: string, expected: Facts, found: Facts): string[] {
  const lines: string[] = []
  for (const [key, value] of expected) {
    const other = found.get(key)
    if (other !== value) lines.push(`${kind} ${key}: ${other ?? 'missing'}, expected ${value}`)
  }
  for (const [key, value] of found) if (!expected.has(key)) lines.push(`${kind} ${key}: ${value}, expected none`)
  return lines
}

/** A thing that is told twice is no smaller fault than one that is missing. */
function facts(entries: readonly (readonly [key: string, value: string])[]): Facts {
  const map = new Map<string, string>()
  for (const [key, value] of entries) {
    const known = map.get(key)
    map.set(key, known === undefined ? value : `${known}, and again ${value}`)
  }
  return map
}

const naiveOrders = (naive: NaiveExchange): Facts =>
  facts(
    naive
      .orders()
      .map((order) => [
        String(order.orderId),
        `${order.memberId} ${order.status} ${order.reason ?? '-'} ${order.amountLots}@${order.priceTicks} ` +
          `executed ${order.executedLots} for ${order.executedQuoteMinor} fee ${order.feeMinor}`,
      ]),
  )

const observedOrders = ({ orders }: Observed): Facts =>
  facts(
    orders.map((order) => [
      String(order.orderId),
      `${order.memberId} ${order.status} ${order.reason ?? '-'} ${order.amountLots}@${order.priceTicks} ` +
        `executed ${order.executedLots} for ${order.executedQuoteMinor} fee ${order.feeMinor}`,
    ]),
  )

const naiveFills = (naive: NaiveExchange): Facts =>
  facts(
    naive
      .orders()
      .flatMap(({ orderId, fills }) =>
        fills.map((fill): [string, string] => [
          `${orderId}/${fill.tradeId}`,
          `${fill.lots}@${fill.priceTicks} for ${fill.quoteMinor} fee ${fill.feeMinor} ${fill.liquidity}`,
        ]),
      ),
  )

const observedFills = ({ fills }: Observed): Facts =>
  facts(
    fills.map((fill) => [
      `${fill.orderId}/${fill.tradeId}`,
      `${fill.lots}@${fill.priceTicks} for ${fill.quoteMinor} fee ${fill.feeMinor} ${fill.liquidity}`,
    ]),
  )

const naiveBalances = (naive: NaiveExchange): Facts =>
  facts(
    naive
      .balances()
      .map(({ memberId, asset, availableMinor, heldMinor }) => [
        `${memberId} ${asset}`,
        `${availableMinor} held ${heldMinor}`,
      ]),
  )

const observedBalances = ({ balances }: Observed): Facts =>
  facts(
    balances
      .filter(({ availableMinor, heldMinor }) => BigInt(availableMinor) !== 0n || BigInt(heldMinor) !== 0n)
      .map(({ memberId, asset, availableMinor, heldMinor }) => [
        `${memberId} ${asset}`,
        `${availableMinor} held ${heldMinor}`,
      ]),
  )
