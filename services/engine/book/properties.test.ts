import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Book, type BookSink, createBook, Side } from './book.ts'

const side = fc.constantFrom(Side.buy, Side.sell)
const id = fc.integer({ min: 1, max: 30 })
const price = fc.integer({ min: 95, max: 105 })
const lots = fc.integer({ min: 1, max: 20 })
const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('limit' as const), id, side, price, lots }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('market' as const), id, side, price, lots }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('quote' as const), id, side, price, lots }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), id, side, price, lots }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('amend' as const), id, side, price, lots }) },
)
const commands = fc.array(command, { maxLength: 200 })
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

function send(book: Book, { kind, id: orderId, side: orderSide, price: ticks, lots: amount }: Command): string {
  if (kind === 'limit') return book.placeLimit(orderId, orderSide, ticks, amount)
  if (kind === 'market') return book.placeMarket(orderId, orderSide, amount, ticks)
  if (kind === 'quote') return book.placeMarketByQuote(orderId, orderSide, amount * 100, ticks)
  if (kind === 'cancel') return book.cancel(orderId)
  return book.amend(orderId, ticks, amount)
}

function property(
  name: string,
  create: () => { sink: BookSink; check: (book: Book, sent: Command, result: string) => void },
) {
  it(name, () => {
    fc.assert(
      fc.property(commands, (sent) => {
        const { sink, check } = create()
        const book = createBook({ sink, fillsPerCommandMax: 5 })
        for (const each of sent) check(book, each, send(book, each))
      }),
      { numRuns: 300 },
    )
  })
}

const silent: BookSink = { traded() {}, rested() {}, reduced() {}, cancelled() {}, ended() {} }

describe('order book properties', function () {
  this.timeout(60_000)

  property('it is never crossed', () => ({
    sink: silent,
    check: (book) => assert(book.bestAsk() === 0 || book.bestBid() < book.bestAsk()),
  }))

  property('depth is the sum of what rests, its first level the best price', () => ({
    sink: silent,
    check: (book) => {
      const sums = new Map<string, readonly [lots: number, count: number]>()
      let count = 0
      book.forEachOrder((_id, _slot, orderSide, ticks, remaining) => {
        const [sum, orders] = sums.get(`${orderSide} ${ticks}`) ?? [0, 0]
        sums.set(`${orderSide} ${ticks}`, [sum + remaining, orders + 1])
        count++
      })
      assert.equal(book.ordersCount, count)
      for (const orderSide of [Side.buy, Side.sell]) {
        const prices: number[] = []
        book.depth(orderSide, 1000, (ticks, levelLots, orders) => {
          assert.deepEqual(sums.get(`${orderSide} ${ticks}`), [levelLots, orders])
          sums.delete(`${orderSide} ${ticks}`)
          prices.push(ticks)
        })
        assert.equal(prices[0] ?? 0, orderSide === Side.buy ? book.bestBid() : book.bestAsk())
        assert.deepEqual(
          prices,
          [...prices].sort((a, b) => (orderSide === Side.buy ? b - a : a - b)),
        )
      }
      assert.equal(sums.size, 0)
    },
  }))

  property('amounts are conserved: what was ordered has traded, rests or has ended', () => {
    let [bought, rest] = [0, 0]
    const sink: BookSink = {
      ...silent,
      traded: (_maker, _slot, _taker, _price, traded) => {
        bought += traded
      },
      cancelled: (_id, _slot, remaining) => {
        rest += remaining
      },
      ended: (_id, _slot, remaining) => {
        rest += remaining
      },
    }
    let [ordered, tradedBefore, restBefore] = [0, 0, 0]
    return {
      sink,
      check: (book, sent, result) => {
        if (result === 'accepted' && (sent.kind === 'limit' || sent.kind === 'market')) ordered += sent.lots
        // An order by quote orders what it trades; an amendment orders or gives back the difference of the totals.
        if (result === 'accepted' && sent.kind === 'quote') {
          ordered += bought - tradedBefore
          rest = restBefore
        }
        let [resting, totals] = [0, 0]
        book.forEachOrder((_id, _slot, _side, _price, remaining, total) => {
          resting += remaining
          totals += total
        })
        if (result === 'accepted' && sent.kind === 'amend') ordered = 2 * bought + resting + rest
        else assert.equal(2 * bought + resting + rest, ordered)
        assert(totals >= resting)
        tradedBefore = bought
        restBefore = rest
      },
    }
  })

  property('of two orders at a price, the one that has rested longer trades first', () => {
    let clock = 0
    const since = new Map<number, number>()
    const heads: number[] = []
    const sink: BookSink = {
      ...silent,
      rested: (orderId) => since.set(orderId, clock++),
      traded: (makerId) => heads.push(makerId),
    }
    let queues = new Map<number, number[]>()
    return {
      sink,
      check: (book) => {
        // What traded was at the head of a queue as it stood before the command.
        for (const makerId of heads) {
          const queue = [...queues.values()].find((each) => each.includes(makerId))
          assert.equal(queue?.[0], makerId)
          queue?.shift()
        }
        heads.length = 0
        queues = new Map()
        book.forEachOrder((orderId, _slot, _side, ticks) => queues.set(ticks, [...(queues.get(ticks) ?? []), orderId]))
        for (const queue of queues.values()) {
          const times = queue.map((orderId) => since.get(orderId) ?? -1)
          assert.deepEqual(
            times,
            [...times].sort((a, b) => a - b),
          )
        }
      },
    }
  })

  property('slots are dense, distinct and kept', () => {
    let before = new Map<number, number>()
    return {
      sink: silent,
      check: (book) => {
        const slots = new Map<number, number>()
        book.forEachOrder((orderId, slot) => slots.set(orderId, slot))
        assert.equal(new Set(slots.values()).size, slots.size)
        for (const [orderId, slot] of slots) {
          assert(slot >= 0 && slot < Math.min(book.slotsCapacity, 31))
          assert.equal(book.slotOf(orderId), slot)
          // An id that was freed and taken again may lie elsewhere, but no command does both.
          if (before.has(orderId)) assert.equal(slot, before.get(orderId))
        }
        before = slots
      },
    }
  })

  it('stateHash depends on what rests, not on how it came to rest', () => {
    const orders = fc.uniqueArray(fc.record({ id, price: fc.integer({ min: 95, max: 99 }), lots }), {
      selector: (order) => order.id,
    })
    fc.assert(
      fc.property(orders, fc.integer({ min: 1, max: 50 }), (resting, noise) => {
        const plain = createBook({ sink: silent })
        for (const order of resting) plain.placeLimit(order.id, Side.buy, order.price, order.lots)
        const other = createBook({ sink: silent })
        for (let extra = 1; extra <= noise; extra++) other.placeLimit(100 + extra, Side.buy, 90 + (extra % 9), 5)
        for (const order of resting) {
          other.placeLimit(order.id, Side.buy, 90, order.lots + 1)
          other.amend(order.id, order.price, order.lots)
        }
        for (let extra = noise; extra >= 1; extra--) other.cancel(100 + extra)
        assert.equal(other.stateHash(), plain.stateHash())
        if (resting.length === 0) return
        const [first] = resting
        if (first === undefined) return
        const hash = plain.stateHash()
        plain.amend(first.id, first.price, first.lots + 1)
        assert.notEqual(plain.stateHash(), hash)
      }),
    )
  })
})
