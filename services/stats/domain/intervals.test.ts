import assert from 'node:assert/strict'
import fc from 'fast-check'
import { INTERVALS, type Interval } from '#mesh/protocol/stats.ts'
import { nextStart, startOf } from './intervals.ts'

const second = (text: string): number => Date.parse(text) / 1000
const text = (startS: number): string => new Date(startS * 1000).toISOString().slice(0, 19)

describe('the intervals of candles', () => {
  const at = '2028-03-01T13:47:59Z'
  const rows: [interval: Interval, start: string, next: string][] = [
    ['1s', '2028-03-01T13:47:59', '2028-03-01T13:48:00'],
    ['1m', '2028-03-01T13:47:00', '2028-03-01T13:48:00'],
    ['3m', '2028-03-01T13:45:00', '2028-03-01T13:48:00'],
    ['5m', '2028-03-01T13:45:00', '2028-03-01T13:50:00'],
    ['15m', '2028-03-01T13:45:00', '2028-03-01T14:00:00'],
    ['30m', '2028-03-01T13:30:00', '2028-03-01T14:00:00'],
    ['1h', '2028-03-01T13:00:00', '2028-03-01T14:00:00'],
    ['2h', '2028-03-01T12:00:00', '2028-03-01T14:00:00'],
    ['4h', '2028-03-01T12:00:00', '2028-03-01T16:00:00'],
    ['6h', '2028-03-01T12:00:00', '2028-03-01T18:00:00'],
    ['12h', '2028-03-01T12:00:00', '2028-03-02T00:00:00'],
    ['1d', '2028-03-01T00:00:00', '2028-03-02T00:00:00'],
    ['3d', '2028-02-29T00:00:00', '2028-03-03T00:00:00'],
    ['1w', '2028-02-28T00:00:00', '2028-03-06T00:00:00'],
    ['1M', '2028-03-01T00:00:00', '2028-04-01T00:00:00'],
  ]
  for (const [interval, start, next] of rows) {
    it(`${interval}`, () => {
      const startS = startOf(interval, second(at))
      assert.deepEqual([text(startS), text(nextStart(interval, startS))], [start, next])
    })
  }
  it('are all of those that there are', () => {
    assert.deepEqual(
      rows.map(([interval]) => interval),
      INTERVALS,
    )
  })

  const seconds = fc.integer({ min: 0, max: second('2400-01-01T00:00:00Z') })

  it('begin at or before each of their seconds, and the next one begins after it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...INTERVALS), seconds, (interval, now) => {
        const startS = startOf(interval, now)
        const nextS = nextStart(interval, startS)
        assert(startS <= now && now < nextS)
        assert.deepEqual(
          [startS, startS, nextS],
          [startOf(interval, startS), startOf(interval, nextS - 1), startOf(interval, nextS)],
        )
      }),
    )
  })

  it('months and weeks are those of the calendar', () => {
    fc.assert(
      fc.property(seconds, (now) => {
        const date = new Date(now * 1000)
        const day = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) / 1000
        assert.equal(startOf('1w', now), day - ((date.getUTCDay() + 6) % 7) * 86_400)
        const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
        assert.equal(startOf('1M', now), Date.UTC(year, month, 1) / 1000)
        assert.equal(nextStart('1M', Date.UTC(year, month, 1) / 1000), Date.UTC(year, month + 1, 1) / 1000)
      }),
      { examples: [[0], [second('2000-02-29T23:59:59Z')], [second('2100-02-28T12:00:00Z')]] },
    )
  })
})
