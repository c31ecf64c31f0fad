import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeFrame, type FrameHeader, type Position, parseFrame } from '../frames.ts'
import type { AccountEvent, OrderOutcome, PlaceOrder } from './accounts.ts'
import type { Fill, OrderState } from './common.ts'
import { decodeItem, encodeLine, positionOfLine, withPosition } from './compact.ts'
import type { MarketItem } from './engine.ts'

type EnterOrder = Extract<MarketItem, { type: 'EnterOrder' }>
type OrderPlaced = Extract<AccountEvent, { type: 'OrderPlaced' }>
type OrderChanged = Extract<AccountEvent, { type: 'OrderChanged' }>

/** One for each field of a type: a field that is new there is an error of the compiler here. */
type Fields<Type> = { readonly [Name in keyof Type]-?: fc.Arbitrary<Required<Type>[Name]> }

const id = fc.maxSafeNat()
const text = fc.string({ maxLength: 12 })
const minor = fc.bigInt().map(String)
const side = fc.constantFrom('buy' as const, 'sell' as const)
const orderType = fc.constantFrom('limit' as const, 'market' as const)
const status = fc.constantFrom('new' as const, 'executed' as const, 'closed' as const, 'rejected' as const)
const reason = fc.constantFrom('no_liquidity' as const, 'worst_price' as const)
const cause = fc.constantFrom('placed' as const, 'matched' as const)
const origin = fc.constantFrom('rabbitmq' as const, 'kafka' as const)
const balances = fc.array(fc.tuple(text, minor, minor), { maxLength: 2 })
const fills = fc.array(
  fc.record<Fill>({
    tradeId: id,
    priceTicks: id,
    lots: id,
    quoteMinor: minor,
    feeMinor: minor,
    liquidity: fc.constantFrom('maker', 'taker'),
  }),
  { maxLength: 3 },
)

const OPTIONAL = ['clientOrderId', 'quoteTickLots', 'reason', 'origin', 'sentAtUs', 'trace', 'requestId'] as const

/** Any of the optional fields may be missing. */
function anyOf<Type>(fields: Fields<Type>): fc.Arbitrary<Type> {
  const requiredKeys = Object.keys(fields).filter((name) => !OPTIONAL.some((optional) => optional === name))
  return fc.record(fields as Record<string, fc.Arbitrary<unknown>>, { requiredKeys }) as fc.Arbitrary<Type>
}

const order = anyOf<OrderState>({
  orderId: id,
  memberId: id,
  clientOrderId: text,
  instrument: text,
  side,
  orderType,
  priceTicks: id,
  amountLots: id,
  quoteTickLots: id,
  executedLots: id,
  executedQuoteMinor: minor,
  feeMinor: minor,
  status,
  reason,
  origin,
  createdAtUs: id,
  receivedAtUs: id,
  updatedAtUs: id,
})

const items = fc.oneof(
  anyOf<PlaceOrder>({
    type: fc.constant('PlaceOrder'),
    commandId: id,
    replyTo: text,
    memberId: id,
    sentAtUs: id,
    origin,
    trace: text,
    clientOrderId: text,
    contentHash: id,
    instrument: text,
    side,
    orderType,
    priceTicks: id,
    amountLots: id,
    quoteTickLots: id,
    createdAtUs: id,
  }),
  anyOf<EnterOrder>({
    type: fc.constant('EnterOrder'),
    commandId: id,
    replyTo: text,
    orderId: id,
    memberId: id,
    instrument: text,
    trace: text,
    clientOrderId: text,
    side,
    orderType,
    priceTicks: id,
    amountLots: id,
    quoteTickLots: id,
    holdMinor: minor,
    makerFeePpm: id,
    takerFeePpm: id,
    createdAtUs: id,
  }),
  anyOf<OrderOutcome>({
    type: fc.constant('OrderOutcome'),
    cause,
    commandId: id,
    orderId: id,
    memberId: id,
    status,
    reason,
    fills,
    consumedMinor: minor,
    releasedMinor: minor,
    priceTicks: id,
    amountLots: id,
    executedLots: id,
    timeUs: id,
    origin,
    requestId: text,
  }),
  fc.record({ type: fc.constant('CreateAccount'), commandId: id, replyTo: text, memberId: id }),
)

const events = fc.oneof(
  anyOf<OrderPlaced>({ type: fc.constant('OrderPlaced'), order, balances }),
  anyOf<OrderChanged>({
    type: fc.constant('OrderChanged'),
    cause,
    commandId: id,
    order,
    fills,
    balances,
    origin,
    requestId: text,
  }),
  fc.record({ type: fc.constant('OrderVoided'), memberId: id, orderId: id }),
)

const HEADER: FrameHeader = { inFrom: [1, 0], inTo: [1, 0], complete: true, hash: 1, timeUs: 1, version: 1 }

/** As it would come through JSON with names. */
const plain = (value: object): unknown => JSON.parse(JSON.stringify(value))

describe('a line', () => {
  it('says an item, with every field that is there and no other', () => {
    fc.assert(fc.property(items, (item) => assert.deepEqual(decodeItem(encodeLine(item)), plain(item))))
  })

  it('says an event and its position in a frame', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(events, fc.tuple(id, fc.nat(), fc.nat())), { minLength: 1, maxLength: 4 }),
        (said) => {
          const lines = said.map(([event, position]) => withPosition(encodeLine(event), position))
          const read = parseFrame<object>(Buffer.from(encodeFrame(HEADER, lines)))
          assert.deepEqual(
            read.events,
            said.map(([event, position]) => plain({ position, ...event })),
          )
          assert.deepEqual(
            lines.map(positionOfLine),
            said.map(([, position]): Position => position),
          )
        },
      ),
    )
  })

  it('is an array for what every order causes, and names its broker where there is one', () => {
    const placed = { type: 'OrderPlaced', order: { orderId: 1 }, balances: [] }
    assert.match(encodeLine(placed), /^\[/)
    assert.match(encodeLine({ ...placed, order: { orderId: 1, origin: 'kafka' } }), /^\[.*"kafka"/)
  })

  it('may be an object all the same: whoever writes to a log by hand writes names', () => {
    const item = { type: 'PlaceOrder', commandId: 7 }
    assert.deepEqual(decodeItem(JSON.stringify(item)), item)
  })

  for (const line of ['[]', '[99,1]', '["1"]', '[3]', '[1', 'x']) {
    it(`is not ${line}`, () => assert.throws(() => decodeItem(line)))
  }
})
