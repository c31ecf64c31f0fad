import { withAsker } from '#mesh/domain/asked-by.ts'
import { LOTS_MAX, PRICE_TICKS_MAX, TICK_LOTS_MAX } from '#mesh/domain/money.ts'
import type { AmendOrder, AskedBy, CancelOrder, CancelOrders, VoidOrder } from '#mesh/protocol/accounts.ts'
import type { MachineCode } from '#mesh/protocol/common.ts'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'
import { type AccountsContext, type AccountsState, marketAt } from './accounts-state.ts'
import { contentHashOf } from './hashes.ts'
import { findClientOrderId, findId, forgetAgedIds, isIdOf, rememberId, sentTimeCode } from './known-ids.ts'
import { IdKind } from './remembered-ids.ts'
import { NONE } from './row-index.ts'

/** Passes the cancel on to the market. Nothing is released before the market says so. */
export function cancelOrder(state: AccountsState, command: CancelOrder, context: AccountsContext) {
  // By the order's id a repeat is harmless; by the member's own it may meet an order that came in between.
  const { clientOrderId, requestId } = command
  const named = clientOrderId ?? (requestId === undefined ? undefined : `order ${command.orderId}`)
  if (named !== undefined && answeredAsRepeat(state, command, named, context)) return
  const orderId = orderIdOf(state, command)
  const row = openOrderOf(state, command.memberId, orderId)
  const timeCode = sentTimeCode(state, command.sentAtUs, context.timeUs)
  if (timeCode !== undefined) return refuse(command, 'cancelled', orderId, timeCode, context)
  if (state.members.find(command.memberId) === NONE)
    return refuse(command, 'cancelled', orderId, 'member_unknown', context)
  if (row === NONE) return refuse(command, 'cancelled', orderId, notOpenCode(state, command.memberId, orderId), context)
  sendCancel(state, command, row, context)
}

/** Passes a cancel on for each open order that is meant; the reply names them. At most the open orders of one member. */
export function cancelOrders(state: AccountsState, command: CancelOrders, context: AccountsContext) {
  if (answeredAsRepeat(state, command, `${command.instrument ?? ''}|${command.side ?? ''}`, context)) return
  const timeCode = sentTimeCode(state, command.sentAtUs, context.timeUs)
  if (timeCode !== undefined) return refuse(command, 'cancelled', 0, timeCode, context)
  const member = state.members.find(command.memberId)
  if (member === NONE) return refuse(command, 'cancelled', 0, 'member_unknown', context)

  const rows = openOrdersOf(state, member, command)
  const orderIds = rows.map((row) => state.orders.idOf(row))
  context.reply(command.replyTo, { kind: 'cancels', commandId: command.commandId, orderIds }, 'here')
  for (const row of rows) sendCancel(state, command, row, context)
}

/** Reserves what the amendment may need beyond the order's hold and passes it on to the market. */
export function amendOrder(state: AccountsState, command: AmendOrder, context: AccountsContext) {
  const change = `${command.orderId ?? ''}|${command.clientOrderId ?? ''}|${command.priceTicks ?? ''}|${command.amountLots ?? ''}`
  const content = command.instrument === undefined ? change : `${change}|${command.instrument}`
  if (answeredAsRepeat(state, command, content, context)) return
  const orderId = orderIdOf(state, command)
  const row = openOrderOf(state, command.memberId, orderId)
  const code = whyNotAmend(state, command, orderId, row, context.timeUs)
  if (code !== undefined) return refuse(command, 'amended', orderId, code, context)

  const market = marketAt(state, state.orders.marketOf(row))
  const holdMinor = amendHoldFor(state, command, row)
  const asset = state.orders.sideOf(row) === 'buy' ? market.quote : market.base
  const balance = state.books.find(state.orders.memberOf(row), asset)
  state.books.reserve(balance, holdMinor)
  state.orders.beginAmend(row, holdMinor)
  context.emit({
    type: 'OrderAmendForwarded',
    memberId: command.memberId,
    orderId,
    balances: [state.books.after(balance)],
  })
  const item: MarketItem = {
    type: 'AmendEntered',
    commandId: command.commandId,
    replyTo: command.replyTo,
    orderId,
    memberId: command.memberId,
    instrument: market.instrument,
    ...(command.priceTicks === undefined ? undefined : { priceTicks: command.priceTicks }),
    ...(command.amountLots === undefined ? undefined : { amountLots: command.amountLots }),
    addedHoldMinor: holdMinor.toString(),
    ...(command.trace === undefined ? undefined : { trace: command.trace }),
  }
  context.send(Log.markets, market.marketSlot, withAsker(item, command))
}

/** Spends the id of an order that did not come, or tells that it did. */
export function voidOrder(state: AccountsState, command: VoidOrder, context: AccountsContext) {
  forgetAgedIds(state, context.timeUs)
  const { commandId, orderId, memberId, replyTo } = command
  const known = findId(state, orderId)
  if (known !== undefined) {
    if (!isIdOf(state, orderId, memberId)) return refuse(command, 'placed', orderId, 'id_conflict', context)
    const placed = known.kind === IdKind.order
    return context.reply(replyTo, { kind: 'void', commandId, orderId, placed }, 'here')
  }
  rememberId(state, { id: orderId, kind: IdKind.voided, contentHash: 0, memberId, timeUs: context.timeUs })
  context.emit({ type: 'OrderVoided', memberId, orderId })
  context.reply(replyTo, { kind: 'void', commandId, orderId, placed: false }, 'here')
}

/** The member's open orders, by instrument and side where given, in the order of their ids. */
export function openOrdersOf(
  state: AccountsState,
  member: number,
  { instrument, side }: { readonly instrument?: string; readonly side?: string },
): number[] {
  const { orders } = state
  const marketRow = instrument === undefined ? undefined : (state.marketRows.get(instrument) ?? NONE)
  const rows: number[] = []
  for (let row = state.members.firstOrderOf(member); row !== NONE; row = orders.nextOf(row)) {
    if (marketRow !== undefined && orders.marketOf(row) !== marketRow) continue
    if (side !== undefined && orders.sideOf(row) !== side) continue
    rows.push(row)
  }
  return rows.sort((a, b) => orders.idOf(a) - orders.idOf(b))
}

/** The id of the order that a member names, by whichever id; 0 where there is none. */
export function orderIdOf(
  state: AccountsState,
  named: { readonly memberId: number; readonly orderId?: number; readonly clientOrderId?: string },
): number {
  if (named.orderId !== undefined) return named.orderId
  if (named.clientOrderId === undefined) return 0
  return findClientOrderId(state, named.memberId, named.clientOrderId)?.id ?? 0
}

/** The row of a member's open order, or NONE. */
export function openOrderOf(state: AccountsState, memberId: number, orderId: number): number {
  const row = state.orders.find(orderId)
  if (row === NONE || !state.orders.isOpen(row)) return NONE
  return state.members.idOf(state.orders.memberOf(row)) === memberId ? row : NONE
}

/** Whether the id was given to an order of this member, open or not. */
export function isOrderOf(state: AccountsState, memberId: number, orderId: number): boolean {
  return findId(state, orderId)?.kind === IdKind.order && isIdOf(state, orderId, memberId)
}

const notOpenCode = (state: AccountsState, memberId: number, orderId: number): MachineCode =>
  isOrderOf(state, memberId, orderId) ? 'order_not_open' : 'order_not_found'

/** Why an amendment is refused; the first that holds. */
function whyNotAmend(
  state: AccountsState,
  command: AmendOrder,
  orderId: number,
  row: number,
  timeUs: number,
): MachineCode | undefined {
  const timeCode = sentTimeCode(state, command.sentAtUs, timeUs)
  if (timeCode !== undefined) return timeCode
  const member = state.members.find(command.memberId)
  if (member === NONE) return 'member_unknown'
  const status = state.members.statusOf(member)
  if (status === 'blocked') return 'member_blocked'
  if (status === 'closed') return 'member_closed'
  if (row === NONE) return notOpenCode(state, command.memberId, orderId)
  const { instrument } = marketAt(state, state.orders.marketOf(row))
  if (command.instrument !== undefined && command.instrument !== instrument) return 'order_not_found'
  // A market order never rests: by the time the amendment is there, it is over.
  if (state.orders.typeOf(row) === 'market') return 'order_not_open'
  if (state.orders.amendPending(row)) return 'amend_pending'

  const market = marketAt(state, state.orders.marketOf(row))
  const { priceTicks = state.orders.priceTicksOf(row), amountLots = state.orders.amountLotsOf(row) } = command
  if (!Number.isSafeInteger(amountLots) || amountLots < 1 || amountLots > LOTS_MAX) return 'amount_invalid'
  if (amountLots < market.amountLotsMin) return 'amount_below_minimum'
  if (!Number.isSafeInteger(priceTicks) || priceTicks < 1 || priceTicks > PRICE_TICKS_MAX) return 'price_invalid'
  if (priceTicks * amountLots > TICK_LOTS_MAX) return 'order_value_too_large'
  // The market may know of more executions, never of fewer.
  if (amountLots <= state.orders.executedLotsOf(row)) return 'amount_not_above_executed'
  const asset = state.orders.sideOf(row) === 'buy' ? market.quote : market.base
  const availableMinor = state.books.available(state.books.find(member, asset))
  if (amendHoldFor(state, command, row) > availableMinor) return 'insufficient_balance'
  return undefined
}

/**
 * What an amendment may need on top of the order's hold, wherever between now and then executions happen: for a buy with
 * k executed of Q at p, to T at p′, max(0, (T−k)·p′ − (Q−k)·p, (T−Q)·p′); the two are the ends of what k may grow to.
 */
function amendHoldFor(state: AccountsState, command: AmendOrder, row: number): bigint {
  const market = marketAt(state, state.orders.marketOf(row))
  const oldLots = state.orders.amountLotsOf(row)
  const newLots = command.amountLots ?? oldLots
  if (state.orders.sideOf(row) === 'sell') {
    return newLots > oldLots ? BigInt(newLots - oldLots) * market.baseMinorPerLot : 0n
  }
  const oldTicks = state.orders.priceTicksOf(row)
  const newTicks = command.priceTicks ?? oldTicks
  const executed = state.orders.executedLotsOf(row)
  // Each product is below 2^53 by the bound on an order's value, so the differences are exact.
  const ifNothingMore = (newLots - executed) * newTicks - (oldLots - executed) * oldTicks
  const ifAllExecuted = (newLots - oldLots) * newTicks
  return BigInt(Math.max(0, ifNothingMore, ifAllExecuted)) * market.quoteMinorPerTickLot
}

/**
 * Commands that would do something else the second time are remembered by their ids.
 * A repeat is answered here; a new one's id is spent.
 */
export function answeredAsRepeat(
  state: AccountsState,
  command: Answerable & { readonly type: string; readonly sentAtUs?: number },
  content: string,
  context: AccountsContext,
): boolean {
  const { commandId, memberId, replyTo, type, requestId } = command
  const { timeUs } = context
  forgetAgedIds(state, timeUs)
  const contentHash = contentHashOf(`${type}|${content}`)
  // No clientOrderId has a colon.
  const key = requestId === undefined ? undefined : `${type}:${requestId}`
  const known = findId(state, commandId) ?? (key === undefined ? undefined : findClientOrderId(state, memberId, key))
  if (known !== undefined) {
    const same = known.kind === IdKind.command && known.contentHash === contentHash && isIdOf(state, known.id, memberId)
    context.reply(replyTo, { kind: 'repeat', commandId, orderId: 0, same }, 'here')
    // The very same command, sent again because its ack was lost, is answered by what it did the first time.
    if (known.id !== commandId) {
      const cause = type === 'AmendOrder' ? 'amended' : 'cancelled'
      answerRequest(command, cause, requestId, 0, same ? undefined : 'id_conflict', context)
    }
    return true
  }
  // What is too old may repeat one that is forgotten: it is refused, and has no place among what is remembered.
  if (key === undefined || sentTimeCode(state, command.sentAtUs, timeUs) !== 'too_old') {
    rememberId(state, { id: commandId, kind: IdKind.command, contentHash, memberId, clientOrderId: key, timeUs })
  }
  return false
}

function sendCancel(state: AccountsState, command: CancelOrder | CancelOrders, row: number, context: AccountsContext) {
  const market = marketAt(state, state.orders.marketOf(row))
  const item: MarketItem = {
    type: 'CancelEntered',
    commandId: command.commandId,
    replyTo: command.replyTo,
    orderId: state.orders.idOf(row),
    memberId: command.memberId,
    instrument: market.instrument,
    ...(command.trace === undefined ? undefined : { trace: command.trace }),
  }
  context.send(Log.markets, market.marketSlot, withAsker(item, command))
}

interface Answerable extends AskedBy {
  readonly commandId: number
  readonly memberId: number
  readonly replyTo: string
}

/** Tells a broker's feed what came of a command where no other event does. */
export function answerRequest(
  { origin, memberId, commandId }: Answerable,
  cause: 'placed' | 'cancelled' | 'amended',
  requestId: string | undefined,
  orderId: number,
  code: MachineCode | undefined,
  context: AccountsContext,
) {
  if (origin === undefined) return
  const told = {
    type: 'RequestAnswered',
    origin,
    cause,
    requestId: requestId ?? '',
    memberId,
    commandId,
    orderId,
  } as const
  context.emit(code === undefined ? told : { ...told, code })
}

function refuse(
  command: Answerable,
  cause: 'placed' | 'cancelled' | 'amended',
  orderId: number,
  code: MachineCode,
  context: AccountsContext,
) {
  context.reply(command.replyTo, { kind: 'refused', commandId: command.commandId, orderId, code })
  answerRequest(command, cause, command.requestId, orderId, code, context)
}
