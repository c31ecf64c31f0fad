import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatTime, parseTime } from './time.ts'

describe('times at the border', () => {
  it('writes microseconds', () => {
    assert.equal(formatTime(0), '1970-01-01T00:00:00.000000Z')
    assert.equal(formatTime(1_700_000_000_123_456), '2023-11-14T22:13:20.123456Z')
    assert.equal(formatTime(1_700_000_000_000_007), '2023-11-14T22:13:20.000007Z')
  })
  it('reads what it writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000_000_000 }), (timeUs) => {
        assert.equal(parseTime(formatTime(timeUs)), timeUs)
      }),
    )
  })
  it('reads other zones and shorter forms', () => {
    assert.equal(parseTime('1970-01-01'), 0)
    assert.equal(parseTime('1970-01-01T00:00:01Z'), 1_000_000)
    assert.equal(parseTime('1970-01-01T01:00:00.5+01:00'), 500_000)
  })
  for (const text of ['', 'now', '1', '2023-13-01', '2023-11-14T22:13:20', '2023-11-14 22:13:20Z', '1969-12-31']) {
    it(`refuses "${text}"`, () => assert.equal(parseTime(text), undefined))
  }
})
