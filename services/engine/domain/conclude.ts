import assert from 'node:assert/strict'
import { withAsker } from '#mesh/domain/asked-by.ts'
import type { Context } from '#mesh/machine/rules.ts'
import type { AskedBy, OrderOutcome } from '#mesh/protocol/accounts.ts'
import type { Fill, MachineCode, OrderState, OrderStatus, OrderType, Side } from '#mesh/protocol/common.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'
import { EndReason } from '../book/book.ts'
import type { Execution } from './execution.ts'
import type { OrderRecord } from './order-records.ts'
import type { TakerSums } from './settle-fills.ts'
import { holdOf, type Market } from './state.ts'

/** A command that an order is under, and whom to answer. */
export interface Command extends AskedBy {
  readonly cause: 'placed' | 'cancelled' | 'amended'
  readonly commandId: number
  readonly replyTo: string
}

/** An order with all that an answer says of it. */
export interface Order extends OrderRecord {
  readonly orderId: number
  readonly instrument: string
  readonly side: Side
  readonly orderType: OrderType
  readonly priceTicks: number
  readonly amountLots: number
  readonly quoteTickLots?: number | undefined
}

/** Settles the order that went through the book: writes its record if it rests, gives back what it needs no longer. */
export function conclude(
  market: Market,
  command: Command,
  before: Order,
  holdMinor: bigint,
  sums: TakerSums,
  execution: Execution,
  context: Context<MarketEvent>,
): void {
  const order: Order =
    sums.lots === 0
      ? before
      : {
          ...before,
          executedLots: before.executedLots + sums.lots,
          executedTickLots: before.executedTickLots + sums.tickLots,
          feeMinor: before.feeMinor + sums.feeMinor,
        }
  const place = execution.restingPlace
  let neededMinor = 0n
  let status: OrderStatus
  let reason: MachineCode | undefined
  if (place >= 0) {
    market.records.write(place, order)
    neededMinor = holdOf(market, order.side, execution.restingLots, execution.restingLots * order.priceTicks)
    status = order.executedLots > 0 ? 'partially_filled' : 'new'
  } else {
    reason = reasonOfEnd(execution.endReason, order.executedLots)
    status = reason === undefined ? 'executed' : order.executedLots > 0 ? 'closed' : 'rejected'
  }
  const releasedMinor = holdMinor - sums.consumedMinor - neededMinor
  assert(releasedMinor >= 0n, 'an order never needs more than it holds')
  const consumedMinor = sums.consumedMinor.toString()
  tell(
    command,
    order,
    { status, reason, fills: sums.fills, consumedMinor, releasedMinor: releasedMinor.toString() },
    {
      quoteMinorPerTickLot: market.quoteMinorPerTickLot,
      context,
    },
  )
}

/** Why an order that is gone is not simply executed. */
function reasonOfEnd(end: EndReason | undefined, executedLots: number): MachineCode | undefined {
  switch (end) {
    case EndReason.filled:
      return undefined
    case EndReason.noLiquidity:
      return 'no_liquidity'
    case EndReason.worstPrice:
      return 'worst_price'
    case EndReason.fillsLimit:
      return 'fills_limit'
    case EndReason.lessThanOneLot:
      // The total is spent as far as whole lots go; or it never was enough for one lot.
      return executedLots > 0 ? undefined : 'amount_below_minimum'
    case undefined:
      assert.fail('an order that does not rest has ended')
  }
}

interface Result {
  readonly status: OrderStatus
  readonly reason: MachineCode | undefined
  readonly fills: readonly Fill[]
  readonly consumedMinor: string
  readonly releasedMinor: string
}

/** The outcome goes to the order's account slot, and the answer to whoever waits, with the outcome's position there. */
export function tell(
  command: Command,
  order: Order,
  { status, reason, fills, consumedMinor, releasedMinor }: Result,
  { quoteMinorPerTickLot, context }: { readonly quoteMinorPerTickLot: bigint; readonly context: Context<MarketEvent> },
): void {
  const { cause, commandId, replyTo } = command
  const { orderId, memberId, priceTicks, amountLots, executedLots } = order
  const { timeUs } = context
  const outcome: OrderOutcome = {
    type: 'OrderOutcome',
    cause,
    commandId,
    orderId,
    memberId,
    status,
    fills,
    consumedMinor,
    releasedMinor,
    priceTicks,
    amountLots,
    executedLots,
    timeUs,
  }
  const told = withAsker(reason === undefined ? outcome : { ...outcome, reason }, command)
  const ticket = context.send(Log.accounts, order.accountSlot, told)
  if (replyTo === '') return
  const state: OrderState = {
    orderId,
    memberId,
    instrument: order.instrument,
    side: order.side,
    orderType: order.orderType,
    priceTicks,
    amountLots,
    executedLots,
    executedQuoteMinor: (order.executedTickLots * quoteMinorPerTickLot).toString(),
    feeMinor: order.feeMinor.toString(),
    status,
    createdAtUs: order.createdAtUs,
    receivedAtUs: order.receivedAtUs,
    updatedAtUs: timeUs,
  }
  context.reply(replyTo, { kind: 'order', cause, commandId, order: withOptions(state, order, reason), fills }, ticket)
}

/** Whole objects are copied, as a spread inside a literal is slow, and this is done for every order. */
function withOptions(
  state: OrderState,
  { clientOrderId, quoteTickLots }: Order,
  reason: MachineCode | undefined,
): OrderState {
  let whole = clientOrderId === undefined ? state : { ...state, clientOrderId }
  if (quoteTickLots !== undefined) whole = { ...whole, quoteTickLots }
  return reason === undefined ? whole : { ...whole, reason }
}
