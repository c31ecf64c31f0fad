import assert from 'node:assert/strict'
import { discountOf, parseFeeTiers } from './fee-tiers.ts'

describe('fee tiers', () => {
  it('are volumes and per cents that grow', () => {
    assert.deepEqual(parseFeeTiers(''), [])
    assert.deepEqual(parseFeeTiers('100000:5, 1000000.5:12.25'), [
      { volume: '100000', discountPpm: 50_000 },
      { volume: '1000000.5', discountPpm: 122_500 },
    ])
    for (const wrong of [
      'x',
      '1',
      '1:',
      ':5',
      '1:5:6',
      '1:0',
      '1:101',
      '2:5,1:6',
      '1:5,2:5',
      '1:5,',
      '1:-5',
      '1e3:5',
      '1:0.00001',
    ]) {
      assert.equal(parseFeeTiers(wrong), undefined, wrong)
    }
  })

  it('give the highest that a volume reaches', () => {
    const tiers = parseFeeTiers('100:5,1000.5:10') ?? []
    const rows: [minor: bigint, ppm: number][] = [
      [0n, 0],
      [9_999n, 0],
      [10_000n, 50_000],
      [100_049n, 50_000],
      [100_050n, 100_000],
      [10n ** 30n, 100_000],
    ]
    for (const [volumeMinor, ppm] of rows) assert.equal(discountOf(tiers, volumeMinor, 2), ppm, String(volumeMinor))
  })
})
