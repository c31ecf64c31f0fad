import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatDecimal, parseDecimal } from '#mesh/domain/money.ts'
import { formatMinor, formatSteps, parseMinor, parseSteps, stepOf } from './decimal.ts'

describe('decimals at the border', () => {
  const cases: [text: string, step: string, expected: number | string][] = [
    ['1', '1', 1],
    ['1.0', '1', 1],
    ['0.01', '0.01', 1],
    ['0.010', '0.01', 1],
    ['100', '0.01', 10_000],
    ['50000.01', '0.01', 5_000_001],
    ['0.1', '0.05', 2],
    ['10', '10', 1],
    ['9007199254740991', '1', 9007199254740991],
    ['900719925474099.1', '0.1', 9007199254740991],
    ['1000000000000000000', '1000000000000000000', 1],
    ['9007199254740992', '1', 'too_large'],
    ['99999999999999999999999', '0.01', 'too_large'],
    ['0.07', '0.05', 'off_step'],
    ['5', '10', 'off_step'],
    ['0.001', '0.01', 'too_many_decimals'],
    ['0.5', '10', 'too_many_decimals'],
    ['0', '1', 'not_positive'],
    ['0.00', '0.01', 'not_positive'],
    ['-0', '1', 'not_positive'],
    ['-1', '1', 'not_positive'],
    ['-1.5', '0.1', 'not_positive'],
    ['', '1', 'decimal_invalid'],
    ['-', '1', 'decimal_invalid'],
    ['.', '1', 'decimal_invalid'],
    ['-.', '1', 'decimal_invalid'],
    ['.5', '0.1', 'decimal_invalid'],
    ['5.', '0.1', 'decimal_invalid'],
    ['1..2', '0.1', 'decimal_invalid'],
    ['1.2.3', '0.1', 'decimal_invalid'],
    ['01', '1', 'decimal_invalid'],
    ['00', '1', 'decimal_invalid'],
    ['-01', '1', 'decimal_invalid'],
    ['+1', '1', 'decimal_invalid'],
    [' 1', '1', 'decimal_invalid'],
    ['1 ', '1', 'decimal_invalid'],
    ['1e9', '1', 'decimal_invalid'],
    ['1E9', '1', 'decimal_invalid'],
    ['0x10', '1', 'decimal_invalid'],
    ['1,5', '0.1', 'decimal_invalid'],
    ['1_000', '1', 'decimal_invalid'],
    ['NaN', '1', 'decimal_invalid'],
    ['Infinity', '1', 'decimal_invalid'],
    ['-Infinity', '1', 'decimal_invalid'],
    ['١', '1', 'decimal_invalid'],
    ['1'.repeat(41), '1', 'decimal_invalid'],
  ]
  for (const [text, step, expected] of cases) {
    it(`"${text}" in steps of ${step}: ${expected}`, () => {
      assert.equal(parseSteps(text, stepOf(step), Number.MAX_SAFE_INTEGER), expected)
    })
  }

  it('honours a smaller bound', () => {
    assert.equal(parseSteps('2147483647', stepOf('1'), 2 ** 31 - 1), 2147483647)
    assert.equal(parseSteps('2147483648', stepOf('1'), 2 ** 31 - 1), 'too_large')
  })

  it('agrees with exact arithmetic on any plain decimal', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 10n ** 24n }),
        fc.nat(12),
        fc.nat(12),
        fc.integer({ min: 1, max: 1000 }),
        (units, scale, stepScale, stepUnits) => {
          const text = formatDecimal(units, scale)
          const step = stepOf(formatDecimal(BigInt(stepUnits), stepScale))
          const exact = parseDecimal(text, step.scale)
          const steps = exact === undefined ? 0n : exact / step.unitsBig
          const expected =
            exact === undefined
              ? 'too_many_decimals'
              : exact % step.unitsBig !== 0n
                ? 'off_step'
                : steps > Number.MAX_SAFE_INTEGER
                  ? 'too_large'
                  : Number(steps)
          assert.equal(parseSteps(text, step, Number.MAX_SAFE_INTEGER), expected)
        },
      ),
    )
  })

  it('writes what it reads', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        fc.integer({ min: 1, max: 1000 }),
        fc.nat(18),
        (steps, units, scale) => {
          const step = stepOf(formatDecimal(BigInt(units), scale))
          const text = formatSteps(steps, step)
          assert.equal(text, formatDecimal(BigInt(steps) * step.unitsBig, step.scale))
          if (text.length <= 40) assert.equal(parseSteps(text, step, Number.MAX_SAFE_INTEGER), steps)
        },
      ),
    )
  })

  it('writes minor units', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }), fc.nat(18), (minor, scale) => {
        assert.equal(formatMinor(minor.toString(), scale), formatDecimal(minor, scale))
      }),
    )
  })

  it('reads amounts of an asset', () => {
    assert.equal(parseMinor('1.5', 2), 150n)
    assert.equal(parseMinor('1.500', 2), 150n)
    assert.equal(parseMinor('0', 2), 'not_positive')
    assert.equal(parseMinor('-1', 2), 'not_positive')
    assert.equal(parseMinor('-x', 2), 'decimal_invalid')
    assert.equal(parseMinor('--1', 2), 'decimal_invalid')
    assert.equal(parseMinor('1e9', 2), 'decimal_invalid')
    assert.equal(parseMinor('1.001', 2), 'too_many_decimals')
  })
})
