import assert from 'node:assert/strict'
import type { Level } from '#mesh/domain/depth-book.ts'
import { MarketFace, TRADES_KEPT } from './market.ts'

const changed = (sequence: number, bids: readonly Level[], asks: readonly Level[] = []) =>
  ({ type: 'BookChanged', instrument: 'A-B', sequence, bids, asks }) as const
const traded = (tradeId: number) =>
  ({ type: 'Traded', instrument: 'A-B', tradeId, priceTicks: 5, lots: 1, takerSide: 'buy', timeUs: tradeId }) as const

describe("a market's public face", () => {
  it('tells the changes of a frame as one, of each level the last word', () => {
    const market = new MarketFace()
    for (const event of [
      changed(1, [[10, 1]]),
      changed(2, [
        [10, 3],
        [9, 1],
      ]),
      changed(3, [], [[12, 2]]),
    ])
      market.take(event)
    assert.deepEqual(market.news(77), {
      book: {
        first: 1,
        last: 3,
        timeUs: 77,
        bids: [
          [10, 3],
          [9, 1],
        ],
        asks: [[12, 2]],
      },
      trades: [],
    })
    assert.deepEqual(market.news(78), { book: undefined, trades: [] })
  })

  it('passes over what it has, and refuses a gap', () => {
    const market = new MarketFace()
    market.take(changed(1, [[10, 1]]))
    market.take(traded(1))
    market.news(1)
    market.take(changed(1, [[10, 9]]))
    market.take(traded(1))
    assert.deepEqual(market.news(2), { book: undefined, trades: [] })
    assert.throws(() => market.take(changed(3, [])), /2|3 comes next/)
    assert.throws(() => market.take(traded(3)), /without a gap/)
  })

  it('goes on from where it was stored as if nothing had been', () => {
    const one = new MarketFace()
    for (let index = 1; index <= TRADES_KEPT + 20; index++) {
      one.take(traded(index))
      one.take(changed(index, [[index, 1]], [[1_000 - index, 2]]))
    }
    one.news(5)
    const other = MarketFace.restore(JSON.parse(JSON.stringify(one.store())))
    for (const market of [one, other]) {
      market.take(changed(TRADES_KEPT + 21, [[3, 0]]))
      market.take(traded(TRADES_KEPT + 21))
    }
    assert.deepEqual(other.news(6), one.news(6))
    assert.deepEqual(other.store(), one.store())
    assert.equal(one.trades.length, TRADES_KEPT)
  })
})
