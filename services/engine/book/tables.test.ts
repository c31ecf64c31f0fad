import assert from 'node:assert/strict'
import { IdTable } from './id-table.ts'
import { IntMap } from './int-map.ts'
import { PriceIndex } from './price-index.ts'
import { Random } from './testing/random.ts'

describe('tables of the order book', () => {
  it('IntMap holds what a Map holds', () => {
    for (const keysMax of [20, 1000, 2 ** 31 - 2]) {
      const random = new Random(keysMax)
      const [map, plain] = [new IntMap(), new Map<number, number>()]
      for (let step = 0; step < 20_000; step++) {
        const key = 1 + random.below(keysMax)
        const value = 1 + random.below(1000)
        const known = [...plain.keys()][random.below(plain.size)]
        if (random.unit() < 0.5 && !plain.has(key)) {
          map.add(key, value, map.find(key))
          plain.set(key, value)
        } else if (known !== undefined) {
          map.delete(known)
          plain.delete(known)
        }
        assert.equal(map.get(key), plain.get(key) ?? 0)
        if (plain.size > 200) {
          for (const each of [...plain.keys()].slice(0, 150)) {
            map.delete(each)
            plain.delete(each)
          }
        }
      }
      for (const [key, value] of plain) assert.equal(map.get(key), value)
    }
  })

  it('PriceIndex knows the neighbours of every price', () => {
    for (const pricesMax of [40, 3000, 2 ** 31 - 1]) {
      const random = new Random(pricesMax)
      const [index, plain] = [new PriceIndex(), new Set<number>()]
      for (let step = 0; step < 3000; step++) {
        const price = random.unit() < 0.1 ? random.pick([1, pricesMax]) : 1 + random.below(pricesMax)
        if (plain.delete(price)) index.remove(price)
        else {
          plain.add(price)
          index.add(price)
        }
        if (random.unit() < 0.3) for (const each of [...plain].slice(0, 5)) if (plain.delete(each)) index.remove(each)
        const from = random.unit() < 0.5 ? price : 1 + random.below(pricesMax)
        const above = [...plain].filter((each) => each > from)
        const below = [...plain].filter((each) => each < from)
        assert.equal(index.above(from), above.length === 0 ? 0 : Math.min(...above))
        assert.equal(index.below(from), below.length === 0 ? 0 : Math.max(...below))
      }
    }
  })

  it('IdTable tells ids of one hash apart', () => {
    const table = new IdTable()
    const byHash = new Map<number, number>()
    let [first, second] = [0, 0]
    for (let orderId = 8; second === 0; orderId += 8) {
      first = byHash.get(table.hashOf(orderId)) ?? 0
      if (first !== 0) second = orderId
      byHash.set(table.hashOf(orderId), orderId)
    }
    const floats = new Float64Array(8)
    const hash = table.hashOf(first)
    assert.equal(table.hashOf(second), hash)
    floats[0] = first
    table.add(hash, 0, 0)
    assert(table.find(second, hash, floats) < 0)
    floats[4] = second
    table.add(hash, 1, 0)
    assert.equal(table.slotAt(table.find(first, hash, floats)), 0)
    assert.equal(table.slotAt(table.find(second, hash, floats)), 1)
    table.remove(hash, 0)
    assert(table.find(first, hash, floats) < 0)
    assert.equal(table.slotAt(table.find(second, hash, floats)), 1)
  })

  const patterns: Record<string, (index: number) => number> = {
    dense: (index) => index + 1,
    descending: (index) => Number.MAX_SAFE_INTEGER - index,
    'multiples of 2^20': (index) => (index + 1) * 2 ** 20,
    'multiples of 2^32': (index) => (index + 1) * 2 ** 32,
    'multiples of 1000': (index) => (index + 1) * 1000,
    scattered: (index) => 1 + ((index * 6_364_136_223 + 1_442_695) % 9_007_199_254_740_881),
  }
  for (const [name, idOf] of Object.entries(patterns)) {
    it(`IdTable finds ids that are ${name}, and probes little`, () => {
      const count = 1000
      const floats = new Float64Array(4 * count)
      const table = new IdTable()
      for (let slot = 0; slot < count; slot++) {
        const orderId = idOf(slot)
        const hash = table.hashOf(orderId)
        const found = table.find(orderId, hash, floats)
        assert(found < 0)
        floats[4 * slot] = orderId
        table.add(hash, slot, slot % 2 === 0 ? found : 0)
      }
      for (let slot = 0; slot < count; slot += 2) table.remove(table.hashOf(idOf(slot)), slot)
      for (let slot = 0; slot < count; slot++) {
        const found = table.find(idOf(slot), table.hashOf(idOf(slot)), floats)
        if (slot % 2 === 0) assert(found < 0)
        else assert.equal(table.slotAt(found), slot)
      }
      // Hashes of homes: at most so many share a line of 8 entries, 512 lines in all.
      const lines = new Map<number, number>()
      for (let slot = 0; slot < count; slot++) {
        const line = (table.hashOf(idOf(slot)) >>> 3) & 511
        lines.set(line, (lines.get(line) ?? 0) + 1)
      }
      assert(Math.max(...lines.values()) <= 32, `${Math.max(...lines.values())} homes in a line`)
    })
  }
})
