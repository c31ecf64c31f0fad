import assert from 'node:assert/strict'
import { createRecentTrades, TRADES_MAX } from './recent-trades.ts'

const trade = (tradeId: number) => ({
  tradeId,
  priceTicks: 2 ** 31 - tradeId,
  lots: 2 ** 53 - tradeId,
  takerSide: tradeId % 3 === 0 ? ('buy' as const) : ('sell' as const),
  timeUs: 1_700_000_000_000_000 + tradeId,
})

function having(first: number, last: number) {
  const trades = createRecentTrades()
  for (let tradeId = first; tradeId <= last; tradeId++) {
    trades.observe({ type: 'Traded', instrument: 'A-B', ...trade(tradeId) })
  }
  return trades
}

const downFrom = (last: number, count: number) => Array.from({ length: count }, (_, back) => trade(last - back))

describe('recent trades', () => {
  it('are those that there were, newest first', () => {
    for (const count of [1, 2, 16, 17, 100]) {
      assert.deepEqual(having(1, count).newest('A-B', TRADES_MAX), downFrom(count, count))
    }
  })

  it('are no more than are kept, or wanted', () => {
    const trades = having(1, 3 * TRADES_MAX + 5)
    assert.deepEqual(trades.newest('A-B', 5_000), downFrom(3 * TRADES_MAX + 5, TRADES_MAX))
    assert.deepEqual(trades.newest('A-B', 3), downFrom(3 * TRADES_MAX + 5, 3))
  })

  it('may begin at any trade', () => {
    assert.deepEqual(having(4_321, 4_330).newest('A-B', TRADES_MAX), downFrom(4_330, 10))
  })

  it('are of one market', () => {
    const trades = having(1, 3)
    trades.observe({ type: 'Traded', instrument: 'C-D', ...trade(1) })
    trades.observe({ type: 'MarketOpened', instrument: 'E-F' })
    assert.deepEqual(trades.newest('C-D', 10), [trade(1)])
    assert.deepEqual(trades.newest('A-B', 10), downFrom(3, 3))
    assert.deepEqual(trades.newest('E-F', 10), [])
  })
})
