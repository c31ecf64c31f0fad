import assert from 'node:assert/strict'
import fc from 'fast-check'
import { accountSlotOf } from '#mesh/slots.ts'
import { depositsMinorMax, feeOf, formatDecimal, parseDecimal } from './money.ts'

describe('decimals', () => {
  const parsed: [text: string, scale: number, units: bigint | undefined][] = [
    ['0', 8, 0n],
    ['1', 0, 1n],
    ['1.5', 2, 150n],
    ['0.00000001', 8, 1n],
    ['1.500', 1, 15n],
    ['1.000', 0, 1n],
    ['1.05', 1, undefined],
    ['', 2, undefined],
    ['.5', 2, undefined],
    ['5.', 2, undefined],
    ['05', 2, undefined],
    ['-1', 2, undefined],
    ['+1', 2, undefined],
    ['1e9', 2, undefined],
    ['0x10', 2, undefined],
    [' 1', 2, undefined],
    ['1,5', 2, undefined],
    ['NaN', 2, undefined],
    ['Infinity', 2, undefined],
    ['٣', 2, undefined],
    [`1${'0'.repeat(40)}`, 2, undefined],
  ]
  for (const [text, scale, units] of parsed) {
    it(`reads ${JSON.stringify(text)} at scale ${scale} as ${units}`, () =>
      assert.equal(parseDecimal(text, scale), units))
  }
  const written: [units: bigint, scale: number, text: string][] = [
    [0n, 8, '0'],
    [150n, 2, '1.5'],
    [-150n, 2, '-1.5'],
    [1n, 8, '0.00000001'],
    [100n, 2, '1'],
    [7n, 0, '7'],
    [1000n, 0, '1000'],
  ]
  for (const [units, scale, text] of written) {
    it(`writes ${units} at scale ${scale} as ${text}`, () => assert.equal(formatDecimal(units, scale), text))
  }
  it('reads what it writes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 63n }), fc.integer({ min: 0, max: 18 }), (units, scale) => {
        assert.equal(parseDecimal(formatDecimal(units, scale), scale), units)
      }),
    )
  })
})

describe('fees', () => {
  it('round up to the next minor unit, and are nothing at rate zero', () => {
    assert.equal(feeOf(1n, 1), 1n)
    assert.equal(feeOf(1_000_000n, 1), 1n)
    assert.equal(feeOf(1_000_001n, 1), 2n)
    assert.equal(feeOf(123n, 0), 0n)
    assert.equal(feeOf(0n, 2_000), 0n)
  })
  it('are never more than what is received, and never less than the exact fee', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 63n }), fc.integer({ min: 0, max: 1_000_000 }), (received, ppm) => {
        const fee = feeOf(received, ppm)
        assert(fee >= 0n && fee <= received)
        assert(fee * 1_000_000n >= received * BigInt(ppm))
        assert((fee - 1n) * 1_000_000n < received * BigInt(ppm) || fee === 0n)
      }),
    )
  })
  it('leave room for every sum below 2^63', () => {
    for (const slots of [1, 2, 3, 4, 256]) assert(depositsMinorMax(slots) * BigInt(slots) < 2n ** 63n)
  })
})

describe('the account slot of a member', () => {
  it('never changes: these are in use', () => {
    assert.deepEqual(
      [1, 2, 3, 4_294_967_296, 123_456_789_012_345, Number.MAX_SAFE_INTEGER].map((id) => accountSlotOf(id, 4)),
      [3, 3, 3, 2, 3, 2],
    )
  })
  it('is shared out evenly, for dense and for time-ordered ids', () => {
    for (const step of [1, 2 ** 21]) {
      const counts = [0, 0, 0, 0]
      for (let n = 1; n <= 40_000; n++) {
        const slot = accountSlotOf(n * step, 4)
        counts[slot] = (counts[slot] ?? 0) + 1
      }
      for (const count of counts) assert(count > 9_500 && count < 10_500, counts.join())
    }
  })
})
