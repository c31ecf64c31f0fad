import assert from 'node:assert/strict'
import fc from 'fast-check'
import { fromUnits, placesOf, rescale, tidy, toFixed, toUnits, unitsOf } from './decimal.js'

describe('decimals in whole units', () => {
  const table: [text: string, scale: number, units: bigint | undefined][] = [
    ['0', 2, 0n],
    ['12.5', 2, 1250n],
    ['12.50', 1, 125n],
    ['12.55', 1, undefined],
    ['9007199254740993.00000001', 8, 900719925474099300000001n],
    ['', 2, undefined],
    ['.5', 2, undefined],
    ['5.', 2, undefined],
    ['05', 2, undefined],
    ['-5', 2, undefined],
    ['1e3', 2, undefined],
    ['1,000', 2, undefined],
    ['1'.repeat(41), 2, undefined],
  ]
  for (const [text, scale, units] of table) {
    it(`"${text}" with ${scale} places: ${units}`, () => assert.equal(toUnits(text, scale), units))
  }
  it('come back as they were', () =>
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
        fc.integer({ min: 0, max: 8 }),
        (units, scale) => {
          assert.equal(unitsOf(fromUnits(units, scale), scale), units)
          assert.equal(unitsOf(toFixed(units, scale), scale), units)
        },
      ),
    ))
  it('are written with all their places, or with none that say nothing', () => {
    assert.deepEqual(
      [toFixed(-5n, 2), fromUnits(-50n, 2), fromUnits(500n, 2), fromUnits(7n, 0)],
      ['-0.05', '-0.5', '5', '7'],
    )
  })
  it('what is no number is a fault of ours', () => assert.throws(() => unitsOf('x', 2), RangeError))
  it('go to another scale, and lose what it cannot hold', () => {
    assert.deepEqual([rescale(125n, 2, 4), rescale(125n, 2, 1), rescale(125n, 2, 2)], [12_500n, 12n, 125n])
  })
  it('count their places', () => assert.deepEqual(['1', '0.01', '0.0100', '0.00001'].map(placesOf), [0, 2, 2, 5]))
})

describe('what people write', () => {
  const table: [typed: string, tidied: string][] = [
    [' 1 250.5 ', '1250.5'],
    ['.5', '0.5'],
    ['5.', '5'],
    ['007', '7'],
    ['0', '0'],
    ['0.50', '0.50'],
    ['60,000.25', '60000.25'],
    ['1,234,567', '1234567'],
    // It could mean 60 or 60 000: nobody guesses with money.
    ['60,000', '60,000'],
    ['0,5', '0,5'],
    ['1,2,3', '1,2,3'],
    ['abc', 'abc'],
  ]
  for (const [typed, tidied] of table) it(`"${typed}" is "${tidied}"`, () => assert.equal(tidy(typed), tidied))
})
