import assert from 'node:assert/strict'
import { namedRanges, rangesOf } from './ranges.ts'

describe('ranges of slots', () => {
  const rows: [numbers: number[], text: string][] = [
    [[], ''],
    [[4], '4'],
    [[0, 1, 2, 3], '0–3'],
    [[7, 3, 0, 1, 2], '0–3 7'],
    [[10, 9, 2], '2 9–10'],
  ]
  for (const [numbers, text] of rows) it(`say "${text}"`, () => assert.equal(rangesOf(numbers), text))

  it('go by name', () => {
    const slots = [
      { name: 'accounts', slot: 1 },
      { name: 'definitions', slot: 0 },
      { name: 'accounts', slot: 0 },
    ]
    assert.deepEqual(namedRanges(slots), ['accounts 0–1', 'definitions 0'])
  })
})
