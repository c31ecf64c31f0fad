import assert from 'node:assert/strict'
import { crc32 as crc32OfNode } from 'node:zlib'
import fc from 'fast-check'
import { checksumOf } from '../../stream/book-view.ts'
import { Book, crc32 } from './book.js'
import { MarketRules } from './market-rules.js'
import { MARKET, SCALES } from './testing.ts'
import type { BookChange, BookSnapshot, WrittenLevel } from './types.ts'

const RULES = new MarketRules(MARKET, SCALES)
const BIDS: WrittenLevel[] = [
  ['99.5', '1'],
  ['99', '2'],
]
const ASKS: WrittenLevel[] = [
  ['100', '1.5'],
  ['100.5', '2'],
  ['102', '4'],
]
const snapshot = (bids = BIDS, asks = ASKS, sequence = '7'): BookSnapshot => ({
  type: 'orderbook.snapshot',
  sequence,
  bids,
  asks,
  checksum: checksumOf(bids, asks),
})
const change = (parts: Partial<BookChange>): BookChange => ({
  type: 'orderbook.change',
  first: '8',
  last: '8',
  bids: [],
  asks: [],
  checksum: 0,
  ...parts,
})
const bookOf = (depth = 10): Book => {
  const book = new Book(RULES, depth)
  assert(book.take(snapshot()))
  return book
}
const written = (book: Book) => [book.bids.map((level) => level.written), book.asks.map((level) => level.written)]

describe('the order book of the page', () => {
  it('puts levels in, changes them and takes them away', () => {
    const book = bookOf()
    const bids: WrittenLevel[] = [
      ['99.5', '3'],
      ['99.2', '5'],
      ['99', '2'],
    ]
    const asks: WrittenLevel[] = [
      ['100.5', '2'],
      ['102', '4'],
    ]
    const isGood = book.take(
      change({
        last: '11',
        bids: [
          ['99.2', '5'],
          ['99.5', '3'],
        ],
        asks: [['100', '0']],
        checksum: checksumOf(bids, asks),
      }),
    )
    assert(isGood)
    assert.deepEqual(written(book), [bids, asks])
    assert.equal(book.sequence, 11n)
  })
  it('keeps no more levels than the channel has', () => {
    const book = bookOf(2)
    const bids: WrittenLevel[] = [
      ['99.7', '1'],
      ['99.5', '1'],
    ]
    assert(book.take(change({ bids: [['99.7', '1']], checksum: checksumOf(bids, ASKS.slice(0, 2)) })))
    assert.deepEqual(written(book), [bids, ASKS.slice(0, 2)])
  })
  it('breaks at a gap, waits, and goes on with the next snapshot', () => {
    const book = bookOf()
    assert.equal(book.take(change({ first: '9', last: '9', checksum: checksumOf(BIDS, ASKS) })), false)
    assert.equal(book.isGood, false)
    // It was told once; what still comes is passed over.
    assert.equal(book.take(change({ first: '10', last: '10' })), true)
    assert.equal(book.isGood, false)
    assert(book.take(snapshot(BIDS, ASKS, '12')))
    assert.deepEqual([book.isGood, book.sequence], [true, 12n])
  })
  it('breaks where the checksum is another', () => {
    const book = bookOf()
    assert.equal(book.take(change({ bids: [['99.2', '5']], checksum: checksumOf(BIDS, ASKS) })), false)
    assert.equal(book.isGood, false)
    assert.equal(new Book(RULES, 10).take({ ...snapshot(), checksum: 1 }), false)
  })
  it('has the same checksum as the exchange, whatever is in it', () => {
    const levels = fc
      .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 1, max: 10 ** 6 })), {
        selector: ([price]) => price,
        maxLength: 30,
      })
      .map((all) => all.sort(([one], [other]) => one - other))
    const write = ([ticks, lots]: readonly [number, number]): WrittenLevel => [
      RULES.priceText(BigInt(ticks)).replace(/\.?0+$/, ''),
      RULES.amountText(BigInt(lots)),
    ]
    fc.assert(
      fc.property(levels, levels, (bids, asks) => {
        const message = snapshot(bids.toReversed().map(write), asks.map(write))
        const book = new Book(RULES, 50)
        assert(book.take(message))
        assert.equal(book.checksum(), checksumOf(message.bids, message.asks))
      }),
    )
    assert.equal(crc32('99.5:1:100:1.5'), crc32OfNode('99.5:1:100:1.5'))
  })
  it('follows any course of changes to where a book from scratch is', () => {
    const put = fc.tuple(
      fc.constantFrom('bids', 'asks'),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 3 }),
    )
    fc.assert(
      fc.property(fc.array(put, { maxLength: 80 }), (puts) => {
        const book = new Book(RULES, 1000)
        book.take(snapshot([], [], '0'))
        const sides = { bids: new Map<number, number>(), asks: new Map<number, number>() }
        puts.forEach(([side, ticks, lots], index) => {
          const of = sides[side as 'bids' | 'asks']
          if (lots === 0) of.delete(ticks)
          else of.set(ticks, lots)
          const write = (name: 'bids' | 'asks', sign: number): WrittenLevel[] =>
            [...sides[name]]
              .sort(([one], [other]) => (one - other) * sign)
              .map(([price, amount]) => [String(price), String(amount)])
          const [bids, asks] = [write('bids', -1), write('asks', 1)]
          const sequence = String(index + 1)
          const message = change({ first: sequence, last: sequence, checksum: checksumOf(bids, asks) })
          assert(book.take({ ...message, [side]: [[String(ticks), String(lots)]] }))
          assert.deepEqual(written(book), [bids, asks])
        })
      }),
      { numRuns: 50 },
    )
  })
  it('groups prices away from the middle, and sums from there', () => {
    const book = bookOf()
    const step = 100n
    assert.deepEqual(book.rows('asks', step, 10), [
      { price: 10_000n, amount: 1500n, sum: 1500n },
      { price: 10_100n, amount: 2000n, sum: 3500n },
      { price: 10_200n, amount: 4000n, sum: 7500n },
    ])
    assert.deepEqual(book.rows('bids', step, 10), [{ price: 9_900n, amount: 3000n, sum: 3000n }])
    assert.equal(book.rows('asks', step, 2).length, 2)
  })

  describe('what a market order would meet', () => {
    it('by an amount', () => {
      assert.deepEqual(bookOf().sweep('buy', { amount: 2500n }), {
        amount: 2500n,
        total: 25_050_000_000n,
        worst: 10_050n,
        isWhole: true,
      })
    })
    it('by a total, in whole lots', () => {
      // 1.5 at 100 are 150; 100 more buy 0.995 at 100.5 (99.9975).
      assert.deepEqual(bookOf().sweep('buy', { total: 25_000_000_000n }), {
        amount: 2495n,
        total: 24_999_750_000n,
        worst: 10_050n,
        isWhole: true,
      })
    })
    it('more than there is', () => {
      const met = bookOf().sweep('sell', { amount: 3001n })
      assert.deepEqual([met.amount, met.isWhole], [3000n, false])
      assert.equal(bookOf().sweep('sell', { amount: 3000n }).isWhole, true)
      assert.equal(bookOf().sweep('buy', { total: 10n ** 15n }).isWhole, false)
    })
  })
})
