import type { Market } from '#mesh/edge/market.ts'
import { orderJson, tradeJson } from '#mesh/edge/order-json.ts'
import type { Position } from '#mesh/frames.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'

interface Text {
  readonly memberId: number
  readonly text: string
}

type Event = AccountEvent & { readonly position: Position }
type MarketOf = (instrument: string) => Market

/** What happened to an order, or to what was asked for it. */
export function orderText(event: Event, marketOf: MarketOf): Text | undefined {
  switch (event.type) {
    case 'OrderPlaced':
    case 'OrderRejected':
    case 'OrderChanged': {
      const { order } = event
      const { memberId } = order
      const cause = event.type === 'OrderChanged' ? event.cause : event.type === 'OrderPlaced' ? 'accepted' : 'rejected'
      const json = orderJson(order, marketOf(order.instrument), String(event.position[0]))
      return { memberId, text: `"memberId":"${memberId}","cause":"${cause}","order":${json}` }
    }
    case 'OrderCommandRefused': {
      const { memberId, orderId, code } = event
      const cause = event.cause === 'cancelled' ? 'cancel_refused' : 'amend_refused'
      return { memberId, text: `"memberId":"${memberId}","cause":"${cause}","orderId":"${orderId}","code":"${code}"` }
    }
    default:
      return undefined
  }
}

/** The executions of one order by one command. */
export function fillText(event: Event, marketOf: MarketOf): Text | undefined {
  if (event.type !== 'OrderChanged' || event.fills.length === 0) return undefined
  const { order, fills } = event
  const { memberId, orderId, instrument, side, updatedAtUs: timeUs } = order
  const market = marketOf(instrument)
  const trades = fills.map((fill) => tradeJson({ ...fill, orderId, instrument, side, timeUs }, market))
  return { memberId, text: `"memberId":"${memberId}","fills":[${trades.join()}]` }
}
