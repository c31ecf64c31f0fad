import assert from 'node:assert/strict'
import { withAsker } from '#mesh/domain/asked-by.ts'
import type { BalanceAfter, OrderCommandRefused, OrderOutcome } from '#mesh/protocol/accounts.ts'
import { type Fill, isOpen } from '#mesh/protocol/common.ts'
import { type AccountsContext, type AccountsState, type KnownMarket, marketAt } from './accounts-state.ts'
import { NONE } from './row-index.ts'

/** Books what a market did to an order: what it spent, what it no longer needs, what it received. */
export function bookOutcome(state: AccountsState, outcome: OrderOutcome, context: AccountsContext): void {
  const { orders, books } = state
  const row = orders.find(outcome.orderId)
  assert(row !== NONE && orders.isOpen(row), `order ${outcome.orderId} is open`)
  const member = orders.memberOf(row)
  assert(state.members.idOf(member) === outcome.memberId, 'the outcome is for the owner of the order')
  const market = marketAt(state, orders.marketOf(row))
  const buys = orders.sideOf(row) === 'buy'
  const sums = sumFills(outcome.fills)
  assert(orders.executedLotsOf(row) + sums.lots === outcome.executedLots, 'the fills are all that was executed')

  let holdMinor = orders.holdOf(row)
  if (outcome.cause === 'amended') {
    holdMinor += orders.amendHoldOf(row)
    orders.endAmend(row)
  }
  const spentBalance = books.find(member, buys ? market.quote : market.base)
  const consumedMinor = BigInt(outcome.consumedMinor)
  const releasedMinor = BigInt(outcome.releasedMinor)
  const baseMinor = BigInt(sums.lots) * market.baseMinorPerLot
  assert(consumedMinor === (buys ? sums.quoteMinor : baseMinor), 'what is spent is what the fills say')
  if (consumedMinor > 0n) books.consume(spentBalance, consumedMinor, market.marketSlot)
  if (releasedMinor !== 0n) books.release(spentBalance, releasedMinor)
  const closes = !isOpen(outcome.status)
  const leftMinor = holdMinor - consumedMinor - releasedMinor
  assert(!closes || leftMinor === 0n, 'a closed order holds nothing')
  orders.setHold(row, leftMinor)

  let balances: BalanceAfter[]
  if (sums.lots > 0) {
    const receivedBalance = books.open(member, buys ? market.base : market.quote)
    books.receive(receivedBalance, buys ? baseMinor : sums.quoteMinor, sums.feeMinor, market.marketSlot)
    orders.addExecuted(row, sums.quoteMinor, sums.feeMinor)
    balances = [books.after(spentBalance), books.after(receivedBalance)]
  } else {
    balances = [books.after(spentBalance)]
  }
  orders.update(row, outcome)
  const order = orders.stateOf(row, market.instrument, outcome.status, outcome.reason)
  if (closes) orders.close(row)
  const { cause, commandId, fills } = outcome
  context.emit(withAsker({ type: 'OrderChanged', cause, commandId, order, fills, balances } as const, outcome))
}

/** Books that a cancel or an amendment changed nothing: what was reserved for the amendment is free again. */
export function bookRefusal(state: AccountsState, refused: OrderCommandRefused, context: AccountsContext): void {
  const balances = refused.cause === 'amended' ? [endRefusedAmend(state, refused)] : []
  assert(refused.cause === 'amended' || BigInt(refused.releasedMinor) === 0n, 'a cancel reserves nothing')
  const { type, cause, memberId, orderId, commandId, code } = refused
  context.emit(withAsker({ type, cause, memberId, orderId, commandId, code, balances }, refused))
}

function endRefusedAmend(state: AccountsState, refused: OrderCommandRefused): BalanceAfter {
  const { orders, books } = state
  const row = orders.find(refused.orderId)
  assert(row !== NONE, `order ${refused.orderId} waits for its amendment`)
  const member = orders.memberOf(row)
  assert(state.members.idOf(member) === refused.memberId, 'the refusal is for the owner of the order')
  const market: KnownMarket = marketAt(state, orders.marketOf(row))
  const balance = books.find(member, orders.sideOf(row) === 'buy' ? market.quote : market.base)
  const holdMinor = orders.amendHoldOf(row)
  assert(holdMinor === BigInt(refused.releasedMinor), 'an amendment gives back what was reserved for it')
  if (holdMinor > 0n) books.release(balance, holdMinor)
  orders.endAmend(row)
  if (!orders.isOpen(row)) orders.removeClosed(row)
  return books.after(balance)
}

function sumFills(fills: readonly Fill[]): {
  readonly lots: number
  readonly quoteMinor: bigint
  readonly feeMinor: bigint
} {
  let lots = 0
  let quoteMinor = 0n
  let feeMinor = 0n
  for (const fill of fills) {
    lots += fill.lots
    quoteMinor += BigInt(fill.quoteMinor)
    feeMinor += BigInt(fill.feeMinor)
  }
  return { lots, quoteMinor, feeMinor }
}
