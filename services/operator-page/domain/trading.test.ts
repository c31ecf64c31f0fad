import assert from 'node:assert/strict'
import { noMemory, type Totals, tradingOf } from './trading.ts'

const totals = (orders: number, fills: number): Totals => ({
  query: 'totals',
  assets: [],
  markets: [
    {
      instrument: 'BTC-USDT',
      ordersCount: orders,
      rejectedCount: 0,
      fillsCount: fills,
      executedLots: '0',
      executedQuoteMinor: '0',
    },
  ],
})

describe('orders and trades a second', () => {
  it('are what came since the look before; a trade has two fills', () => {
    const first = tradingOf(totals(100, 40), noMemory, 1_000)
    assert.equal(first.trading.ordersPerSecond, null)
    assert.deepEqual(first.trading.markets, [{ instrument: 'BTC-USDT', orders: 100, trades: 20 }])
    const second = tradingOf(totals(300, 60), first.memory, 3_000)
    assert.deepEqual([second.trading.ordersPerSecond, second.trading.tradesPerSecond], [100, 5])
    assert.deepEqual(second.trading.history, [[3_000, 100]])
  })

  it('are not known after a pause in which nobody looked, nor below zero when MySQL is written anew', () => {
    const first = tradingOf(totals(100, 40), noMemory, 1_000)
    assert.equal(tradingOf(totals(900, 40), first.memory, 60_000).trading.ordersPerSecond, null)
    assert.equal(tradingOf(totals(5, 0), first.memory, 2_000).trading.ordersPerSecond, 0)
  })

  it('are remembered for five minutes', () => {
    let memory = noMemory
    for (let second = 0; second <= 400; second++) memory = tradingOf(totals(second, 0), memory, second * 1_000).memory
    assert.deepEqual([memory.history[0]?.[0], memory.history.at(-1)?.[0]], [100_000, 400_000])
  })
})
