import type { AccountsState } from './accounts-state.ts'
import { IdKind } from './remembered-ids.ts'
import { NONE } from './row-index.ts'

/** An id that the slot has seen: it is remembered, or its order is still open. */
export interface KnownId {
  readonly id: number
  readonly kind: IdKind
  readonly contentHash: number
}

export function findId(state: AccountsState, id: number): KnownId | undefined {
  const remembered = state.remembered.findId(id)
  if (remembered !== undefined) return remembered
  const row = state.orders.find(id)
  return row === NONE ? undefined : { id, kind: IdKind.order, contentHash: state.orders.contentHashOf(row) }
}

/** Whether a known id was given to this member. */
export function isIdOf(state: AccountsState, id: number, memberId: number): boolean {
  const row = state.orders.find(id)
  if (row !== NONE) return state.members.idOf(state.orders.memberOf(row)) === memberId
  return state.remembered.isOf(id, memberId)
}

export function findClientOrderId(state: AccountsState, memberId: number, clientOrderId: string): KnownId | undefined {
  const remembered = state.remembered.findClientOrderId(memberId, clientOrderId)
  if (remembered !== undefined) return remembered
  const row = state.orders.findClientOrderId(memberId, clientOrderId)
  if (row === NONE) return undefined
  return { id: state.orders.idOf(row), kind: IdKind.order, contentHash: state.orders.contentHashOf(row) }
}

export interface NewId extends KnownId {
  readonly memberId: number
  readonly clientOrderId?: string | undefined
  readonly timeUs: number
}

export function rememberId(state: AccountsState, entry: NewId): void {
  state.remembered.remember(entry, (id) => keepIfOpen(state, id))
}

export function forgetAgedIds(state: AccountsState, timeUs: number): void {
  state.remembered.forgetAged(timeUs, (id) => keepIfOpen(state, id))
}

/** An order that is still open goes on being found by both its ids. */
function keepIfOpen(state: AccountsState, id: number): void {
  const row = state.orders.find(id)
  if (row !== NONE) state.orders.keepClientOrderId(row)
}

/** How far ahead of the log a command may have been sent, in microseconds. */
export const SENT_AHEAD_US_MAX = 60_000_000

/**
 * Whether a command that says when it was sent may be carried out. What was sent before the oldest id that is remembered
 * may have been carried out already; senders' clocks may be ahead by a minute, so the bound is that much later.
 */
export function sentTimeCode(
  state: AccountsState,
  sentAtUs: number | undefined,
  timeUs: number,
): 'too_old' | 'sent_in_future' | undefined {
  if (sentAtUs === undefined) return undefined
  if (sentAtUs < timeUs - state.settings.rememberedUs) return 'too_old'
  const { forgottenUntilUs } = state.remembered
  if (forgottenUntilUs > 0 && sentAtUs <= forgottenUntilUs + SENT_AHEAD_US_MAX) return 'too_old'
  if (sentAtUs > timeUs + SENT_AHEAD_US_MAX) return 'sent_in_future'
  return undefined
}
