import type { Position } from '../frames.ts'
import type { AccountEvent, OrderOutcome, PlaceOrder } from './accounts.ts'
import type { Fill, OrderState } from './common.ts'
import type { MarketItem } from './engine.ts'

/**
 * How items and events are written: a line of JSON each. The five that every order causes are arrays of their fields, the
 * first element says which; all others are objects with named fields. What only a broker's orders have stands at the end, where it
 * is there. That halves what is written, hashed and read for an order. Both forms can be read, whoever writes them.
 */
export function encodeLine(value: object): string {
  return JSON.stringify(compact(value as Compactable) ?? value)
}

/** The item that a line says. @throws SyntaxError or TypeError when it says none */
export function decodeItem(line: string): unknown {
  const value: unknown = JSON.parse(line)
  return Array.isArray(value) ? expandItem(value) : value
}

/** An event's line in a frame, with its position in front. */
export function withPosition(line: string, [sequence, item, event]: Position): string {
  return line.startsWith('[')
    ? `[${sequence},${item},${event},${line.slice(1)}`
    : `{"position":[${sequence},${item},${event}],${line.slice(1)}`
}

/** The event of a line that `withPosition` made and JSON has parsed. */
export function decodeEvent(value: unknown): object {
  return Array.isArray(value) ? expandEvent(value) : (value as object)
}

/** The position in front of an event's line. */
export function positionOfLine(line: string): Position | undefined {
  const [, sequence, item, event] = /^(?:\[|\{"position":\[)([0-9]+),([0-9]+),([0-9]+)/.exec(line) ?? []
  return event === undefined ? undefined : [Number(sequence), Number(item), Number(event)]
}

type EnterOrder = Extract<MarketItem, { type: 'EnterOrder' }>
type OrderPlaced = Extract<AccountEvent, { type: 'OrderPlaced' }>
type OrderChanged = Extract<AccountEvent, { type: 'OrderChanged' }>
type Compactable = PlaceOrder | EnterOrder | OrderOutcome | OrderPlaced | OrderChanged | { readonly type?: undefined }

const Tag = { placeOrder: 1, enterOrder: 2, outcome: 3, placed: 4, changed: 5 } as const

// Literals, not loops over names: this is done several times for every order. A field that is not there is null.

function compact(value: Compactable): unknown[] | undefined {
  switch (value.type) {
    case 'PlaceOrder':
      return compactPlaceOrder(value)
    case 'EnterOrder':
      return compactEnterOrder(value)
    case 'OrderOutcome':
      return compactOutcome(value)
    case 'OrderPlaced':
      return [Tag.placed, compactOrder(value.order), value.balances]
    case 'OrderChanged':
      return compactChanged(value)
    default:
      return undefined
  }
}

// biome-ignore lint/suspicious/noExplicitAny: its elements have the types of the fields that were written
type Elements = readonly any[]

function expandItem(array: Elements): object {
  switch (array[0]) {
    case Tag.placeOrder:
      return expandPlaceOrder(array)
    case Tag.enterOrder:
      return expandEnterOrder(array)
    case Tag.outcome:
      return expandOutcome(array)
    default:
      throw new SyntaxError(`No item begins with ${String(array[0])}.`)
  }
}

function expandEvent(array: Elements): object {
  switch (array[3]) {
    case Tag.placed:
      return expandPlaced(array)
    case Tag.changed:
      return expandChanged(array)
    default:
      throw new SyntaxError(`No event begins with ${String(array[3])}.`)
  }
}

function compactPlaceOrder(value: PlaceOrder): unknown[] {
  const array = [
    Tag.placeOrder,
    value.commandId,
    value.replyTo,
    value.memberId,
    value.contentHash,
    value.instrument,
    value.side,
    value.orderType,
    value.priceTicks,
    value.amountLots,
    value.createdAtUs,
    value.clientOrderId,
    value.quoteTickLots,
    value.trace,
  ]
  if (value.origin !== undefined || value.sentAtUs !== undefined) array.push(value.origin, value.sentAtUs)
  return array
}

function expandPlaceOrder(array: Elements): PlaceOrder {
  let item: PlaceOrder = {
    type: 'PlaceOrder',
    commandId: array[1],
    replyTo: array[2],
    memberId: array[3],
    contentHash: array[4],
    instrument: array[5],
    side: array[6],
    orderType: array[7],
    priceTicks: array[8],
    amountLots: array[9],
    createdAtUs: array[10],
  }
  if (isThere(array[11])) item = { ...item, clientOrderId: array[11] }
  if (isThere(array[12])) item = { ...item, quoteTickLots: array[12] }
  if (isThere(array[13])) item = { ...item, trace: array[13] }
  if (isThere(array[14])) item = { ...item, origin: array[14] }
  if (isThere(array[15])) item = { ...item, sentAtUs: array[15] }
  return item
}

function compactEnterOrder(value: EnterOrder): unknown[] {
  return [
    Tag.enterOrder,
    value.commandId,
    value.replyTo,
    value.orderId,
    value.memberId,
    value.instrument,
    value.side,
    value.orderType,
    value.priceTicks,
    value.amountLots,
    value.holdMinor,
    value.makerFeePpm,
    value.takerFeePpm,
    value.createdAtUs,
    value.clientOrderId,
    value.quoteTickLots,
    value.trace,
  ]
}

function expandEnterOrder(array: Elements): EnterOrder {
  let item: EnterOrder = {
    type: 'EnterOrder',
    commandId: array[1],
    replyTo: array[2],
    orderId: array[3],
    memberId: array[4],
    instrument: array[5],
    side: array[6],
    orderType: array[7],
    priceTicks: array[8],
    amountLots: array[9],
    holdMinor: array[10],
    makerFeePpm: array[11],
    takerFeePpm: array[12],
    createdAtUs: array[13],
  }
  if (isThere(array[14])) item = { ...item, clientOrderId: array[14] }
  if (isThere(array[15])) item = { ...item, quoteTickLots: array[15] }
  if (isThere(array[16])) item = { ...item, trace: array[16] }
  return item
}

function compactOutcome(value: OrderOutcome): unknown[] {
  const array = [
    Tag.outcome,
    value.cause,
    value.commandId,
    value.orderId,
    value.memberId,
    value.status,
    compactFills(value.fills),
    value.consumedMinor,
    value.releasedMinor,
    value.priceTicks,
    value.amountLots,
    value.executedLots,
    value.timeUs,
    value.reason,
  ]
  if (value.origin !== undefined || value.requestId !== undefined) array.push(value.origin, value.requestId)
  return array
}

function expandOutcome(array: Elements): OrderOutcome {
  let item: OrderOutcome = {
    type: 'OrderOutcome',
    cause: array[1],
    commandId: array[2],
    orderId: array[3],
    memberId: array[4],
    status: array[5],
    fills: expandFills(array[6]),
    consumedMinor: array[7],
    releasedMinor: array[8],
    priceTicks: array[9],
    amountLots: array[10],
    executedLots: array[11],
    timeUs: array[12],
  }
  if (isThere(array[13])) item = { ...item, reason: array[13] }
  if (isThere(array[14])) item = { ...item, origin: array[14] }
  if (isThere(array[15])) item = { ...item, requestId: array[15] }
  return item
}

function expandPlaced(array: Elements): OrderPlaced & { readonly position: Position } {
  return {
    position: [array[0], array[1], array[2]],
    type: 'OrderPlaced',
    order: expandOrder(array[4]),
    balances: array[5],
  }
}

function compactChanged(value: OrderChanged): unknown[] {
  const { cause, commandId, order, fills, balances, origin, requestId } = value
  const array: unknown[] = [Tag.changed, cause, commandId, compactOrder(order), compactFills(fills), balances]
  if (origin !== undefined || requestId !== undefined) array.push(origin, requestId)
  return array
}

function expandChanged(array: Elements): OrderChanged & { readonly position: Position } {
  let event: ReturnType<typeof expandChanged> = {
    position: [array[0], array[1], array[2]],
    type: 'OrderChanged',
    cause: array[4],
    commandId: array[5],
    order: expandOrder(array[6]),
    fills: expandFills(array[7]),
    balances: array[8],
  }
  if (isThere(array[9])) event = { ...event, origin: array[9] }
  if (isThere(array[10])) event = { ...event, requestId: array[10] }
  return event
}

function compactOrder(order: OrderState): unknown[] {
  const array = [
    order.orderId,
    order.memberId,
    order.instrument,
    order.side,
    order.orderType,
    order.priceTicks,
    order.amountLots,
    order.executedLots,
    order.executedQuoteMinor,
    order.feeMinor,
    order.status,
    order.createdAtUs,
    order.receivedAtUs,
    order.updatedAtUs,
    order.clientOrderId,
    order.quoteTickLots,
    order.reason,
  ]
  if (order.origin !== undefined) array.push(order.origin)
  return array
}

function expandOrder(array: Elements): OrderState {
  let order: OrderState = {
    orderId: array[0],
    memberId: array[1],
    instrument: array[2],
    side: array[3],
    orderType: array[4],
    priceTicks: array[5],
    amountLots: array[6],
    executedLots: array[7],
    executedQuoteMinor: array[8],
    feeMinor: array[9],
    status: array[10],
    createdAtUs: array[11],
    receivedAtUs: array[12],
    updatedAtUs: array[13],
  }
  if (isThere(array[14])) order = { ...order, clientOrderId: array[14] }
  if (isThere(array[15])) order = { ...order, quoteTickLots: array[15] }
  if (isThere(array[16])) order = { ...order, reason: array[16] }
  if (isThere(array[17])) order = { ...order, origin: array[17] }
  return order
}

function compactFills(fills: readonly Fill[]): unknown[] {
  return fills.map((fill) => [fill.tradeId, fill.priceTicks, fill.lots, fill.quoteMinor, fill.feeMinor, fill.liquidity])
}

function expandFills(array: readonly Elements[]): Fill[] {
  return array.map((fill) => ({
    tradeId: fill[0],
    priceTicks: fill[1],
    lots: fill[2],
    quoteMinor: fill[3],
    feeMinor: fill[4],
    liquidity: fill[5],
  }))
}

const isThere = (element: unknown): boolean => element !== null && element !== undefined
