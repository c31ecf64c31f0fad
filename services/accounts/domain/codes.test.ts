import assert from 'node:assert/strict'
import { START_US } from '../testing/mesh.ts'
import { ANN, BLOCKED, BOB, CLOSED, NOBODY, OneSlot, type Said } from '../testing/one-slot.ts'

const order = (fields: object = {}): Said => ({ type: 'PlaceOrder', ...fields })
const deposit = (fields: object = {}): Said => ({
  type: 'Deposit',
  reference: 'r',
  asset: 'BTC',
  amountMinor: '10',
  ...fields,
})
const withdraw = (fields: object = {}): Said => ({ ...deposit(fields), type: 'Withdraw' })
const transfer = (fields: object = {}): Said => ({ ...deposit({ toMemberId: BOB, ...fields }), type: 'Transfer' })
const byQuote = { orderType: 'market', priceTicks: 5, quoteTickLots: 20 }
const TWO_TO_53 = 2 ** 53
const HOUR_US = 3_600_000_000

/** [what was sent before (with the id 1, 2, … where it matters), what is sent, its code]; no code: it is accepted. */
type Row = readonly [before: readonly Said[], said: Said, code: string]

const PLACED: readonly Row[] = [
  [[], order(), 'placed'],
  [[order({ commandId: 1 })], order({ commandId: 1 }), 'repeat of 1: same'],
  [[order({ commandId: 1 })], order({ commandId: 1, contentHash: 8 }), 'repeat of 1: other'],
  [[order({ commandId: 1 })], order({ commandId: 1, memberId: BOB }), 'repeat of 1: other'],
  [[order({ commandId: 1, clientOrderId: 'a' })], order({ clientOrderId: 'a' }), 'repeat of 1: same'],
  [[order({ commandId: 1, clientOrderId: 'a' })], order({ clientOrderId: 'a', contentHash: 8 }), 'repeat of 1: other'],
  [[order({ commandId: 1, clientOrderId: 'a' })], order({ clientOrderId: 'a', memberId: BOB }), 'placed'],
  [[order({ commandId: 1, clientOrderId: 'a', amountLots: 1 })], order({ clientOrderId: 'a' }), 'repeat of 1: same'],
  [[{ type: 'VoidOrder', orderId: 1 }], order({ commandId: 1 }), 'not_accepted'],
  [[{ type: 'AmendOrder', commandId: 1, orderId: 5 }], order({ commandId: 1 }), 'repeat of 1: other'],
  [[], order({ sentAtUs: START_US - 25 * HOUR_US }), 'too_old'],
  [[], order({ sentAtUs: START_US - 23 * HOUR_US }), 'placed'],
  [[], order({ sentAtUs: START_US + 61_000_000, memberId: NOBODY }), 'sent_in_future'],
  [[], order({ sentAtUs: START_US + 59_000_000 }), 'placed'],
  [[], order({ memberId: NOBODY, instrument: 'NO-NO' }), 'member_unknown'],
  [[], order({ memberId: BLOCKED, instrument: 'NO-NO' }), 'member_blocked'],
  [[], order({ memberId: CLOSED, instrument: 'NO-NO' }), 'member_closed'],
  [[], order({ instrument: 'NO-NO', amountLots: 0 }), 'market_unknown'],
  [[], order({ amountLots: 0, priceTicks: 0 }), 'amount_invalid'],
  [[], order({ amountLots: -4 }), 'amount_invalid'],
  [[], order({ amountLots: 4.5 }), 'amount_invalid'],
  [[], order({ amountLots: TWO_TO_53 }), 'amount_invalid'],
  [[], order({ amountLots: '4' }), 'amount_invalid'],
  [[], order({ amountLots: null }), 'amount_invalid'],
  [[], order({ amountLots: 1, priceTicks: 0 }), 'amount_below_minimum'],
  [[], order({ priceTicks: 0 }), 'price_invalid'],
  [[], order({ priceTicks: 2 ** 31 }), 'price_invalid'],
  [[], order({ priceTicks: 1.5 }), 'price_invalid'],
  [[], order({ priceTicks: 2 ** 31 - 1, amountLots: 2 ** 22 + 2 }), 'order_value_too_large'],
  [[], order({ priceTicks: 2 ** 31 - 1, amountLots: 2 ** 22 }), 'insufficient_balance'],
  [[], order({ priceTicks: 25, amountLots: 4 }), 'placed'],
  [[], order({ priceTicks: 25, amountLots: 5 }), 'insufficient_balance'],
  [[], order({ side: 'sell', amountLots: 1000 }), 'placed'],
  [[], order({ side: 'sell', amountLots: 1001 }), 'insufficient_balance'],
  [[order(), order()], order({ amountLots: 1000 }), 'insufficient_balance'],
  [[order(), order()], order(), 'too_many_open_orders'],
  [[order(), order({ commandId: 1 }), { type: 'CancelOrder', orderId: 1 }], order(), 'placed'],
  [[order(), order()], order({ memberId: BOB }), 'placed'],
  [[], order({ ...byQuote, orderType: 'limit', amountLots: 0 }), 'amount_invalid'],
  [[], order({ ...byQuote, quoteTickLots: 0, amountLots: 0 }), 'amount_invalid'],
  [[], order({ ...byQuote, amountLots: 4 }), 'amount_invalid'],
  [[], order({ ...byQuote, amountLots: 0, priceTicks: 0 }), 'price_invalid'],
  [[], order({ ...byQuote, amountLots: 0, quoteTickLots: 101 }), 'insufficient_balance'],
  [[], order({ ...byQuote, amountLots: 0, quoteTickLots: 100 }), 'placed'],
  [[], order({ ...byQuote, side: 'sell', amountLots: 5 }), 'amount_invalid'],
  [[], order({ ...byQuote, side: 'sell', amountLots: 1, quoteTickLots: 9 }), 'amount_below_minimum'],
  [[], order({ ...byQuote, side: 'sell', amountLots: 4 }), 'placed'],
]

const ON_ORDERS: readonly Row[] = [
  [[order({ commandId: 1 })], { type: 'CancelOrder', orderId: 1 }, 'order cancelled'],
  [[order({ clientOrderId: 'a' })], { type: 'CancelOrder', clientOrderId: 'a' }, 'order cancelled'],
  [[], { type: 'CancelOrder', orderId: 1, sentAtUs: START_US - 25 * HOUR_US }, 'too_old'],
  [[], { type: 'CancelOrder', orderId: 1, sentAtUs: START_US + 61_000_000 }, 'sent_in_future'],
  [[], { type: 'CancelOrder', orderId: 1, memberId: NOBODY }, 'member_unknown'],
  [[], { type: 'CancelOrder', orderId: 1, memberId: BLOCKED }, 'order_not_found'],
  [[], { type: 'CancelOrder', orderId: 1, memberId: CLOSED }, 'order_not_found'],
  [[], { type: 'CancelOrder', orderId: 1 }, 'order_not_found'],
  [[], { type: 'CancelOrder' }, 'order_not_found'],
  [[order({ commandId: 1 })], { type: 'CancelOrder', orderId: 1, memberId: BOB }, 'order_not_found'],
  [[order({ commandId: 1, amountLots: 1 })], { type: 'CancelOrder', orderId: 1 }, 'order_not_open'],
  [
    [order({ commandId: 1 }), { type: 'CancelOrder', orderId: 1 }],
    { type: 'CancelOrder', orderId: 1 },
    'order_not_open',
  ],

  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, amountLots: 3 }, 'order amended'],
  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, priceTicks: 6 }, 'order amended'],
  [[], { type: 'AmendOrder', orderId: 1, sentAtUs: START_US - 25 * HOUR_US }, 'too_old'],
  [[], { type: 'AmendOrder', orderId: 1, sentAtUs: START_US + 61_000_000 }, 'sent_in_future'],
  [[], { type: 'AmendOrder', orderId: 1, memberId: NOBODY }, 'member_unknown'],
  [[], { type: 'AmendOrder', orderId: 1, memberId: BLOCKED }, 'member_blocked'],
  [[], { type: 'AmendOrder', orderId: 1, memberId: CLOSED }, 'member_closed'],
  [[], { type: 'AmendOrder', orderId: 1 }, 'order_not_found'],
  [[order({ commandId: 1, amountLots: 1 })], { type: 'AmendOrder', orderId: 1, amountLots: 2 }, 'order_not_open'],
  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, amountLots: 0 }, 'amount_invalid'],
  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, amountLots: 2.5 }, 'amount_invalid'],
  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, amountLots: 1 }, 'amount_below_minimum'],
  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, priceTicks: 0 }, 'price_invalid'],
  [
    [order({ commandId: 1 })],
    { type: 'AmendOrder', orderId: 1, priceTicks: 2 ** 31 - 1, amountLots: 2 ** 22 + 2 },
    'order_value_too_large',
  ],
  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, priceTicks: 26 }, 'insufficient_balance'],
  [[order({ commandId: 1 })], { type: 'AmendOrder', orderId: 1, priceTicks: 25 }, 'order amended'],
  [
    [order({ commandId: 1 }), order({ memberId: BOB, side: 'sell', amountLots: 2 })],
    { type: 'AmendOrder', orderId: 1, amountLots: 2 },
    'amount_not_above_executed',
  ],
  [
    [{ type: 'AmendOrder', commandId: 2, orderId: 1 }],
    { type: 'AmendOrder', commandId: 2, orderId: 1 },
    'repeat of 0: same',
  ],

  [[order({ commandId: 1 }), order({ commandId: 2 })], { type: 'CancelOrders' }, 'cancels 1,2'],
  [[order({ commandId: 1 })], { type: 'CancelOrders', side: 'sell' }, 'cancels '],
  [[order({ commandId: 1 })], { type: 'CancelOrders', side: 'buy', instrument: 'BTC-MILLI' }, 'cancels 1'],
  [[order({ commandId: 1 })], { type: 'CancelOrders', instrument: 'NO-NO' }, 'cancels '],
  [[order({ commandId: 1 })], { type: 'CancelOrders', memberId: BOB }, 'cancels '],
  [[], { type: 'CancelOrders', memberId: CLOSED }, 'cancels '],
  [[], { type: 'CancelOrders', memberId: NOBODY }, 'member_unknown'],
  [[], { type: 'CancelOrders', sentAtUs: START_US - 25 * HOUR_US }, 'too_old'],
  [[{ type: 'CancelOrders', commandId: 2 }], { type: 'CancelOrders', commandId: 2 }, 'repeat of 0: same'],

  [[], { type: 'VoidOrder', orderId: 1 }, 'void: not placed'],
  [[{ type: 'VoidOrder', orderId: 1 }], { type: 'VoidOrder', orderId: 1 }, 'void: not placed'],
  [[order({ commandId: 1 })], { type: 'VoidOrder', orderId: 1 }, 'void: placed'],
  [[order({ commandId: 1, amountLots: 1 })], { type: 'VoidOrder', orderId: 1 }, 'void: placed'],
  [[order({ commandId: 1 })], { type: 'VoidOrder', orderId: 1, memberId: BOB }, 'id_conflict'],
]

const LEDGER: readonly Row[] = [
  [[], deposit(), 'booked'],
  [[deposit()], deposit(), 'booked before'],
  [[deposit()], deposit({ amountMinor: '11' }), 'reference_conflict'],
  [[deposit()], deposit({ asset: 'MILLI' }), 'reference_conflict'],
  [[deposit()], deposit({ memberId: BOB }), 'reference_conflict'],
  [[deposit()], withdraw(), 'reference_conflict'],
  [[deposit({ memberId: NOBODY })], deposit({ amountMinor: '11' }), 'reference_conflict'],
  [[], deposit({ memberId: NOBODY, asset: 'NONE' }), 'member_unknown'],
  [[], deposit({ memberId: BLOCKED }), 'booked'],
  [[], deposit({ memberId: CLOSED }), 'member_closed'],
  [[], deposit({ asset: 'NONE', amountMinor: '0' }), 'asset_unknown'],
  [[], deposit({ amountMinor: '0' }), 'amount_invalid'],
  [[], deposit({ amountMinor: '-5' }), 'amount_invalid'],
  [[], deposit({ amountMinor: '1.5' }), 'amount_invalid'],
  [[], deposit({ amountMinor: '1e9' }), 'amount_invalid'],
  [[], deposit({ amountMinor: '' }), 'amount_invalid'],
  [[], deposit({ amountMinor: String(2n ** 63n - 1n - 4000n) }), 'booked'],
  [[], deposit({ amountMinor: String(2n ** 63n - 4000n) }), 'balance_overflow'],
  [
    [deposit({ amountMinor: String(2n ** 63n - 4000n) })],
    deposit({ amountMinor: String(2n ** 63n - 4000n) }),
    'balance_overflow',
  ],

  [[], withdraw({ amountMinor: '1000' }), 'booked'],
  [[withdraw()], withdraw(), 'booked before'],
  [[withdraw({ amountMinor: '1001' })], withdraw({ amountMinor: '1000' }), 'reference_conflict'],
  [[], withdraw({ memberId: NOBODY }), 'member_unknown'],
  [[], withdraw({ memberId: BLOCKED }), 'member_blocked'],
  [[], withdraw({ memberId: CLOSED }), 'member_closed'],
  [[], withdraw({ asset: 'NONE' }), 'asset_unknown'],
  [[], withdraw({ amountMinor: '00' }), 'amount_invalid'],
  [[], withdraw({ amountMinor: '1001' }), 'insufficient_balance'],
  [[order({ side: 'sell', amountLots: 2 })], withdraw({ amountMinor: '999' }), 'insufficient_balance'],
  [
    [withdraw({ amountMinor: '1001' }), deposit({ reference: 'more' })],
    withdraw({ amountMinor: '1001' }),
    'insufficient_balance',
  ],

  [[], transfer(), 'booked'],
  [[transfer()], transfer(), 'booked before'],
  [[transfer()], transfer({ toMemberId: BLOCKED }), 'reference_conflict'],
  [[], transfer({ memberId: NOBODY }), 'member_unknown'],
  [[], transfer({ memberId: BLOCKED }), 'member_blocked'],
  [[], transfer({ memberId: CLOSED }), 'member_closed'],
  [[], transfer({ asset: 'NONE' }), 'asset_unknown'],
  [[], transfer({ amountMinor: 'x' }), 'amount_invalid'],
  [[], transfer({ amountMinor: '1001' }), 'insufficient_balance'],
  [[], transfer({ toMemberId: NOBODY }), 'member_unknown'],
  [[transfer({ toMemberId: NOBODY })], transfer({ toMemberId: NOBODY }), 'member_unknown'],
  [[], transfer({ toMemberId: CLOSED }), 'member_closed'],
  [[], transfer({ toMemberId: BLOCKED }), 'booked'],
]

const ACCOUNTS: readonly Row[] = [
  [[], { type: 'CreateAccount', memberId: 20 }, 'account'],
  [[], { type: 'CreateAccount', memberId: ANN }, 'account'],
  [[], { type: 'SetAccountStatus', memberId: ANN, status: 'blocked' }, 'account'],
  [[], { type: 'SetAccountStatus', memberId: BLOCKED, status: 'active' }, 'account'],
  [[], { type: 'SetAccountStatus', memberId: CLOSED, status: 'closed' }, 'account'],
  [[], { type: 'SetAccountStatus', memberId: CLOSED, status: 'active' }, 'member_closed'],
  [[], { type: 'SetAccountStatus', memberId: NOBODY, status: 'blocked' }, 'member_unknown'],
]

for (const [title, rows] of Object.entries({ PLACED, ON_ORDERS, LEDGER, ACCOUNTS })) {
  describe(`codes: ${title}`, () => {
    for (const [before, said, code] of rows) {
      it(`${JSON.stringify(said)} after ${before.length}: ${code}`, () => {
        assert.equal(check(before, said), code)
      })
    }
  })
}

describe('an amendment on its way', () => {
  it('keeps others away until it is answered', () => {
    const slot = new OneSlot()
    slot.send(order({ commandId: 1 }))
    slot.sendOnly({ type: 'AmendOrder', orderId: 1, priceTicks: 6 })
    assert.equal(summary(slot.sendOnly({ type: 'AmendOrder', orderId: 1, priceTicks: 7 }).replies), 'amend_pending')
    slot.mesh.run()
    slot.mesh.accountEvents.length = 0
    const { events } = slot.send({ type: 'AmendOrder', orderId: 1, priceTicks: 7 })
    assert.deepEqual(
      events.map(({ type }) => type),
      ['OrderAmendForwarded', 'OrderChanged'],
    )
  })
})

describe('what the edge must not write', () => {
  const items: readonly unknown[] = [
    null,
    7,
    'text',
    [],
    {},
    { type: 'PlaceOrder' },
    { type: 'Unknown', commandId: 1, replyTo: '', memberId: ANN },
    { type: 'OrderOutcome', commandId: 1, replyTo: '', orderId: 1, memberId: ANN, fills: [], consumedMinor: '0' },
    { type: 'TransferSettled', commandId: 1, replyTo: '', memberId: ANN, reference: 'r' },
    { type: 'Deposit', commandId: 1, replyTo: '', memberId: ANN, asset: 'BTC', amountMinor: 5, reference: 'r' },
    { type: 'Deposit', commandId: 1, replyTo: '', memberId: ANN, asset: 'BTC', amountMinor: '5' },
    { type: 'SetAccountStatus', commandId: 1, replyTo: '', memberId: ANN, status: 'king' },
    { type: 'CreateAccount', commandId: 1.5, replyTo: '', memberId: 30 },
    { type: 'CreateAccount', commandId: 1, replyTo: '', memberId: 2 ** 53 },
    { type: 'CancelOrder', commandId: 1, replyTo: '', memberId: ANN, clientOrderId: 'a b' },
  ]
  for (const item of items) {
    it(`${JSON.stringify(item)} changes nothing`, () => {
      const slot = new OneSlot()
      const [machine] = slot.mesh.machines.values()
      assert(machine !== undefined)
      const before = machine.stateHash()
      const { replies, events } = slot.sendRaw(item as object)
      assert.deepEqual({ replies, events }, { replies: [], events: [] })
      assert.equal(machine.stateHash(), before)
    })
  }
})

/** What the last command is answered with, in words. */
function check(before: readonly Said[], said: Said): string {
  const slot = new OneSlot({ openOrdersMax: 2 })
  for (const one of before) slot.send(one)
  const { replies, events } = slot.send(said)
  if (replies.length > 0) return summary(replies)
  // The naive engine answers nobody; what became of it is in the events.
  const [event] = events.filter(({ type }) => type === 'OrderPlaced' || type === 'OrderChanged')
  assert(event !== undefined, 'it was neither refused nor carried out')
  return event.type === 'OrderChanged' ? `order ${event.cause}` : 'placed'
}

type Replies = ReturnType<OneSlot['send']>['replies']

function summary(replies: Replies): string {
  const [reply] = replies
  switch (reply?.kind) {
    case 'rejected':
      return reply.order.reason ?? ''
    case 'refused':
    case 'ledgerRefused':
      return reply.code
    case 'repeat':
      return `repeat of ${reply.orderId}: ${reply.same ? 'same' : 'other'}`
    case 'void':
      return `void: ${reply.placed ? '' : 'not '}placed`
    case 'cancels':
      return `cancels ${reply.orderIds.join()}`
    case 'booked':
      return reply.repeated ? 'booked before' : 'booked'
    default:
      return reply?.kind ?? ''
  }
}
