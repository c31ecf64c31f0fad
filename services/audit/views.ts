import type { NatsConnection } from '@nats-io/transport-node'
import { formatDecimal, parseDecimal } from '#mesh/domain/money.ts'
import type { SlotFold } from '#mesh/machine/slot.ts'
import type { OrderState } from '#mesh/protocol/common.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { type Log, STREAM_OF_LOG, sourceName } from '#mesh/subjects.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import { createReads as createAccountReads } from '#services/accounts/reads.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import { createReads as createMarketReads } from '#services/engine/reads.ts'
import type { Definitions } from './definitions.ts'
import { replaySlot, type Until } from './replay-slot.ts'

/** What a slot was at a position, for people and for programs. */
export interface View {
  readonly lines: readonly string[]
  readonly json: object
}

export interface Source {
  readonly nats: NatsConnection
  readonly shape: MeshShape
  readonly definitions: Definitions
  readonly until: Until
}

/** A member's balances and open orders, as his slot's owner would have answered. */
export async function memberAsOf(source: Source, slot: number, memberId: number): Promise<View> {
  const { reads, fold, head } = await accountSlot(source, slot)
  const balances = reads.answer(slot, fold.state, { read: 'balances', memberId }, fold.timeUs)
  const open = reads.answer(slot, fold.state, { read: 'openOrders', memberId }, fold.timeUs)
  if (balances.read !== 'balances' || open.read !== 'openOrders') throw new TypeError('another read was answered')
  const orders = open.orders.map(({ order }) => order)
  const lines = [
    ...headLines(head),
    `member ${memberId}: ${balances.status}`,
    '',
    ...table(
      ['asset', 'available', 'held'],
      balances.balances.map(([asset, available, held]) => [
        asset,
        money(source, asset, available),
        money(source, asset, held),
      ]),
    ),
    '',
    ...table(
      ['order', 'client id', 'market', 'side', 'price', 'amount', 'executed', 'status'],
      orders.map((order) => orderRow(source, order)),
    ),
  ]
  return { lines, json: { ...head, memberId, status: balances.status, balances: balances.balances, orders } }
}

/** A market's book. */
export async function bookAsOf(source: Source, slot: number, instrument: string, levelsMax: number): Promise<View> {
  const { reads, fold, head } = await marketSlot(source, slot)
  if (!fold.state.markets.has(instrument)) {
    return {
      lines: [...headLines(head), `${instrument} was not open yet.`],
      json: { ...head, instrument, status: 'not_open' },
    }
  }
  const book = reads.answer(slot, fold.state, { read: 'orderbook', instrument, levelsMax }, fold.timeUs)
  if (book.read !== 'orderbook') throw new TypeError('another read was answered')
  const { status, sequence, bids, asks } = book
  const level = ([priceTicks, lots]: readonly [number, number]): [string, string] => [
    price(source, instrument, priceTicks),
    amount(source, instrument, lots),
  ]
  const rows = Array.from({ length: Math.max(bids.length, asks.length) }, (_, index) => {
    const [bid, ask] = [bids[index], asks[index]]
    const [bidPrice, bidAmount] = bid === undefined ? ['', ''] : level(bid)
    const [askPrice, askAmount] = ask === undefined ? ['', ''] : level(ask)
    return [bidAmount, bidPrice, askPrice, askAmount]
  })
  return {
    lines: [
      ...headLines(head),
      `${instrument}: ${status}, change ${sequence}`,
      '',
      ...table(['buy', 'at', 'at', 'sell'], rows),
    ],
    json: { ...head, instrument, status, sequence, bids, asks },
  }
}

/** The sums of an account slot. */
export async function accountsAsOf(source: Source, slot: number): Promise<View> {
  const { reads, fold, head, stateHash } = await accountSlot(source, slot)
  const totals = reads.answer(slot, fold.state, { read: 'totals' }, fold.timeUs)
  if (totals.read !== 'totals') throw new TypeError('another read was answered')
  const rows = totals.totals.map(({ asset, availableMinor, heldMinor, feesMinor, depositedMinor }) => [
    asset,
    ...[availableMinor, heldMinor, feesMinor, depositedMinor].map((minor) => money(source, asset, minor)),
  ])
  return {
    lines: [
      ...headLines(head),
      `${fold.state.members.count} members, state ${stateHash}`,
      '',
      ...table(['asset', 'available', 'held', 'fees', 'deposited'], rows),
    ],
    json: { ...head, stateHash, members: fold.state.members.count, totals: totals.totals },
  }
}

/** The markets of an engine slot. */
export async function slotOfMarketsAsOf(source: Source, slot: number): Promise<View> {
  const { reads, fold, head, stateHash } = await marketSlot(source, slot)
  const totals = reads.answer(slot, fold.state, { read: 'totals' }, fold.timeUs)
  const bests = reads.answer(slot, fold.state, { read: 'bests' }, fold.timeUs)
  if (totals.read !== 'totals' || bests.read !== 'bests') throw new TypeError('another read was answered')
  const rows = totals.markets.map(({ instrument, ordersCount, tradesCount }, index) => {
    const { bestBidTicks = 0, bestAskTicks = 0 } = bests.markets[index] ?? {}
    const best = (ticks: number): string => (ticks === 0 ? '' : price(source, instrument, ticks))
    return [instrument, String(ordersCount), String(tradesCount), best(bestBidTicks), best(bestAskTicks)]
  })
  return {
    lines: [
      ...headLines(head),
      `state ${stateHash}`,
      '',
      ...table(['market', 'open orders', 'trades', 'best bid', 'best ask'], rows),
    ],
    json: { ...head, stateHash, markets: totals.markets, bests: bests.markets },
  }
}

async function accountSlot({ nats, shape, until }: Source, slot: number) {
  const rules = createAccountsRules(shape)
  const reads = createAccountReads({ recentOrdersMax: 0 })
  const fold = await replaySlot(nats, rules, slot, until, reads.observe)
  return { reads, fold, head: headOf(rules.log, fold), stateHash: rules.stateHash(fold.state) }
}

async function marketSlot({ nats, until }: Source, slot: number) {
  const reads = createMarketReads()
  const fold = await replaySlot(nats, engineRules, slot, until, reads.observe)
  return { reads, fold, head: headOf(engineRules.log, fold), stateHash: engineRules.stateHash(fold.state) }
}

interface Head {
  readonly slot: string
  readonly stream: string
  /** The last item that was applied. */
  readonly appliedTo: readonly [number, number]
  readonly timeUs: number
  readonly hash: number
}

const headOf = <State, Item, Event>(log: Log, fold: SlotFold<State, Item, Event>): Head => ({
  slot: sourceName(log, fold.slot),
  stream: STREAM_OF_LOG[log],
  appliedTo: fold.applied,
  timeUs: fold.timeUs,
  hash: fold.hash,
})

const headLines = ({ slot, stream, appliedTo, timeUs, hash }: Head): string[] => [
  appliedTo[0] === 0
    ? `${slot}: nothing of it is in ${stream} up to there`
    : `${slot} after ${appliedTo.join('-')} of ${stream}, ${new Date(timeUs / 1000).toISOString()}, hash ${hash}`,
]

function money({ definitions }: Source, asset: string, minor: string): string {
  return formatDecimal(BigInt(minor), definitions.assets.get(asset)?.scale ?? 0)
}

const price = (source: Source, instrument: string, ticks: number): string => times(source, instrument, 'tick', ticks)
const amount = (source: Source, instrument: string, lots: number): string => times(source, instrument, 'lot', lots)

const STEP_SCALE = 36

function times({ definitions }: Source, instrument: string, step: 'tick' | 'lot', count: number): string {
  const market = definitions.markets.get(instrument)
  const units = market && parseDecimal(market[step], STEP_SCALE)
  return units === undefined ? `${count} ${step}s` : formatDecimal(units * BigInt(count), STEP_SCALE)
}

function orderRow(source: Source, order: OrderState): string[] {
  const { orderId, clientOrderId, instrument, side, priceTicks, amountLots, executedLots, status } = order
  return [
    String(orderId),
    clientOrderId ?? '',
    instrument,
    side,
    price(source, instrument, priceTicks),
    amount(source, instrument, amountLots),
    amount(source, instrument, executedLots),
    status,
  ]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [`no ${head[0] === 'buy' ? 'order' : head[0]}`]
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => (row[column] ?? '').length)))
  return [head, ...rows].map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
