import type { Definitions } from '#mesh/edge/definitions.ts'
import { isFault, parseAmendment, parseNewOrder } from '#mesh/edge/new-order.ts'
import { ackJson, orderJson, sequenceOf } from '#mesh/edge/order-json.ts'
import type { Code } from '../codes.ts'
import { type Answer, created, type Endpoint, endpoint, ok } from '../http/endpoint.ts'
import type { OrderReads } from '../orders/reading.ts'
import type { OrderResult, Trading } from '../orders/trading.ts'
import { Problem, problemAnswer } from '../problem.ts'
import * as schemas from '../schemas/orders.ts'
import { listingOf, marketNamed, orderName, statusesOf } from './parameters.ts'

interface Parts {
  readonly trading: Trading
  readonly reads: OrderReads
  readonly definitions: Definitions
}

const SLOT_CODES = ['slot_halted', 'slot_unavailable', 'ids_unavailable', 'outcome_unknown'] as const
const MEMBER_CODES = ['member_unknown', 'member_blocked', 'member_closed'] as const
const DECIMAL_CODES = [
  'duplicate_field',
  'decimal_invalid',
  'not_positive',
  'too_many_decimals',
  'off_tick',
  'off_lot',
  'price_too_large',
  'amount_too_large',
  'amount_below_minimum',
  'order_value_too_large',
] as const satisfies Code[]

const REFERENCE = 'An order is named by its id, or as `client:{clientOrderId}`.'

export function tradingEndpoints({ trading, reads, definitions }: Parts): Endpoint[] {
  const marketOf = definitions.market

  /** What the client wants to know of the result. A rejection is a problem with the order's id. */
  const answer = (result: OrderResult, status: number, responseType: 'ack' | 'result' | 'full' = 'full'): Answer => {
    const { order, fills, sequence } = result
    if (order.status === 'rejected') {
      const { orderId, clientOrderId } = order
      return problemAnswer(order.reason ?? 'internal_error', { orderId, clientOrderId })
    }
    const json =
      responseType === 'ack'
        ? ackJson(order, sequence)
        : orderJson(
            order,
            marketNamed(definitions, order.instrument),
            sequence,
            responseType === 'full' ? fills : undefined,
          )
    return status === 201 ? created(json) : ok(json)
  }

  return [
    endpoint({
      method: 'POST',
      path: '/order',
      access: 'trade',
      kind: 'order',
      tag: 'Orders',
      summary: 'Place an order',
      description:
        'The answer is the market\'s result. With a clientOrderId a repeat is harmless: the same content gets the order\'s current state (200), other content `client_order_id_conflict`. Decimals are strings such as "0.25"; JSON numbers are refused, for they lose digits.',
      body: schemas.NewOrder,
      answers: { 201: schemas.PlacedOrder, 200: schemas.PlacedOrder },
      codes: [
        'missing_field',
        'field_not_allowed',
        'market_unknown',
        ...DECIMAL_CODES,
        'client_order_id_conflict',
        'insufficient_balance',
        'too_many_open_orders',
        'market_halted',
        'market_cancel_only',
        'no_liquidity',
        'worst_price',
        'fills_limit',
        'amount_invalid',
        'price_invalid',
        ...MEMBER_CODES,
        'not_accepted',
        ...SLOT_CODES,
      ],
      handle: async ({ body, memberId, slot, trace }) => {
        const parsed = parseNewOrder(body, marketOf)
        if (isFault(parsed)) return problemAnswer(parsed.code, { field: parsed.field })
        const result = await trading.place({ memberId, slot, trace }, parsed)
        return answer(result, result.repeated ? 200 : 201, body.responseType)
      },
    }),

    endpoint({
      method: 'GET',
      path: '/order/{reference}',
      access: 'read',
      kind: 'read',
      tag: 'Orders',
      summary: 'Read an order with its fills',
      description: REFERENCE,
      answers: { 200: schemas.Order },
      codes: ['order_not_found', 'projection_behind', 'database_unavailable', 'slot_halted', 'slot_unavailable'],
      handle: async ({ params, memberId, slot }) => {
        const found = await reads.order({ memberId, slot }, orderName(params.reference))
        if (found === undefined) return problemAnswer('order_not_found')
        const { order, fills, position } = found
        return ok(orderJson(order, marketNamed(definitions, order.instrument), sequenceOf(position), fills))
      },
    }),

    endpoint({
      method: 'GET',
      path: '/orders',
      access: 'read',
      kind: 'read',
      tag: 'Orders',
      summary: 'List orders, newest first',
      description:
        'With `status=open` (or either of its two) the answer comes from the memory of the exchange, else from its history.',
      query: schemas.OrdersQuerySchema,
      answers: { 200: schemas.OrderPage },
      codes: [
        'cursor_invalid',
        'query_invalid',
        'projection_behind',
        'database_unavailable',
        'slot_halted',
        'slot_unavailable',
      ],
      handle: async ({ query, memberId, slot }) => {
        const { instrument, side, status } = query
        const page = await reads.list(
          { memberId, slot },
          {
            ...listingOf(query),
            ...(instrument === undefined ? {} : { instrument }),
            ...(side === undefined ? {} : { side }),
            ...(status === undefined ? {} : { statuses: statusesOf(status) }),
          },
        )
        const orders = page.orders.map(({ order, position }) =>
          orderJson(order, marketNamed(definitions, order.instrument), sequenceOf(position)),
        )
        return ok(`{"orders":[${orders.join(',')}],"cursor":${JSON.stringify(page.cursor ?? null)}}`)
      },
    }),

    endpoint({
      method: 'PATCH',
      path: '/order/{reference}',
      access: 'trade',
      kind: 'order',
      tag: 'Orders',
      summary: 'Amend an open limit order',
      description: `${REFERENCE} Less amount keeps the order's place in the queue; any other change loses it. \`amount\` is the new total, executed part included. The fills are those of the amendment.`,
      body: schemas.Amendment,
      answers: { 200: schemas.PlacedOrder },
      codes: [
        'missing_field',
        ...DECIMAL_CODES,
        'order_not_found',
        'order_not_open',
        'amend_pending',
        'amount_not_above_executed',
        'hold_too_small',
        'insufficient_balance',
        'market_halted',
        'market_cancel_only',
        'amount_invalid',
        'price_invalid',
        ...MEMBER_CODES,
        ...SLOT_CODES,
      ],
      handle: async ({ body, params, memberId, slot, trace }) => {
        const name = orderName(params.reference)
        // The order's market has to be known to count in its ticks and lots, and never changes.
        const found = await reads.order({ memberId, slot }, name)
        if (found === undefined) return problemAnswer('order_not_found')
        const parsed = parseAmendment(body, marketNamed(definitions, found.order.instrument))
        if (isFault(parsed)) return problemAnswer(parsed.code, { field: parsed.field })
        return answer(await trading.amend({ memberId, slot, trace }, name, parsed), 200, body.responseType)
      },
    }),

    endpoint({
      method: 'DELETE',
      path: '/order/{reference}',
      access: 'trade',
      kind: 'cancel',
      tag: 'Orders',
      summary: 'Cancel an order',
      description: REFERENCE,
      answers: { 200: schemas.Order },
      codes: ['order_not_found', 'order_not_open', 'market_halted', 'amend_pending', ...MEMBER_CODES, ...SLOT_CODES],
      handle: async ({ params, memberId, slot, trace }) =>
        answer(await trading.cancel({ memberId, slot, trace }, orderName(params.reference)), 200),
    }),

    endpoint({
      method: 'DELETE',
      path: '/orders',
      access: 'trade',
      kind: 'cancel',
      tag: 'Orders',
      summary: 'Cancel all open orders, or those of an instrument or side',
      query: schemas.CancelOrdersQuery,
      answers: { 200: schemas.CancelledOrders },
      codes: ['duplicate_field', 'market_unknown', 'market_halted', ...MEMBER_CODES, ...SLOT_CODES],
      handle: async ({ query, memberId, slot, trace }) => {
        if (query.instrument !== undefined && query.market !== undefined) {
          throw new Problem('duplicate_field', { field: 'market' })
        }
        const instrument = query.instrument ?? query.market
        if (instrument !== undefined) marketNamed(definitions, instrument)
        const { cancelled, refused, pending } = await trading.cancelAll(
          { memberId, slot, trace },
          {
            ...(instrument === undefined ? {} : { instrument }),
            ...(query.side === undefined ? {} : { side: query.side }),
          },
        )
        return ok(
          JSON.stringify({
            cancelled: cancelled.map(String),
            refused: refused.map(({ orderId, code }) => ({ id: String(orderId), code })),
            pending: pending.map(String),
          }),
        )
      },
    }),
  ]
}
