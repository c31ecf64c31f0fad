import assert from 'node:assert/strict'
import fc from 'fast-check'
import { DepthBook, type Level } from './depth-book.ts'

/** Changes of one level each, as [is it a bid, price, lots]. */
const changes = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 5 })), {
  maxLength: 200,
})
const changeOf = (sequence: number, [isBid, price, lots]: readonly [boolean, number, number]) => ({
  first: sequence,
  last: sequence,
  bids: isBid ? [[price, lots] as Level] : [],
  asks: isBid ? [] : [[price, lots] as Level],
})

describe('a book that is rebuilt from its changes', () => {
  it('is what a map of levels, sorted, would be', () => {
    fc.assert(
      fc.property(changes, (all) => {
        const book = new DepthBook()
        const naive = { bids: new Map<number, number>(), asks: new Map<number, number>() }
        all.forEach((change, index) => {
          assert.equal(book.apply(changeOf(index + 1, change)), 'applied')
          const [isBid, price, lots] = change
          const side = isBid ? naive.bids : naive.asks
          if (lots === 0) side.delete(price)
          else side.set(price, lots)
        })
        const sorted = (side: Map<number, number>, sign: 1 | -1) => [...side].sort(([a], [b]) => (b - a) * sign)
        assert.deepEqual(book.bids.top(Number.POSITIVE_INFINITY), sorted(naive.bids, 1))
        assert.deepEqual(book.asks.top(7), sorted(naive.asks, -1).slice(0, 7))
        assert.equal(book.bids.count, naive.bids.size)
      }),
    )
  })

  it('passes over what it has, and takes nothing with a gap before it', () => {
    const book = new DepthBook()
    book.reset(5, [[10, 1]], [])
    const rows: [first: number, last: number, expected: string, sequence: number][] = [
      [4, 5, 'known', 5],
      [7, 7, 'gap', 5],
      [6, 6, 'applied', 6],
      [6, 6, 'known', 6],
      // The first of them is there; as levels are told as they are, not by how much they changed, that is no harm.
      [6, 8, 'applied', 8],
      [10, 12, 'gap', 8],
    ]
    for (const [first, last, expected, sequence] of rows) {
      assert.equal(book.apply({ first, last, bids: [[10, last]], asks: [] }), expected, `${first}..${last}`)
      assert.equal(book.sequence, sequence)
    }
    assert.deepEqual(book.bids.top(1), [[10, 8]])
  })

  it('goes on from a whole book in any order of its levels', () => {
    const book = new DepthBook()
    const levels: Level[] = [
      [3, 1],
      [9, 2],
      [5, 3],
    ]
    book.reset(1, levels, levels)
    const prices = (side: readonly Level[]) => side.map(([price]) => price)
    assert.deepEqual(
      [prices(book.bids.top(9)), prices(book.asks.top(2))],
      [
        [9, 5, 3],
        [3, 5],
      ],
    )
  })
})
