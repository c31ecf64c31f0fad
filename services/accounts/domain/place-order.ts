import { LOTS_MAX, PRICE_TICKS_MAX, TICK_LOTS_MAX } from '#mesh/domain/money.ts'
import type { PlaceOrder } from '#mesh/protocol/accounts.ts'
import type { MachineCode, OrderState } from '#mesh/protocol/common.ts'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'
import { type AccountsContext, type AccountsState, type KnownMarket, marketAt } from './accounts-state.ts'
import {
  findClientOrderId,
  findId,
  forgetAgedIds,
  isIdOf,
  type KnownId,
  rememberId,
  sentTimeCode,
} from './known-ids.ts'
import { withOptions } from './open-orders.ts'
import { answerRequest } from './order-commands.ts'
import { IdKind } from './remembered-ids.ts'
import { NONE } from './row-index.ts'

/** Reserves what the order needs and passes it on to its market, or refuses it. Either way its ids are spent. */
export function placeOrder(state: AccountsState, command: PlaceOrder, context: AccountsContext) {
  const { timeUs } = context
  forgetAgedIds(state, timeUs)
  const known = findId(state, command.commandId)
  if (known !== undefined) return answerKnownId(state, command, known, context)
  if (command.clientOrderId !== undefined) {
    const placed = findClientOrderId(state, command.memberId, command.clientOrderId)
    if (placed !== undefined) {
      answerRepeat(command, placed.id, placed.contentHash, context)
      const code = placed.contentHash === command.contentHash ? undefined : 'client_order_id_conflict'
      return answerRequest(command, 'placed', command.clientOrderId, placed.id, code, context)
    }
  }
  const timeCode = sentTimeCode(state, command.sentAtUs, timeUs)
  // It may be a repeat of an order that is forgotten, so there is no new row for it.
  if (timeCode === 'too_old') return answerUnplaced(command, timeCode, context)

  const member = state.members.find(command.memberId)
  const marketRow = state.marketRows.get(command.instrument) ?? NONE
  const code = timeCode ?? whyNot(state, command, member, marketRow)
  rememberId(state, {
    id: command.commandId,
    kind: IdKind.order,
    contentHash: command.contentHash,
    memberId: command.memberId,
    clientOrderId: command.clientOrderId,
    timeUs,
  })
  if (code !== undefined) {
    context.emit({ type: 'OrderRejected', order: rejectedOrder(command, code, timeUs) })
    return answerRejected(command, code, context)
  }
  enter(state, command, member, marketRow, context)
}

function answerKnownId(state: AccountsState, command: PlaceOrder, known: KnownId, context: AccountsContext) {
  // It was voided before it came: whoever waits was told so, and its clientOrderId is as free as before.
  if (known.kind === IdKind.voided) return answerUnplaced(command, 'not_accepted', context)
  const own = known.kind === IdKind.order && isIdOf(state, known.id, command.memberId)
  answerRepeat(command, known.id, own ? known.contentHash : Number.NaN, context)
}

function answerRepeat(command: PlaceOrder, orderId: number, contentHash: number, context: AccountsContext) {
  const same = contentHash === command.contentHash
  context.reply(command.replyTo, { kind: 'repeat', commandId: command.commandId, orderId, same }, 'here')
}

/** Refused without a row of its own. */
function answerUnplaced(command: PlaceOrder, reason: MachineCode, context: AccountsContext) {
  answerRejected(command, reason, context)
  answerRequest(command, 'placed', command.clientOrderId, 0, reason, context)
}

function answerRejected(command: PlaceOrder, code: MachineCode, context: AccountsContext) {
  const order = rejectedOrder(command, code, context.timeUs)
  context.reply(command.replyTo, { kind: 'rejected', commandId: command.commandId, order }, 'here')
}

/** Why an order is refused; the first that holds. */
function whyNot(state: AccountsState, command: PlaceOrder, member: number, marketRow: number): MachineCode | undefined {
  if (member === NONE) return 'member_unknown'
  const status = state.members.statusOf(member)
  if (status === 'blocked') return 'member_blocked'
  if (status === 'closed') return 'member_closed'
  if (marketRow === NONE) return 'market_unknown'

  const market = marketAt(state, marketRow)
  const { priceTicks, amountLots, quoteTickLots } = command
  const priceIsValid = Number.isSafeInteger(priceTicks) && priceTicks >= 1 && priceTicks <= PRICE_TICKS_MAX
  if (quoteTickLots === undefined) {
    if (!Number.isSafeInteger(amountLots) || amountLots < 1 || amountLots > LOTS_MAX) return 'amount_invalid'
    if (amountLots < market.amountLotsMin) return 'amount_below_minimum'
  } else {
    if (command.orderType !== 'market') return 'amount_invalid'
    if (!Number.isSafeInteger(quoteTickLots) || quoteTickLots < 1) return 'amount_invalid'
    if (command.side === 'buy') {
      if (amountLots !== 0) return 'amount_invalid'
    } else if (priceIsValid) {
      const boundLots = Math.floor(quoteTickLots / priceTicks)
      if (boundLots < market.amountLotsMin) return 'amount_below_minimum'
      if (amountLots !== boundLots) return 'amount_invalid'
    }
  }
  if (!priceIsValid) return 'price_invalid'
  if (priceTicks * amountLots > TICK_LOTS_MAX) return 'order_value_too_large'
  if (holdFor(market, command) > availableFor(state, command, member, market)) return 'insufficient_balance'
  if (state.members.openOrdersOf(member) >= state.settings.openOrdersMax) return 'too_many_open_orders'
  return undefined
}

/** What the order can cost at most, fees aside (they are taken from what is received). */
function holdFor(market: KnownMarket, command: PlaceOrder): bigint {
  if (command.side === 'sell') return BigInt(command.amountLots) * market.baseMinorPerLot
  const tickLots = command.quoteTickLots ?? command.priceTicks * command.amountLots
  return BigInt(tickLots) * market.quoteMinorPerTickLot
}

function availableFor(state: AccountsState, command: PlaceOrder, member: number, market: KnownMarket): bigint {
  return state.books.available(state.books.find(member, command.side === 'buy' ? market.quote : market.base))
}

function enter(state: AccountsState, command: PlaceOrder, member: number, marketRow: number, context: AccountsContext) {
  const market = marketAt(state, marketRow)
  const holdMinor = holdFor(market, command)
  const balance = state.books.find(member, command.side === 'buy' ? market.quote : market.base)
  state.books.reserve(balance, holdMinor)
  const row = state.orders.add({
    orderId: command.commandId,
    member,
    market: marketRow,
    clientOrderId: command.clientOrderId,
    contentHash: command.contentHash,
    side: command.side,
    orderType: command.orderType,
    priceTicks: command.priceTicks,
    amountLots: command.amountLots,
    quoteTickLots: command.quoteTickLots,
    holdMinor,
    createdAtUs: command.createdAtUs,
    updatedAtUs: context.timeUs,
    origin: command.origin,
  })
  context.emit({
    type: 'OrderPlaced',
    order: state.orders.stateOf(row, market.instrument),
    balances: [state.books.after(balance)],
  })
  const { clientOrderId, quoteTickLots, trace } = command
  let item: EnterOrder = {
    type: 'EnterOrder',
    commandId: command.commandId,
    replyTo: command.replyTo,
    orderId: command.commandId,
    memberId: command.memberId,
    instrument: market.instrument,
    side: command.side,
    orderType: command.orderType,
    priceTicks: command.priceTicks,
    amountLots: command.amountLots,
    holdMinor: holdMinor.toString(),
    makerFeePpm: state.feeDiscounts.rateFor(command.memberId, market.makerFeePpm),
    takerFeePpm: state.feeDiscounts.rateFor(command.memberId, market.takerFeePpm),
    createdAtUs: command.createdAtUs,
  }
  // Whole objects are copied: a spread inside a larger literal is slow, and this is done for every order.
  if (clientOrderId !== undefined) item = { ...item, clientOrderId }
  if (quoteTickLots !== undefined) item = { ...item, quoteTickLots }
  if (trace !== undefined) item = { ...item, trace }
  context.send(Log.markets, market.marketSlot, item)
}

type EnterOrder = Extract<MarketItem, { type: 'EnterOrder' }>

function rejectedOrder(command: PlaceOrder, reason: MachineCode, timeUs: number): OrderState {
  const order: OrderState = {
    orderId: command.commandId,
    memberId: command.memberId,
    instrument: command.instrument,
    side: command.side,
    orderType: command.orderType,
    priceTicks: command.priceTicks,
    amountLots: command.amountLots,
    executedLots: 0,
    executedQuoteMinor: '0',
    feeMinor: '0',
    status: 'rejected',
    createdAtUs: command.createdAtUs,
    receivedAtUs: 0,
    updatedAtUs: timeUs,
  }
  const { clientOrderId, quoteTickLots, origin } = command
  return withOptions(order, { clientOrderId, quoteTickLots, reason, origin })
}
