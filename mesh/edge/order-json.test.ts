import assert from 'node:assert/strict'
import type { OrderState } from '#mesh/protocol/common.ts'
import { marketOf } from './market.ts'
import { ackJson, orderJson, sequenceOf, tradeJson } from './order-json.ts'

const MARKET = marketOf(
  {
    instrument: 'BTC-USDT',
    base: 'BTC',
    quote: 'USDT',
    tick: '0.05',
    lot: '0.001',
    baseMinorPerLot: '100000',
    quoteMinorPerTickLot: '50',
    amountLotsMin: 1,
    makerFeePpm: 1000,
    takerFeePpm: 2000,
    slippagePpm: 50_000,
    marketSlot: 0,
    status: 'trading',
  },
  { asset: 'BTC', scale: 8 },
  { asset: 'USDT', scale: 6 },
)

const ORDER: OrderState = {
  orderId: 9007199254740991,
  memberId: 7,
  clientOrderId: 'mine-1',
  instrument: 'BTC-USDT',
  side: 'buy',
  orderType: 'limit',
  priceTicks: 2001,
  amountLots: 1500,
  executedLots: 7,
  executedQuoteMinor: '700000',
  feeMinor: '1400',
  status: 'partially_filled',
  createdAtUs: 1_700_000_000_123_456,
  receivedAtUs: 1_700_000_000_223_456,
  updatedAtUs: 1_700_000_001_000_001,
}

describe('an order as it goes out', () => {
  it('has decimals and ids as strings, and times with microseconds', () => {
    const fill = {
      tradeId: 3,
      priceTicks: 2000,
      lots: 7,
      quoteMinor: '700000',
      feeMinor: '1400',
      liquidity: 'taker',
    } as const
    assert.deepEqual(JSON.parse(orderJson(ORDER, MARKET, '41', [fill])), {
      id: '9007199254740991',
      clientOrderId: 'mine-1',
      instrument: 'BTC-USDT',
      side: 'buy',
      type: 'limit',
      price: '100.05',
      worstPrice: null,
      amount: '1.5',
      quoteAmount: null,
      executedAmount: '0.007',
      executedQuoteAmount: '0.7',
      remainingAmount: '1.493',
      averagePrice: '100',
      fee: '0.000014',
      feeAsset: 'BTC',
      status: 'partially_filled',
      reason: null,
      createdAt: '2023-11-14T22:13:20.123456Z',
      receivedAt: '2023-11-14T22:13:20.223456Z',
      updatedAt: '2023-11-14T22:13:21.000001Z',
      sequence: '41',
      fills: [
        {
          tradeId: '3',
          price: '100',
          amount: '0.007',
          quoteAmount: '0.7',
          fee: '0.000014',
          feeAsset: 'BTC',
          liquidity: 'taker',
        },
      ],
    })
  })

  it('leaves the fills out where they were not asked for', () => {
    assert.equal('fills' in JSON.parse(orderJson(ORDER, MARKET, '41')), false)
  })

  it('has null where there is nothing', () => {
    const { clientOrderId: _, ...rest } = ORDER
    const order = {
      ...rest,
      executedLots: 0,
      executedQuoteMinor: '0',
      feeMinor: '0',
      receivedAtUs: 0,
      status: 'new',
    } as const
    const json = JSON.parse(orderJson(order, MARKET, '41', []))
    assert.equal(json.clientOrderId, null)
    assert.equal(json.averagePrice, null)
    assert.equal(json.receivedAt, null)
    assert.equal(json.executedAmount, '0')
    assert.deepEqual(json.fills, [])
  })

  it('shows a market order by quote total', () => {
    const order = { ...ORDER, side: 'sell', orderType: 'market', amountLots: 9, quoteTickLots: 20_010 } as const
    const json = JSON.parse(orderJson({ ...order, status: 'closed', reason: 'worst_price' }, MARKET, '41'))
    assert.equal(json.price, null)
    assert.equal(json.worstPrice, '100.05')
    assert.equal(json.amount, null)
    assert.equal(json.remainingAmount, null)
    assert.equal(json.quoteAmount, '1.0005')
    assert.equal(json.feeAsset, 'USDT')
    assert.equal(json.fee, '0.0014')
    assert.equal(json.reason, 'worst_price')
  })

  it('rounds the average price down', () => {
    // 1 lot at 100.05 and 2 at 100: 300.05 / 3
    const json = JSON.parse(orderJson({ ...ORDER, executedLots: 3, executedQuoteMinor: '300050' }, MARKET, '41'))
    assert.equal(json.averagePrice, '100.0166666666')
  })

  it('acknowledges', () => {
    assert.deepEqual(JSON.parse(ackJson(ORDER, '41')), {
      id: '9007199254740991',
      clientOrderId: 'mine-1',
      status: 'partially_filled',
      sequence: '41',
    })
  })

  it('shows a trade', () => {
    const trade = {
      tradeId: 3,
      priceTicks: 2001,
      lots: 7,
      quoteMinor: '700350',
      feeMinor: '701',
      liquidity: 'maker',
      orderId: 12,
      instrument: 'BTC-USDT',
      side: 'sell',
      timeUs: 1_700_000_000_000_000,
    } as const
    assert.deepEqual(JSON.parse(tradeJson(trade, MARKET)), {
      tradeId: '3',
      price: '100.05',
      amount: '0.007',
      quoteAmount: '0.70035',
      fee: '0.000701',
      feeAsset: 'USDT',
      liquidity: 'maker',
      orderId: '12',
      instrument: 'BTC-USDT',
      side: 'sell',
      time: '2023-11-14T22:13:20.000000Z',
    })
  })

  it('tells the sequence of a position', () => {
    assert.equal(sequenceOf('41-3-0'), '41')
    assert.equal(sequenceOf('41'), '41')
  })
})
