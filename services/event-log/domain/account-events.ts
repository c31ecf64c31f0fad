import { formatMinor } from '#mesh/edge/decimal.ts'
import { orderJson } from '#mesh/edge/order-json.ts'
import type { Position } from '#mesh/frames.ts'
import type { AccountEvent, BalanceAfter } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import { marketOf, type Scales, scaleOf, type WrittenEvent } from './records.ts'
import { Topic } from './topics.ts'

type Event = AccountEvent & { readonly position: Position }

/** An event of an account slot, as one record of what it is and, where balances changed, one of these. */
export function accountEvent(event: Event, scales: Scales): WrittenEvent[] {
  const order = (memberId: number, members: string): WrittenEvent => ({
    topic: Topic.orders,
    key: String(memberId),
    type: event.type,
    members: `"memberId":"${memberId}",${members}`,
  })
  const member = (memberId: number, members: string): WrittenEvent => ({
    topic: Topic.members,
    key: String(memberId),
    type: event.type,
    members: `"memberId":"${memberId}"${members}`,
  })
  const balances = (memberId: number, cause: string, orderId: number): WrittenEvent[] =>
    'balances' in event && event.balances.length > 0
      ? [balancesChanged(event.balances, scales, { memberId, cause, orderId })]
      : []

  switch (event.type) {
    case 'OrderPlaced': {
      const { memberId, orderId } = event.order
      return [
        order(memberId, `"order":${json(event.order, event, scales)}`),
        ...balances(memberId, 'reserved', orderId),
      ]
    }
    case 'OrderRejected':
      return [order(event.order.memberId, `"order":${rejectedJson(event.order, event, scales)}`)]
    case 'OrderChanged': {
      const { memberId, orderId } = event.order
      const asked = askedBy(event)
      const changed = `"cause":"${event.cause}","commandId":"${event.commandId}",${asked},"order":${json(event.order, event, scales, event.fills)}`
      return [order(memberId, changed), ...balances(memberId, event.cause, orderId)]
    }
    case 'OrderAmendForwarded':
      return [
        order(event.memberId, `"orderId":"${event.orderId}"`),
        ...balances(event.memberId, 'reserved', event.orderId),
      ]
    case 'OrderCommandRefused': {
      const { memberId, orderId, cause, commandId, code } = event
      const refused = `"cause":"${cause}","commandId":"${commandId}",${askedBy(event)},"orderId":"${orderId}","code":"${code}"`
      return [order(memberId, refused), ...balances(memberId, 'released', orderId)]
    }
    case 'RequestAnswered': {
      const { memberId, orderId, cause, commandId, code } = event
      const answered = `"cause":"${cause}","commandId":"${commandId}",${askedBy(event)},"orderId":"${orderId}","code":${orNull(code)}`
      return [order(memberId, answered)]
    }
    case 'OrderVoided':
      return [order(event.memberId, `"orderId":"${event.orderId}"`)]
    case 'BalanceChanged': {
      const { memberId, cause, reference, asset, amountMinor } = event
      const change = { memberId, cause, reference, asset, amount: formatMinor(amountMinor, scaleOf(scales, asset)) }
      return [balancesChanged(event.balances, scales, change)]
    }
    case 'AccountCreated':
      return [member(event.memberId, '')]
    case 'AccountStatusChanged':
      return [member(event.memberId, `,"status":"${event.status}"`)]
    case 'FeeDiscountChanged':
      return [member(event.memberId, `,"discountPpm":${event.discountPpm}`)]
    case 'LedgerCommandRefused': {
      const { memberId, commandId, reference, code } = event
      return [member(memberId, `,"commandId":"${commandId}","reference":${JSON.stringify(reference)},"code":"${code}"`)]
    }
    default:
      return event satisfies never
  }
}

interface BalanceChange {
  readonly memberId: number
  readonly cause: string
  readonly orderId?: number
  readonly reference?: string
  readonly asset?: string
  readonly amount?: string
}

function balancesChanged(balances: readonly BalanceAfter[], scales: Scales, change: BalanceChange): WrittenEvent {
  const { memberId, cause, orderId, reference, asset, amount } = change
  let after = ''
  for (const [name, available, held] of balances) {
    const scale = scaleOf(scales, name)
    after += `${after === '' ? '' : ','}{"asset":"${name}","available":"${formatMinor(available, scale)}","held":"${formatMinor(held, scale)}"}`
  }
  const about = `"orderId":${orNull(orderId)},"reference":${reference === undefined ? 'null' : JSON.stringify(reference)}`
  return {
    topic: Topic.balances,
    key: String(memberId),
    type: 'BalancesChanged',
    members: `"memberId":"${memberId}","cause":"${cause}",${about},"asset":${orNull(asset)},"amount":${orNull(amount)},"balances":[${after}]`,
  }
}

function json(order: OrderState, { position }: Event, scales: Scales, fills?: readonly Fill[]): string {
  return orderJson(order, marketOf(scales, order.instrument), String(position[0]), fills)
}

/** A refused order can name a market that there is not. */
function rejectedJson(order: OrderState, event: Event, scales: Scales): string {
  if (order.reason !== 'market_unknown') return json(order, event, scales)
  const { orderId, clientOrderId, instrument, side, status, reason } = order
  return JSON.stringify({ id: String(orderId), clientOrderId: clientOrderId ?? null, instrument, side, status, reason })
}

const askedBy = ({ origin, requestId }: { readonly origin?: string; readonly requestId?: string }): string =>
  `"origin":${orNull(origin)},"requestId":${orNull(requestId)}`

const orNull = (value: string | number | undefined): string => (value === undefined ? 'null' : `"${value}"`)
