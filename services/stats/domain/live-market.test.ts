import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { PublicTrade } from '#mesh/protocol/push.ts'
import { type CandleNews, type CandlesPush, INTERVALS } from '#mesh/protocol/stats.ts'
import { addTrade, type Candle, gathered, lineOf } from './candles.ts'
import { nextStart } from './intervals.ts'
import { LiveMarket } from './live-market.ts'

const START_S = 1_900_000_000
const trade = (tradeId: number, afterS: number, priceTicks = 5, lots = 2): PublicTrade => ({
  tradeId,
  priceTicks,
  lots,
  takerSide: 'buy',
  timeUs: (START_S + afterS) * 1_000_000,
})
const of = (news: CandlesPush | undefined, interval: string): CandleNews[] =>
  (news?.candles ?? []).filter(([index]) => INTERVALS[index] === interval)

describe("a market's candles as they are told", () => {
  it('tells what is new once, and what ended', () => {
    const market = new LiveMarket()
    assert.equal(market.news(START_S), undefined)
    market.take(trade(1, 0))
    market.take(trade(2, 0, 7))
    const first = market.news(START_S)
    assert.equal(first?.number, 1)
    assert.deepEqual(
      first?.candles.map(([index]) => index),
      INTERVALS.map((_, index) => index),
    )
    assert.deepEqual(of(first, '1s'), [[0, [START_S, 5, 7, 5, 7, '4', '24', 2], 0]])
    assert.equal(market.news(START_S), undefined)
    const second = market.news(START_S + 1)
    assert.deepEqual(second?.candles, [[0, [START_S, 5, 7, 5, 7, '4', '24', 2], 1]])
    assert.equal(market.news(START_S + 1), undefined)
  })

  it('tells a closed candle again that a trade reaches late', () => {
    const market = new LiveMarket()
    market.take(trade(1, 0))
    market.news(START_S + 2)
    market.take(trade(2, 0))
    assert.deepEqual(of(market.news(START_S + 2), '1s'), [[0, [START_S, 5, 5, 5, 5, '4', '20', 2], 1]])
  })

  it('passes over what it has, and refuses a gap', () => {
    const market = new LiveMarket()
    market.take(trade(1, 0))
    market.take(trade(1, 0))
    assert.equal(market.ticker(START_S * 1_000_000).tradesCount, 1)
    assert.throws(() => market.take(trade(3, 0)), /without a gap/)
  })

  const steps = fc.array(fc.tuple(fc.constantFrom(0, 0, 1, 2, 59, 3_600, 90_000), fc.integer({ min: 1, max: 9 })), {
    minLength: 1,
    maxLength: 40,
  })

  it('leaves whoever heard everything, or came later, with what the trades say; wherever it was begun', () => {
    fc.assert(
      fc.property(steps, fc.nat(40), (all, begun) => {
        let market = new LiveMarket()
        const seconds: Candle[] = []
        const heard = INTERVALS.map(() => new Map<number, CandleNews>())
        const hear = (news: CandlesPush | undefined): void => {
          for (const one of news?.candles ?? []) heard[one[0]]?.set(one[1][0], one)
        }
        let afterS = 0
        for (const [index, [pauseS, priceTicks]] of all.entries()) {
          afterS += pauseS
          const one = trade(index + 1, afterS, priceTicks)
          market.take(one)
          addTrade(seconds, one)
          hear(market.news(START_S + afterS))
          if (index === begun) market = restarted(market, seconds, priceTicks)
        }
        const endS = START_S + afterS + 40 * 86_400
        hear(market.news(endS))
        for (const [index, interval] of INTERVALS.entries()) {
          const expected = gathered(interval, seconds).map(lineOf)
          const told = [...(heard[index]?.values() ?? [])].map(([, candle]) => candle)
          assert.deepEqual(told, expected, interval)
          const isAllClosed = [...(heard[index]?.values() ?? [])].every(
            ([, [startS], closed]) => closed === 1 || nextStart(interval, startS) > endS,
          )
          assert(isAllClosed, `${interval}: all are closed in the end`)
          const known = market.known().candles.filter(([of]) => of === index)
          assert.deepEqual(known.at(-1)?.[1], expected.at(-1))
        }
      }),
      { numRuns: 60 },
    )
  })

  /** As another instance begins with what is stored. */
  function restarted(market: LiveMarket, seconds: readonly Candle[], lastTicks: number): LiveMarket {
    const latest = INTERVALS.map((interval) => {
      const all = gathered(interval, seconds)
      return [all.at(-1), all.at(-2)] as const
    })
    const before = market.ticker((START_S + 1) * 1_000_000)
    const again = new LiveMarket({ tradeId: market.tradeId, lastTicks, minutes: gathered('1m', seconds), latest })
    assert.equal(again.ticker((START_S + 1) * 1_000_000).lastTicks, before.lastTicks)
    return again
  }
})
