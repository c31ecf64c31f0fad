import assert from 'node:assert/strict'
import fc from 'fast-check'
import { hashNumber } from './hashes.ts'
import { NONE, RowIndex } from './row-index.ts'

/** Rows whose key is their own number, under a hash of the test's choice. */
function tableOf(hash: (key: number) => number) {
  const index = new RowIndex(hash)
  const has = (key: number): boolean => {
    for (let row = index.first(hash(key)); row !== NONE; row = index.next()) if (row === key) return true
    return false
  }
  return {
    has,
    toggle: (key: number): void => {
      if (has(key)) index.removeHere()
      else index.insertHere(key)
    },
  }
}

const HASHES: Readonly<Record<string, (key: number) => number>> = {
  'good hashes': hashNumber,
  'hashes of one page': (key) => hashNumber(key) & 0xffff,
  'hashes of few homes': (key) => hashNumber(key) & 0x00f000ff,
  'two hashes': (key) => (key % 2) * 0x7654321,
}

describe('an index of rows', () => {
  for (const [name, hash] of Object.entries(HASHES)) {
    it(`has what a set has, with ${name}`, () => {
      fc.assert(
        fc.property(fc.array(fc.nat({ max: 2_500 }), { maxLength: 6_000, size: 'max' }), (keys) => {
          const table = tableOf(hash)
          const set = new Set<number>()
          for (const key of keys) {
            table.toggle(key)
            if (!set.delete(key)) set.add(key)
          }
          for (let key = 0; key <= 2_500; key++) assert.equal(table.has(key), set.has(key))
        }),
        { numRuns: 20 },
      )
    })
  }

  it('keeps a million rows through growth and removal', function () {
    this.timeout(20_000)
    const table = tableOf(hashNumber)
    for (let key = 0; key < 1_000_000; key++) table.toggle(key)
    for (let key = 0; key < 1_000_000; key += 2) table.toggle(key)
    for (let key = 0; key < 1_000_000; key += 997) assert.equal(table.has(key), key % 2 === 1)
    assert.equal(table.has(1_000_000), false)
  })
})
