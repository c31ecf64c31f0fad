import Type, { type Static } from 'typebox'
import { checked } from '#mesh/checked.ts'
import type { SlotObserver } from '#mesh/machine/slot.ts'
import type { SlotMemory } from '#mesh/machine/snapshots/machine.ts'
import type { AccountEvent, AccountRead, AccountReadResult, OrderWithFills } from '#mesh/protocol/accounts.ts'
import { Log, sourceName } from '#mesh/subjects.ts'
import { type AccountsState, marketAt } from './domain/accounts-state.ts'
import type { AssetBooks } from './domain/books.ts'
import { isOrderOf, openOrderOf, openOrdersOf, orderIdOf } from './domain/order-commands.ts'
import { NONE } from './domain/row-index.ts'
import { RecentOrders } from './recent-orders.ts'

export interface Reads {
  observe: SlotObserver<AccountEvent>
  readonly memory: SlotMemory
  /** @throws RpcError `request_invalid` */
  answer(slot: number, state: AccountsState, request: unknown, timeUs: number): AccountReadResult
}

/** Answers from the owner's memory. `recentOrdersMax`: closed orders that are kept, per slot. */
export function createReads({ recentOrdersMax }: { readonly recentOrdersMax: number }): Reads {
  const recentBySlot = new Map<number, RecentOrders>()
  const recentOf = (slot: number): RecentOrders => {
    let recent = recentBySlot.get(slot)
    if (recent === undefined) {
      recent = new RecentOrders(recentOrdersMax)
      recentBySlot.set(slot, recent)
    }
    return recent
  }
  return {
    observe: (slot, event, position, timeUs) => recentOf(slot).observe(event, position, timeUs),
    memory: {
      version: 1,
      pack: (slot, packer) => recentOf(slot).pack(packer),
      unpack: (slot, packed) => {
        if (packed === undefined) recentBySlot.delete(slot)
        else recentBySlot.set(slot, RecentOrders.unpack(recentOrdersMax, packed))
      },
    },
    answer: (slot, state, request, timeUs) => {
      const read: AccountRead = parseRead(request)
      switch (read.read) {
        case 'balances':
          return readBalances(state, read.memberId)
        case 'order':
          return readOrder(state, recentOf(slot), read, timeUs)
        case 'openOrders':
          return readOpenOrders(state, recentOf(slot), read)
        case 'totals':
          return readTotals(slot, state)
      }
    },
  }
}

const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const Closed = { additionalProperties: false } as const
const ReadRequest = Type.Union([
  Type.Object({ read: Type.Literal('balances'), memberId: Id }, Closed),
  Type.Object(
    {
      read: Type.Literal('order'),
      memberId: Id,
      orderId: Type.Optional(Id),
      clientOrderId: Type.Optional(Type.String({ maxLength: 64 })),
    },
    Closed,
  ),
  Type.Object(
    {
      read: Type.Literal('openOrders'),
      memberId: Id,
      instrument: Type.Optional(Type.String({ maxLength: 32 })),
      side: Type.Optional(Type.Union([Type.Literal('buy'), Type.Literal('sell')])),
    },
    Closed,
  ),
  Type.Object({ read: Type.Literal('totals') }, Closed),
])
const parseRead: (value: unknown) => Static<typeof ReadRequest> = checked(ReadRequest)

function readBalances(state: AccountsState, memberId: number): AccountReadResult {
  const member = state.members.find(memberId)
  if (member === NONE) return { read: 'balances', status: 'unknown', balances: [] }
  const balances = []
  for (let row = state.members.firstBalanceOf(member); row !== NONE; row = state.books.nextOf(row)) {
    balances.push(state.books.after(row))
  }
  balances.sort(([a], [b]) => (a < b ? -1 : 1))
  return { read: 'balances', status: state.members.statusOf(member), balances }
}

function readOrder(
  state: AccountsState,
  recent: RecentOrders,
  read: Extract<AccountRead, { read: 'order' }>,
  timeUs: number,
): AccountReadResult {
  const orderId = orderIdOf(state, read)
  const row = openOrderOf(state, read.memberId, orderId)
  const found = row === NONE ? closedOrder(recent, read.memberId, orderId, timeUs) : openOrder(state, recent, row)
  if (found !== undefined) return { read: 'order', found }
  return isOrderOf(state, read.memberId, orderId) ? { read: 'order', knownOrderId: orderId } : { read: 'order' }
}

function closedOrder(
  recent: RecentOrders,
  memberId: number,
  orderId: number,
  timeUs: number,
): OrderWithFills | undefined {
  const closed = recent.closed(orderId, timeUs)
  return closed?.order.memberId === memberId ? closed : undefined
}

function openOrder(state: AccountsState, recent: RecentOrders, row: number): OrderWithFills | undefined {
  const orderId = state.orders.idOf(row)
  const fills = recent.fillsOf(orderId)
  if (fills === undefined) return undefined
  const { instrument } = marketAt(state, state.orders.marketOf(row))
  return { order: state.orders.stateOf(row, instrument), fills, position: recent.positionOf(orderId) }
}

function readOpenOrders(
  state: AccountsState,
  recent: RecentOrders,
  read: Extract<AccountRead, { read: 'openOrders' }>,
): AccountReadResult {
  const member = state.members.find(read.memberId)
  if (member === NONE) return { read: 'openOrders', orders: [] }
  const orders = openOrdersOf(state, member, read).map((row): OrderWithFills => {
    const orderId = state.orders.idOf(row)
    const { instrument } = marketAt(state, state.orders.marketOf(row))
    return {
      order: state.orders.stateOf(row, instrument),
      fills: recent.fillsOf(orderId) ?? [],
      position: recent.positionOf(orderId),
    }
  })
  return { read: 'openOrders', orders }
}

function readTotals(slot: number, state: AccountsState): AccountReadResult {
  const totals = state.books.assetBooks().map((books) => ({
    asset: books.asset,
    availableMinor: books.availableMinor.toString(),
    heldMinor: books.heldMinor.toString(),
    feesMinor: books.feesMinor.toString(),
    clearing: clearingOf(books),
    depositedMinor: books.depositedMinor.toString(),
  }))
  return { read: 'totals', slot, totals }
}

/** With `available + held + fees − deposited` these sum to zero; over all slots, at a closed cut, they do so alone. */
function clearingOf(books: AssetBooks): { readonly account: string; readonly balanceMinor: string }[] {
  const accounts = [
    ...[...books.marketsMinor].map(([slot, minor]) => ({ account: sourceName(Log.markets, slot), minor })),
    ...[...books.transfersMinor].map(([slot, minor]) => ({ account: sourceName(Log.accounts, slot), minor })),
  ]
  accounts.sort((a, b) => (a.account < b.account ? -1 : 1))
  return accounts.map(({ account, minor }) => ({ account, balanceMinor: minor.toString() }))
}
