import Type, { type Static } from 'typebox'
import { TICK_LOTS_MAX } from '#mesh/domain/money.ts'
import type { Market } from '#mesh/edge/market.ts'
import { type Fault, isFault, type ParsedOrder, parseAmendment, parseNewOrder } from '#mesh/edge/new-order.ts'
import { type Shape, shapeOf } from '#mesh/edge/shape.ts'
import { parseTime } from '#mesh/edge/time.ts'
import type { AmendOrder, CancelOrder, PlaceOrder } from '#mesh/protocol/accounts.ts'
import type { Origin, TimeUs } from '#mesh/protocol/common.ts'
import { CommandName, type DeadCode, type SourceMessage } from './source.ts'

/** Of a message's body, in bytes: as much as the REST API takes. */
export const MESSAGE_BYTES_MAX = 64 * 1024

export const MESSAGE_VERSION = 1

const Identity = Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' })
const OrderId = Type.String({ pattern: '^[1-9][0-9]{0,15}$' })
/** What is wrong with a decimal is told apart by its parser. */
const Decimal = Type.String({ maxLength: 100 })
const Header = {
  version: Type.Integer(),
  command: Type.Optional(Type.String()),
  sentAt: Type.String({ maxLength: 40 }),
}
const CLOSED = { additionalProperties: false } as const

const PlaceMessage = Type.Object(
  {
    ...Header,
    clientOrderId: Type.Optional(Identity),
    instrument: Type.String({ maxLength: 21 }),
    side: Type.Enum(['buy', 'sell']),
    type: Type.Optional(Type.Enum(['limit', 'market'])),
    price: Type.Optional(Decimal),
    amount: Type.Optional(Decimal),
    quoteAmount: Type.Optional(Decimal),
    worstPrice: Type.Optional(Decimal),
  },
  CLOSED,
)
const Named = {
  requestId: Type.Optional(Identity),
  orderId: Type.Optional(OrderId),
  clientOrderId: Type.Optional(Identity),
}
const CancelMessage = Type.Object({ ...Header, ...Named }, CLOSED)
const AmendMessage = Type.Object(
  {
    ...Header,
    ...Named,
    instrument: Type.String({ maxLength: 21 }),
    price: Type.Optional(Decimal),
    amount: Type.Optional(Decimal),
  },
  CLOSED,
)

const shapes = {
  place: shapeOf(PlaceMessage),
  cancel: shapeOf(CancelMessage),
  amend: shapeOf(AmendMessage),
}

interface Common {
  /** The clientOrderId of a new order, the sender's own id of a cancel or an amendment. */
  readonly requestId: string
  readonly sentAtUs: TimeUs
}
export type Message =
  | (Common & { readonly command: 'place'; readonly body: Static<typeof PlaceMessage> })
  | (Common & { readonly command: 'cancel'; readonly body: Static<typeof CancelMessage> })
  | (Common & { readonly command: 'amend'; readonly body: Static<typeof AmendMessage> })

export interface Unreadable {
  readonly code: DeadCode
  readonly field?: string
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** From bytes to a message whose every field has its shape, or what is wrong with it, first fault first. */
export function readMessage(source: SourceMessage): Message | Unreadable {
  if (source.body.length > MESSAGE_BYTES_MAX) return { code: 'message_too_large' }
  let body: unknown
  try {
    body = JSON.parse(decoder.decode(source.body))
  } catch {
    return { code: 'json_invalid' }
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return { code: 'body_not_object' }
  const { version, command: named } = body as { version?: unknown; command?: unknown }
  if (version === undefined) return { code: 'missing_field', field: 'version' }
  if (version !== MESSAGE_VERSION) return { code: 'version_unknown', field: 'version' }
  const command = source.command ?? named
  if (command === undefined) return { code: 'missing_field', field: 'command' }
  if (!isCommandName(command) || (named !== undefined && named !== command)) {
    return { code: 'command_unknown', field: 'command' }
  }
  switch (command) {
    case 'place': {
      const read = withShape(shapes.place, body)
      if ('code' in read) return read
      return withIdentity(read.value, read.value.clientOrderId, 'clientOrderId', source, (common) => ({
        ...common,
        command,
        body: read.value,
      }))
    }
    case 'cancel': {
      const read = withShape(shapes.cancel, body)
      if ('code' in read) return read
      return (
        wrongName(read.value) ??
        withIdentity(read.value, read.value.requestId, 'requestId', source, (common) => ({
          ...common,
          command,
          body: read.value,
        }))
      )
    }
    case 'amend': {
      const read = withShape(shapes.amend, body)
      if ('code' in read) return read
      return (
        wrongName(read.value) ??
        withIdentity(read.value, read.value.requestId, 'requestId', source, (common) => ({
          ...common,
          command,
          body: read.value,
        }))
      )
    }
  }
}

const isCommandName = (name: unknown): name is CommandName =>
  name === CommandName.place || name === CommandName.cancel || name === CommandName.amend

function withShape<Value extends object>(
  shape: { accepts(value: unknown): value is Value } & Pick<Shape<never>, 'fault'>,
  body: object,
): { readonly value: Value } | Unreadable {
  return shape.accepts(body) ? { value: body } : shape.fault(body)
}

/** An order is named by exactly one of its ids. */
function wrongName({ orderId, clientOrderId }: { orderId?: string; clientOrderId?: string }): Unreadable | undefined {
  if (orderId === undefined && clientOrderId === undefined) return { code: 'missing_field', field: 'orderId' }
  if (orderId !== undefined && clientOrderId !== undefined) return { code: 'invalid_value', field: 'clientOrderId' }
  return orderId !== undefined && Number(orderId) > Number.MAX_SAFE_INTEGER
    ? { code: 'invalid_value', field: 'orderId' }
    : undefined
}

const IDENTITY = /^[A-Za-z0-9._-]{1,64}$/

function withIdentity(
  { sentAt }: { readonly sentAt: string },
  own: string | undefined,
  field: string,
  { messageId }: SourceMessage,
  make: (common: Common) => Message,
): Message | Unreadable {
  const sentAtUs = parseTime(sentAt)
  if (sentAtUs === undefined) return { code: 'invalid_value', field: 'sentAt' }
  const requestId = own ?? messageId
  if (requestId === undefined || requestId === '') return { code: 'identity_missing', field }
  if (!IDENTITY.test(requestId)) return { code: 'identity_invalid', field: 'messageId' }
  return make({ requestId, sentAtUs })
}

/** What the core adds to a message. */
export interface Enclosed {
  readonly commandId: number
  readonly memberId: number
  readonly origin: Origin
  readonly createdAtUs: TimeUs
  readonly marketOf: (instrument: string) => Market | undefined
}

/** From a message to the command of the member's log, or why its market would not take it. */
export function commandOf(message: Message, enclosed: Enclosed): PlaceOrder | CancelOrder | AmendOrder | Fault {
  const { commandId, memberId, origin } = enclosed
  const { sentAtUs, requestId } = message
  const from = { commandId, replyTo: '', memberId, sentAtUs, origin }
  switch (message.command) {
    case 'place': {
      const order = parseNewOrder({ ...message.body, clientOrderId: requestId }, enclosed.marketOf)
      if (isFault(order)) return order
      const bound = boundOf(order)
      if (isFault(bound)) return bound
      return {
        type: 'PlaceOrder',
        ...from,
        clientOrderId: requestId,
        contentHash: order.contentHash,
        instrument: order.market.definition.instrument,
        side: order.side,
        orderType: order.orderType,
        priceTicks: order.priceTicks,
        amountLots: bound.amountLots,
        ...(order.quoteTickLots === 0 ? undefined : { quoteTickLots: order.quoteTickLots }),
        createdAtUs: enclosed.createdAtUs,
      }
    }
    case 'cancel':
      return { type: 'CancelOrder', ...from, requestId, ...nameOf(message.body) }
    case 'amend': {
      const market = enclosed.marketOf(message.body.instrument)
      if (market === undefined) return { code: 'market_unknown', field: 'instrument' }
      const change = parseAmendment(message.body, market)
      if (isFault(change)) return change
      return {
        type: 'AmendOrder',
        ...from,
        requestId,
        ...nameOf(message.body),
        instrument: market.definition.instrument,
        ...(change.priceTicks === undefined ? undefined : { priceTicks: change.priceTicks }),
        ...(change.amountLots === undefined ? undefined : { amountLots: change.amountLots }),
      }
    }
  }
}

/**
 * The lots of a market order. Its worst price has to be said: over REST it is found from the best opposite price at that
 * moment, but a message may have waited in a queue, and its sender cannot have meant a price that he did not see.
 */
function boundOf({
  orderType,
  side,
  priceTicks,
  amountLots,
  quoteTickLots,
}: ParsedOrder): { amountLots: number } | Fault {
  if (orderType === 'market' && priceTicks === 0) return { code: 'missing_field', field: 'worstPrice' }
  if (quoteTickLots === 0 || side === 'buy') return { amountLots }
  const lots = Math.max(1, Math.floor(quoteTickLots / priceTicks))
  return priceTicks * lots > TICK_LOTS_MAX
    ? { code: 'order_value_too_large', field: 'quoteAmount' }
    : { amountLots: lots }
}

function nameOf({ orderId, clientOrderId }: { orderId?: string; clientOrderId?: string }) {
  if (orderId !== undefined) return { orderId: Number(orderId) }
  return clientOrderId === undefined ? undefined : { clientOrderId }
}
