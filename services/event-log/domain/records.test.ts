import assert from 'node:assert/strict'
import { marketOf } from '#mesh/edge/market.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { OrderState } from '#mesh/protocol/common.ts'
import type { DefinitionEvent, MarketDefinition } from '#mesh/protocol/definitions.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { readBlocks } from '../../../test/support/kafka.ts'
import { accountEvent } from './account-events.ts'
import { definitionEvent } from './definition-events.ts'
import { marketEvent } from './market-events.ts'
import { EventRecords, NotDefinedYet, type Scales } from './records.ts'

const assets = new Map([
  ['BTC', { asset: 'BTC', scale: 8 }],
  ['USDT', { asset: 'USDT', scale: 6 }],
])
const definition: MarketDefinition = {
  instrument: 'BTC-USDT',
  base: 'BTC',
  quote: 'USDT',
  tick: '0.01',
  lot: '0.001',
  baseMinorPerLot: '100000',
  quoteMinorPerTickLot: '10',
  amountLotsMin: 1,
  makerFeePpm: 1_000,
  takerFeePpm: 2_000,
  slippagePpm: 50_000,
  marketSlot: 0,
  status: 'trading',
}
const [base, quote] = [assets.get('BTC'), assets.get('USDT')]
assert(base && quote)
const market = marketOf(definition, base, quote)
const scales: Scales = {
  market: (instrument) => (instrument === 'BTC-USDT' ? market : undefined),
  asset: (asset) => assets.get(asset),
}

const order: OrderState = {
  orderId: 7,
  memberId: 17,
  clientOrderId: 'mine',
  instrument: 'BTC-USDT',
  side: 'buy',
  orderType: 'limit',
  priceTicks: 6_000_000,
  amountLots: 100,
  executedLots: 0,
  executedQuoteMinor: '0',
  feeMinor: '0',
  status: 'new',
  createdAtUs: 1_000_000,
  receivedAtUs: 0,
  updatedAtUs: 1_000_000,
}
const fill = { tradeId: 3, priceTicks: 6_000_000, lots: 100, quoteMinor: '6000000000', feeMinor: '20000' } as const

type Event = AccountEvent | MarketEvent | DefinitionEvent
/** Each record as its topic's word, its key, and what its value says beyond the place and time that all have. */
type Said = readonly [topic: string, key: string, members: Record<string, unknown>]

function recordsOf(event: Event, write: (event: never, scales: Scales) => ReturnType<typeof accountEvent>): Said[] {
  const batch = new EventRecords<Event>(2, (one) => write(one as never, scales))
  const header = { inFrom: [5, 0], inTo: [5, 0], complete: true, hash: 1, timeUs: 2_000_000, version: 1 } as const
  batch.add({ header, events: [{ ...event, position: [5, 1, 2] }] })
  return [...batch.records()].flatMap(([topic, records]) =>
    readBlocks(records).map(({ key, value }): Said => {
      const { version, slot, position, time, type, ...members } = JSON.parse(value)
      assert.deepEqual([version, slot, position, time], [1, 2, '5-1-2', '1970-01-01T00:00:02.000000Z'])
      return [`${topic.split('.')[1]} ${type}`, key, members]
    }),
  )
}

describe('the records of the event log', () => {
  it('tell an order, and its balances beside it', () => {
    const balances = [['USDT', '1500000', '6000000000']] as const
    const [placed, changed] = recordsOf({ type: 'OrderPlaced', order, balances }, accountEvent)
    assert(placed)
    const { id, price, amount, status } = placed[2].order as Record<string, unknown>
    assert.deepEqual(
      [placed[0], placed[1], id, price, amount, status],
      ['orders OrderPlaced', '17', '7', '60000', '0.1', 'new'],
    )
    assert.deepEqual(changed, [
      'balances BalancesChanged',
      '17',
      {
        memberId: '17',
        cause: 'reserved',
        orderId: '7',
        reference: null,
        asset: null,
        amount: null,
        balances: [{ asset: 'USDT', available: '1.5', held: '6000' }],
      },
    ])
  })

  it('tell the fills of a change', () => {
    const executed = { ...order, executedLots: 100, status: 'executed' } as const
    const fills = [{ ...fill, liquidity: 'taker' }] as const
    const event = { type: 'OrderChanged', cause: 'placed', commandId: 7, order: executed, fills, balances: [] } as const
    const [only, ...more] = recordsOf(event, accountEvent)
    assert(only)
    assert.equal(more.length, 0)
    assert.deepEqual((only[2].order as { fills: unknown }).fills, [
      {
        tradeId: '3',
        price: '60000',
        amount: '0.1',
        quoteAmount: '6000',
        fee: '0.0002',
        feeAsset: 'BTC',
        liquidity: 'taker',
      },
    ])
  })

  const asked = { origin: 'kafka', requestId: 'r-1' } as const
  const cases: [what: string, event: AccountEvent, said: Said[]][] = [
    [
      'an order for a market that there is not, whatever its name holds',
      { type: 'OrderRejected', order: { ...order, instrument: '"}', status: 'rejected', reason: 'market_unknown' } },
      [
        [
          'orders OrderRejected',
          '17',
          {
            memberId: '17',
            order: {
              id: '7',
              clientOrderId: 'mine',
              instrument: '"}',
              side: 'buy',
              status: 'rejected',
              reason: 'market_unknown',
            },
          },
        ],
      ],
    ],
    [
      'a refused cancel',
      {
        type: 'OrderCommandRefused',
        cause: 'cancelled',
        memberId: 17,
        orderId: 7,
        commandId: 9,
        code: 'order_not_open',
        balances: [],
        ...asked,
      },
      [
        [
          'orders OrderCommandRefused',
          '17',
          { memberId: '17', cause: 'cancelled', commandId: '9', ...asked, orderId: '7', code: 'order_not_open' },
        ],
      ],
    ],
    [
      'a repeat through a broker',
      { type: 'RequestAnswered', cause: 'placed', memberId: 17, orderId: 7, commandId: 9, ...asked },
      [
        [
          'orders RequestAnswered',
          '17',
          { memberId: '17', cause: 'placed', commandId: '9', ...asked, orderId: '7', code: null },
        ],
      ],
    ],
    [
      'a voided id',
      { type: 'OrderVoided', memberId: 17, orderId: 7 },
      [['orders OrderVoided', '17', { memberId: '17', orderId: '7' }]],
    ],
    [
      'a withdrawal, whatever its reference holds',
      {
        type: 'BalanceChanged',
        memberId: 17,
        cause: 'withdrawal',
        reference: 'a "b" \\ c',
        asset: 'USDT',
        amountMinor: '-2500000',
        balances: [['USDT', '0', '0']],
      },
      [
        [
          'balances BalancesChanged',
          '17',
          {
            memberId: '17',
            cause: 'withdrawal',
            orderId: null,
            reference: 'a "b" \\ c',
            asset: 'USDT',
            amount: '-2.5',
            balances: [{ asset: 'USDT', available: '0', held: '0' }],
          },
        ],
      ],
    ],
    ['a new account', { type: 'AccountCreated', memberId: 17 }, [['members AccountCreated', '17', { memberId: '17' }]]],
    [
      'a blocked account',
      { type: 'AccountStatusChanged', memberId: 17, status: 'blocked' },
      [['members AccountStatusChanged', '17', { memberId: '17', status: 'blocked' }]],
    ],
    [
      'a discount on fees',
      { type: 'FeeDiscountChanged', memberId: 17, day: 20_000, discountPpm: 250_000 },
      [['members FeeDiscountChanged', '17', { memberId: '17', discountPpm: 250_000 }]],
    ],
    [
      'a refused deposit',
      { type: 'LedgerCommandRefused', memberId: 17, commandId: 9, reference: 'r', code: 'balance_overflow' },
      [
        [
          'members LedgerCommandRefused',
          '17',
          { memberId: '17', commandId: '9', reference: 'r', code: 'balance_overflow' },
        ],
      ],
    ],
  ]
  for (const [what, event, said] of cases)
    it(`tell ${what}`, () => assert.deepEqual(recordsOf(event, accountEvent), said))

  it('tell what happens on a market', () => {
    const instrument = 'BTC-USDT'
    const deal = {
      type: 'Traded',
      instrument,
      tradeId: 3,
      priceTicks: 6_000_001,
      lots: 5,
      takerSide: 'sell',
      timeUs: 1,
    } as const
    const book = {
      type: 'BookChanged',
      instrument,
      sequence: 4,
      bids: [[6_000_000, 0]],
      asks: [[6_000_100, 7]],
    } as const
    assert.deepEqual(
      [deal, book].flatMap((event) => recordsOf(event, marketEvent)),
      [
        [
          'deals Traded',
          instrument,
          {
            instrument,
            tradeId: '3',
            price: '60000.01',
            amount: '0.005',
            takerSide: 'sell',
            tradedAt: '1970-01-01T00:00:00.000001Z',
          },
        ],
        [
          'books BookChanged',
          instrument,
          { instrument, sequence: '4', bids: [['60000', '0']], asks: [['60001', '0.007']] },
        ],
      ],
    )
  })

  it('tell definitions', () => {
    assert.deepEqual(recordsOf({ type: 'AssetDefined', asset: { asset: 'BTC', scale: 8 } }, definitionEvent), [
      ['definitions AssetDefined', 'BTC', { asset: 'BTC', scale: 8 }],
    ])
  })

  it('wait for a market that is not known yet', () => {
    const early = { ...order, instrument: 'ETH-USDT' }
    assert.throws(() => recordsOf({ type: 'OrderPlaced', order: early, balances: [] }, accountEvent), NotDefinedYet)
  })
})
