import assert from 'node:assert/strict'
import fc from 'fast-check'
import { candleOf, gathered } from './candles.ts'
import { Ticker } from './ticker.ts'

const MINUTE_US = 60_000_000
const DAY = 24 * 60
const trade = (priceTicks: number, lots: number, minute: number) => ({ priceTicks, lots, timeUs: minute * MINUTE_US })

describe('the 24 h ticker', () => {
  it('has nothing before the first trade, and keeps the last price after the last', () => {
    const ticker = new Ticker()
    const empty = { openTicks: null, highTicks: null, lowTicks: null, lots: '0', tickLots: '0', tradesCount: 0 }
    assert.deepEqual(ticker.at(0, 0), { tradeId: 0, timeUs: 0, lastTicks: null, ...empty })
    ticker.add(candleOf(trade(7, 2, 5)))
    const nowUs = (5 + DAY) * MINUTE_US
    assert.deepEqual(ticker.at(nowUs, 1), { tradeId: 1, timeUs: nowUs, lastTicks: 7, ...empty })
    assert.equal(Ticker.restore([], 7).at(nowUs, 1).lastTicks, 7)
  })

  it('is what the trades of the last 1440 minutes say', () => {
    const trades = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 9 }), fc.nat(300)), {
      minLength: 1,
      maxLength: 60,
    })
    fc.assert(
      fc.property(trades, fc.nat(2_000), (all, later) => {
        const ticker = new Ticker()
        let minute = 0
        const taken = all.map(([price, lots, pause]) => {
          minute += pause
          const one = trade(price, lots, minute)
          ticker.add(candleOf(one))
          // Asked in between, which must change nothing.
          if (price % 2 === 0) ticker.at(minute * MINUTE_US, 0)
          return { ...one, minute }
        })
        const now = minute + later
        const restored = Ticker.restore(gathered('1m', taken.map(candleOf)), taken.at(-1)?.priceTicks)
        const recent = taken.filter((one) => one.minute > now - DAY)
        const prices = recent.map(({ priceTicks }) => priceTicks)
        for (const subject of [ticker, restored]) {
          assert.deepEqual(subject.at(now * MINUTE_US, taken.length), {
            tradeId: taken.length,
            timeUs: now * MINUTE_US,
            openTicks: prices[0] ?? null,
            highTicks: prices.length === 0 ? null : Math.max(...prices),
            lowTicks: prices.length === 0 ? null : Math.min(...prices),
            lastTicks: taken.at(-1)?.priceTicks,
            lots: String(recent.reduce((sum, { lots }) => sum + lots, 0)),
            tickLots: String(recent.reduce((sum, { lots, priceTicks }) => sum + lots * priceTicks, 0)),
            tradesCount: recent.length,
          })
        }
      }),
    )
  })
})
