import type { Market } from '#mesh/edge/market.ts'
import type { Fault } from '#mesh/edge/new-order.ts'
import { orderJson, sequenceOf } from '#mesh/edge/order-json.ts'
import type { Position } from '#mesh/frames.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { type Fill, isOpen, type MachineCode, type OrderState, type Origin } from '#mesh/protocol/common.ts'
import { Log, sourceName } from '#mesh/subjects.ts'
import type { Outcome, Result } from './source.ts'

const RESULT_VERSION = 1

type Cause = 'placed' | 'matched' | 'cancelled' | 'amended'

/** What an event in the frames of an account slot says to those who sent by this broker; nothing for all others. */
export function resultOf(
  event: AccountEvent & { readonly position: Position },
  slot: number,
  origin: Origin,
  marketOf: (instrument: string) => Market | undefined,
): Result | undefined {
  const id = `${sourceName(Log.accounts, slot)}.${event.position.join('.')}`
  const told = (outcome: Outcome, words: Words): Result => makeResult(id, outcome, words)
  switch (event.type) {
    case 'OrderRejected': {
      const { order } = event
      if (order.origin !== origin) return undefined
      const json = jsonOf(order, [], event.position, marketOf)
      return told('rejected', { ...wordsOf(order), cause: 'placed', code: order.reason, order: json })
    }
    case 'OrderChanged': {
      const { order, cause, fills } = event
      if (order.origin !== origin && event.origin !== origin) return undefined
      const json = jsonOf(order, fills, event.position, marketOf)
      const requestId = cause === 'placed' || cause === 'matched' ? order.clientOrderId : event.requestId
      const code = order.status === 'rejected' ? order.reason : undefined
      return told(outcomeOf(order, cause), { ...wordsOf(order), requestId, cause, code, order: json })
    }
    case 'OrderCommandRefused':
      return event.origin === origin ? told('rejected', event) : undefined
    case 'RequestAnswered':
      return event.origin === origin ? told(event.code === undefined ? 'repeated' : 'rejected', event) : undefined
    default:
      return undefined
  }
}

/** Of a message that its market would not take, so that it never became a command. */
export function refusal(
  { memberId, requestId, cause }: { readonly memberId: number; readonly requestId: string; readonly cause: Cause },
  { code, field }: Fault,
): Result {
  return makeResult(`refused.${memberId}.${cause}.${requestId}`, 'rejected', {
    memberId,
    requestId,
    cause,
    orderId: 0,
    code,
    field,
  })
}

interface Words {
  readonly memberId: number
  readonly requestId?: string | undefined
  readonly cause: Cause
  readonly orderId: number
  readonly code?: MachineCode | Fault['code'] | undefined
  readonly field?: string
  readonly order?: string | undefined
}

function makeResult(id: string, outcome: Outcome, words: Words): Result {
  const { memberId, requestId, cause, orderId, code, field, order } = words
  // Digits, codes and names that a pattern has checked: nothing needs escaping.
  const body = `{"version":${RESULT_VERSION},"id":"${id}","outcome":"${outcome}","cause":"${cause}","memberId":"${memberId}","requestId":${orNull(
    requestId,
  )},"orderId":${orderId === 0 ? 'null' : `"${orderId}"`},"code":${orNull(code)},"field":${orNull(field)},"order":${
    order ?? 'null'
  }}`
  return { id, memberId, outcome, requestId, body }
}

const orNull = (text: string | undefined): string => (text === undefined ? 'null' : `"${text}"`)

const wordsOf = ({ memberId, orderId, clientOrderId }: OrderState) => ({ memberId, orderId, requestId: clientOrderId })

function outcomeOf({ status }: OrderState, cause: Cause): Outcome {
  if (status === 'rejected') return 'rejected'
  if (!isOpen(status)) return 'closed'
  return cause === 'placed' ? 'accepted' : 'updated'
}

/** @throws UnknownMarket for a market that this process has not been told of yet. */
function jsonOf(
  order: OrderState,
  fills: readonly Fill[],
  position: Position,
  marketOf: (instrument: string) => Market | undefined,
): string | undefined {
  const market = marketOf(order.instrument)
  if (market !== undefined) return orderJson(order, market, sequenceOf(position.join('-')), fills)
  if (order.reason === 'market_unknown') return undefined
  throw new UnknownMarket(`Order ${order.orderId} is in ${order.instrument}, which is not known here yet.`)
}

class UnknownMarket extends Error {
  override readonly name = 'UnknownMarket'
  readonly code = 'market_unknown'
}
