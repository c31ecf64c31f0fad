import assert from 'node:assert/strict'
import { cut, grouped, padded, signedPercent } from './format.js'

describe('numbers for the eye', () => {
  it('in groups of three', () =>
    assert.deepEqual(['1', '999', '1000', '1234567.8901', '-1000'].map(grouped), [
      '1',
      '999',
      '1,000',
      '1,234,567.8901',
      '-1,000',
    ]))
  it('with as many places as the others', () =>
    assert.deepEqual(
      [padded('1', 2), padded('1.5', 2), padded('1.555', 2), padded('1', 0)],
      ['1.00', '1.50', '1.555', '1'],
    ))
  it('with no more places than wanted', () =>
    assert.deepEqual([cut('1.23456', 2), cut('1.2', 2), cut('1', 2), cut('1.9', 0)], ['1.23', '1.2', '1', '1']))
  it('in per cent with a sign', () =>
    assert.deepEqual(['1.2345', '-0.5', '0', '0.004', '-0.004'].map(signedPercent), [
      '+1.23%',
      '-0.50%',
      '0.00%',
      '0.00%',
      '0.00%',
    ]))
})
