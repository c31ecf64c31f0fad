import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type CandleLine, INTERVALS, type Interval } from '#mesh/protocol/stats.ts'
import { addTrade, type Candle, gathered, lineOf, startBefore, withoutGaps } from './candles.ts'
import { nextStart, startOf } from './intervals.ts'

interface Traded {
  readonly priceTicks: number
  readonly lots: number
  readonly timeUs: number
}

/** Trades of a market, at times that never go back. */
const trades = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 2 ** 40 }), fc.nat(4_000_000)), {
    minLength: 1,
    maxLength: 80,
  })
  .map((all) => {
    let timeUs = 1_900_000_000_000_000
    return all.map(([priceTicks, lots, pause]): Traded => {
      // Some at once, some days apart.
      timeUs += pause % 7 === 0 ? pause * 100_000 : pause
      return { priceTicks, lots, timeUs }
    })
  })

/** Each interval's trades, looked up one by one. */
function naive(interval: Interval, all: readonly Traded[]): CandleLine[] {
  const starts = [...new Set(all.map(({ timeUs }) => startOf(interval, Math.floor(timeUs / 1e6))))]
  return starts.map((startS) => {
    const here = all.filter(({ timeUs }) => timeUs >= startS * 1e6 && timeUs < nextStart(interval, startS) * 1e6)
    const prices = here.map(({ priceTicks }) => priceTicks)
    const sum = (of: (trade: Traded) => bigint): string =>
      here.reduce((total, trade) => total + of(trade), 0n).toString()
    return [
      startS,
      prices[0] ?? 0,
      Math.max(...prices),
      Math.min(...prices),
      prices.at(-1) ?? 0,
      sum(({ lots }) => BigInt(lots)),
      sum(({ lots, priceTicks }) => BigInt(lots) * BigInt(priceTicks)),
      here.length,
    ]
  })
}

const secondsOf = (all: readonly Traded[]): Candle[] => {
  const seconds: Candle[] = []
  for (const trade of all) addTrade(seconds, trade)
  return seconds
}

describe('candles', () => {
  for (const interval of INTERVALS) {
    it(`of ${interval} are what their trades say, also when they are made of shorter ones`, () => {
      fc.assert(
        fc.property(trades, (all) => {
          const expected = naive(interval, all)
          assert.deepEqual(gathered(interval, secondsOf(all)).map(lineOf), expected)
          // A minute is a part of every longer one.
          if (interval === '1s') return
          assert.deepEqual(gathered(interval, gathered('1m', secondsOf(all))).map(lineOf), expected)
        }),
        { numRuns: 40 },
      )
    })
  }

  const candle = (startS: number, closeTicks: number): CandleLine => [startS, 1, 9, 1, closeTicks, '5', '25', 2]
  const empty = (startS: number, ticks: number): CandleLine => [startS, ticks, ticks, ticks, ticks, '0', '0', 0]
  const rows: [
    what: string,
    candles: CandleLine[],
    before: number | undefined,
    from: number,
    to: number,
    limit: number,
    expected: CandleLine[],
  ][] = [
    [
      'between two',
      [candle(60, 3), candle(240, 4)],
      undefined,
      60,
      300,
      9,
      [candle(60, 3), empty(120, 3), empty(180, 3), candle(240, 4)],
    ],
    [
      'before the first, at the price of the last one before',
      [candle(120, 3)],
      7,
      0,
      180,
      9,
      [empty(0, 7), empty(60, 7), candle(120, 3)],
    ],
    ['none before a market was ever traded', [candle(120, 3)], undefined, 0, 180, 9, [candle(120, 3)]],
    ['after the last', [candle(0, 3)], undefined, 0, 150, 9, [candle(0, 3), empty(60, 3), empty(120, 3)]],
    ['no more than are wanted', [candle(0, 3)], undefined, 0, 6_000, 2, [candle(0, 3), empty(60, 3)]],
    ['none where nothing was ever traded', [], undefined, 0, 600, 9, []],
    ['from the first that begins in the period', [candle(120, 3)], 7, 61, 180, 9, [candle(120, 3)]],
  ]
  describe('without gaps have those in which nothing was traded', () => {
    for (const [what, candles, closeTicksBefore, fromS, toS, limit, expected] of rows) {
      it(what, () => {
        assert.deepEqual(withoutGaps(candles, { interval: '1m', closeTicksBefore, fromS, toS, limit }), expected)
      })
    }
  })

  it('so many before a second', () => {
    const months = startBefore('1M', Date.parse('2028-03-15T00:00:00Z') / 1000, 13)
    assert.equal(months, Date.parse('2027-02-01T00:00:00Z') / 1000)
    assert.equal(startBefore('1w', 3 * 86_400, 5), -3 * 86_400)
  })
})
