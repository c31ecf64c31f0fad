import assert from 'node:assert/strict'
import type { Frame } from '#mesh/frames.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { OrderState } from '#mesh/protocol/common.ts'
import { eventsOf, isLast, memberOf, stepOf } from './way.ts'

const ORDER: OrderState = {
  orderId: 77,
  memberId: 5,
  instrument: 'BTC-USDT',
  side: 'buy',
  orderType: 'limit',
  priceTicks: 100,
  amountLots: 10,
  executedLots: 0,
  executedQuoteMinor: '0',
  feeMinor: '0',
  status: 'new',
  createdAtUs: 1,
  receivedAtUs: 2,
  updatedAtUs: 3,
}
const FILL = { tradeId: 1, priceTicks: 100, lots: 10, quoteMinor: '1', feeMinor: '0', liquidity: 'maker' } as const
const PLACE = { subject: 'events.accounts.1', sequence: 40, timeUs: 1_000 }

const frameOf = (...events: AccountEvent[]): Frame<AccountEvent> => ({
  header: { inFrom: [9, 0], inTo: [9, 1], complete: true, hash: 1, timeUs: 1, version: 1 },
  events: events.map((event, index) => ({ ...event, position: [9, 0, index] as const })),
})
const placed: AccountEvent = { type: 'OrderPlaced', order: ORDER, balances: [] }
const changed = (order: Partial<OrderState>, fills: number): AccountEvent => ({
  type: 'OrderChanged',
  cause: 'matched',
  commandId: 1,
  order: { ...ORDER, ...order },
  fills: Array.from({ length: fills }, () => FILL),
  balances: [],
})

describe('the way of an order', () => {
  it('is told by its own events alone, with their positions', () => {
    const others = changed({ orderId: 78 }, 1)
    const created: AccountEvent = { type: 'AccountCreated', memberId: 77 }
    const voided: AccountEvent = { type: 'OrderVoided', memberId: 5, orderId: 77 }
    const found = eventsOf(frameOf(created, placed, others, voided), 77, PLACE)
    assert.deepEqual(
      found.map(({ event, position }) => [event.type, ...position]),
      [
        ['OrderPlaced', 9, 0, 1],
        ['OrderVoided', 9, 0, 3],
      ],
    )
    assert.deepEqual(
      found.map(({ event }) => memberOf(event)),
      [5, 5],
    )
  })

  const refused = { type: 'OrderCommandRefused', memberId: 5, orderId: 77, commandId: 1, balances: [] } as const
  const rows: [event: AccountEvent, words: string, isLast: boolean][] = [
    [placed, 'Funds are held, and the order is on its way to the market', false],
    [
      changed({ status: 'partially_filled' }, 2),
      'Booked: another order met it, 2 fills; it is partially filled',
      false,
    ],
    [changed({ status: 'executed' }, 1), 'Booked: another order met it, 1 fill; it is executed', true],
    [
      changed({ status: 'closed', reason: 'no_liquidity' }, 0),
      'Booked: another order met it; it is closed (no_liquidity)',
      true,
    ],
    [
      { type: 'OrderRejected', order: { ...ORDER, status: 'rejected', reason: 'insufficient_balance' } },
      'Refused by the account: insufficient_balance',
      true,
    ],
    [{ ...refused, cause: 'cancelled', code: 'order_not_open' }, 'The cancel was refused: order_not_open', false],
    [{ type: 'OrderVoided', memberId: 5, orderId: 77 }, 'Voided: the order was not accepted, and never will be', true],
  ]
  for (const [event, words, last] of rows) {
    it(`says "${words}"`, () => {
      const [found] = eventsOf(frameOf(event), 77, PLACE)
      assert(found !== undefined)
      const { words: said, position, sequence, atUs } = stepOf(found)
      assert.deepEqual([said, position, sequence, atUs], [words, '9-0-0', 40, 1_000])
      assert.equal(isLast(event), last)
    })
  }
})
