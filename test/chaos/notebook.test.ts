import assert from 'node:assert/strict'
import type { Listing, OrderHistory } from './history.ts'
import { NEWEST_AT_HAND, Notebook } from './notebook.ts'

const orderOf = (n: number): OrderHistory => ({
  clientOrderId: `7-${n}`,
  instrument: 'BTC-USDT',
  side: 'buy',
  type: 'limit',
  price: n,
  amount: 1,
  attempts: ['unknown', 'told'],
  told: [
    {
      step: n,
      how: 'done',
      orderId: `id-${n}`,
      sequence: n,
      status: 'new',
      price: n,
      amount: 1,
      executed: 0,
      fills: [{ tradeId: 't', price: n, amount: 1, fee: 0 }],
    },
  ],
  cancels: [],
  amendments: [],
  missed: 0,
})

describe('a notebook', () => {
  it('gives back what was put away, and keeps at hand what may change', () => {
    const changing = new Set<OrderHistory>()
    const notebook = new Notebook(7, (order) => changing.has(order))
    const listings = Array.from({ length: 30 }, (_, step): Listing => {
      return { step, what: 'newest', full: false, orderIds: new Set([`id-${step}`]) }
    })
    const orders = Array.from({ length: 1_000 }, (_, n) => orderOf(n))
    for (const [n, order] of orders.entries()) {
      if (n % 100 === 0) changing.add(order)
      notebook.addOrder(order)
      const listing = listings[n / 10]
      if (listing !== undefined) notebook.addListing(listing)
      assert.equal(notebook.atHand.at(-1), order)
      assert(notebook.atHand.length >= Math.min(n + 1, NEWEST_AT_HAND))
      for (const one of changing) assert(notebook.atHand.includes(one))
    }
    for (const order of changing) order.missed++
    assert(notebook.atHand.length < 100)
    assert.equal(notebook.ordersCount, 1_000)
    const { memberId, orders: kept, listings: listed } = notebook.history()
    assert.equal(memberId, 7)
    const inOrder = (some: readonly OrderHistory[]): OrderHistory[] => [...some].sort((a, b) => a.price - b.price)
    assert.deepEqual(inOrder(kept), orders)
    assert.deepEqual(listed, listings)
  })
})
