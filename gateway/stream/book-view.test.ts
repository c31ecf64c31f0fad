import assert from 'node:assert/strict'
import fc from 'fast-check'
import { DepthBook, type Level } from '#mesh/domain/depth-book.ts'
import { BookView, changedLevels, checksumOf } from './book-view.ts'

describe('a view of a book', () => {
  it('brings a client of its depth from one state to the next, however many changes lie between', () => {
    const change = fc.record({
      isBid: fc.boolean(),
      price: fc.integer({ min: 1, max: 40 }),
      lots: fc.integer({ min: 0, max: 3 }),
      tells: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), fc.constantFrom(1, 3, 10, 100), (changes, depth) => {
        const book = new DepthBook()
        const view = new BookView(depth)
        const client = { bids: new Map<number, number>(), asks: new Map<number, number>() }
        let last = 0
        for (const [index, { isBid, price, lots, tells }] of changes.entries()) {
          const level: Level[] = [[price, lots]]
          const sequence = index + 1
          book.apply({ first: sequence, last: sequence, bids: isBid ? level : [], asks: isBid ? [] : level })
          if (!tells) continue
          const told = view.update(book)
          if (told !== undefined) {
            assert.equal(told.first, last + 1)
            last = told.last
            assert.equal(last, sequence)
            for (const [side, levels] of [
              [client.bids, told.bids],
              [client.asks, told.asks],
            ] as const) {
              for (const [at, amount] of levels) {
                if (amount > 0) side.set(at, amount)
                // What goes away was there.
                else assert(side.delete(at))
              }
            }
          }
          const best = (side: Map<number, number>, sign: 1 | -1) => [...side].sort(([a], [b]) => (b - a) * sign)
          assert.deepEqual(best(client.bids, 1), book.bids.top(depth))
          assert.deepEqual(best(client.asks, -1), book.asks.top(depth))
          assert(client.bids.size <= depth)
        }
      }),
    )
  })

  it('says what changed between two lists of levels', () => {
    const rows: [before: Level[], after: Level[], sign: 1 | -1, changed: Level[]][] = [
      [[], [], 1, []],
      [[], [[5, 1]], 1, [[5, 1]]],
      [[[5, 1]], [], 1, [[5, 0]]],
      [[[5, 1]], [[5, 1]], 1, []],
      [[[5, 1]], [[5, 2]], 1, [[5, 2]]],
      [
        [
          [5, 1],
          [3, 1],
        ],
        [
          [6, 1],
          [5, 1],
        ],
        1,
        [
          [6, 1],
          [3, 0],
        ],
      ],
      [
        [
          [3, 1],
          [5, 1],
        ],
        [
          [4, 1],
          [5, 1],
        ],
        -1,
        [
          [3, 0],
          [4, 1],
        ],
      ],
    ]
    for (const [before, after, sign, changed] of rows) assert.deepEqual(changedLevels(before, after, sign), changed)
  })
})

describe('the checksum of a book', () => {
  it('is the CRC32 of the best ten levels, side by side', () => {
    const deep = (price: (index: number) => number, amount: string): [string, string][] =>
      Array.from({ length: 12 }, (_, index) => [String(price(index)), amount])
    // By another program's CRC32 of "10:1:11:2", "10:1:11:2:12:3", "10:1:9:2:8:3", and "100:1:101:2:99:1:102:2:…" with ten of each.
    const rows: [bids: [string, string][], asks: [string, string][], checksum: number][] = [
      [[], [], 0],
      [[['10', '1']], [['11', '2']], 0xf26a82eb],
      [
        [['10', '1']],
        [
          ['11', '2'],
          ['12', '3'],
        ],
        0xa32c03d8,
      ],
      [
        [
          ['10', '1'],
          ['9', '2'],
          ['8', '3'],
        ],
        [],
        0xe2c942e3,
      ],
      [deep((index) => 100 - index, '1'), deep((index) => 101 + index, '2'), 0x3f880bf7],
    ]
    for (const [bids, asks, checksum] of rows) assert.equal(checksumOf(bids, asks), checksum)
  })
})
