import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createBuckets } from './buckets.ts'

describe('token buckets', () => {
  it('let a burst through and then the mean', () => {
    let now = 0
    const buckets = createBuckets({ perSecond: 2, burst: 3 }, () => now)
    assert.deepEqual(
      [1, 2, 3, 4].map(() => buckets.take('a')),
      [0, 0, 0, 1],
    )
    assert.equal(buckets.take('b'), 0)
    now = 500
    assert.equal(buckets.take('a'), 0)
    assert.equal(buckets.take('a'), 1)
  })

  it('say how long to wait', () => {
    const buckets = createBuckets({ perSecond: 1, burst: 1 }, () => 0)
    assert.equal(buckets.take(7), 0)
    buckets.spent()
    buckets.settle(7, -9)
    assert.equal(buckets.take(7), 10)
  })

  it('never let through more than burst and mean together', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 200 }), (pauses) => {
        let now = 0
        const buckets = createBuckets({ perSecond: 10, burst: 5 }, () => now)
        let taken = 0
        for (const pause of pauses) {
          now += pause
          if (buckets.take('a') === 0) taken++
          assert(taken <= 5 + (now / 1000) * 10 + 1e-9)
        }
      }),
    )
  })

  it('tell what was spent, once', () => {
    const buckets = createBuckets({ perSecond: 1, burst: 5 }, () => 0)
    buckets.take('a')
    buckets.take('a')
    buckets.take('b')
    assert.deepEqual(buckets.spent(), [
      { key: 'a', tokens: 2 },
      { key: 'b', tokens: 1 },
    ])
    assert.deepEqual(buckets.spent(), [])
  })

  it('take the level that all share, less what was taken meanwhile', () => {
    const buckets = createBuckets({ perSecond: 1, burst: 5 }, () => 0)
    buckets.take('a')
    buckets.spent()
    buckets.take('a')
    buckets.settle('a', 2)
    assert.equal(buckets.take('a'), 0)
    assert.equal(buckets.take('a'), 1)
  })

  it('forget full buckets', () => {
    let now = 0
    const buckets = createBuckets({ perSecond: 1, burst: 1 }, () => now)
    buckets.take('a')
    buckets.spent()
    buckets.sweep()
    assert.equal(buckets.size, 1)
    now = 1000
    buckets.sweep()
    assert.equal(buckets.size, 0)
  })
})
