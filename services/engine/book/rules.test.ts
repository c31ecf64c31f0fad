import assert from 'node:assert/strict'
import { AMOUNT_LOTS_MAX, type BookOptions, createBook, EndReason, PRICE_TICKS_MAX, Side } from './book.ts'
import { EventLog } from './testing/event-log.ts'

const silent = { traded() {}, rested() {}, reduced() {}, cancelled() {}, ended() {} }

/**
 * Each line is a command, then what it says: events, or a code. `buy 1 5 @ 100`, `market buy 1 5 @ 100` (worst price),
 * `quote buy 1 500 @ 100`, `cancel 1`, `amend 1 5 @ 100` (new total).
 */
function check(script: string, options: Partial<BookOptions> = {}): void {
  const log = new EventLog()
  const book = createBook({ sink: log, ...options })
  for (const line of script.trim().split('\n')) {
    const [command = '', expected = ''] = line.split('→').map((text) => text.trim())
    const result = run(book, command)
    const events = log.take().join('; ')
    assert.equal(result === 'accepted' ? events : `${result}${events}`, expected, command)
  }
}

function run(book: ReturnType<typeof createBook>, command: string): string {
  const words = command.split(/[ @]+/)
  const kind = ['market', 'quote'].includes(words[0] ?? '') ? words.shift() : 'limit'
  const [verb, ...numbers] = words
  const [id = 0, amount = 0, price = 0] = numbers.map(Number)
  if (verb === 'cancel') return book.cancel(id)
  if (verb === 'amend') return book.amend(id, price, amount)
  const side = verb === 'buy' ? Side.buy : Side.sell
  if (kind === 'market') return book.placeMarket(id, side, amount, price)
  if (kind === 'quote') return book.placeMarketByQuote(id, side, amount, price)
  return book.placeLimit(id, side, price, amount)
}

describe('order book rules', () => {
  it('puts price before time, on both sides', () => {
    check(`
      sell 1 5 @ 101 → 1 rests 5
      sell 2 5 @ 100 → 2 rests 5
      sell 3 5 @ 100 → 3 rests 5
      buy 4 12 @ 101 → 4 trades 5 @ 100 with 2, 0 left; 4 trades 5 @ 100 with 3, 0 left; 4 trades 2 @ 101 with 1, 3 left; 4 ended 0 filled`)
    check(`
      buy 1 5 @ 99 → 1 rests 5
      buy 2 5 @ 100 → 2 rests 5
      buy 3 5 @ 100 → 3 rests 5
      sell 4 12 @ 99 → 4 trades 5 @ 100 with 2, 0 left; 4 trades 5 @ 100 with 3, 0 left; 4 trades 2 @ 99 with 1, 3 left; 4 ended 0 filled`)
  })

  it('fills at the price of the resting order, never beyond the limit, and rests what is left', () => {
    check(`
      sell 1 5 @ 100 → 1 rests 5
      sell 2 5 @ 102 → 2 rests 5
      buy 3 8 @ 101 → 3 trades 5 @ 100 with 1, 0 left; 3 rests 3
      sell 4 4 @ 1 → 4 trades 3 @ 101 with 3, 0 left; 4 rests 1`)
  })

  it('keeps the place of a partly filled order', () => {
    check(`
      sell 1 5 @ 100 → 1 rests 5
      sell 2 5 @ 100 → 2 rests 5
      buy 3 2 @ 100 → 3 trades 2 @ 100 with 1, 3 left; 3 ended 0 filled
      buy 4 4 @ 100 → 4 trades 3 @ 100 with 1, 0 left; 4 trades 1 @ 100 with 2, 4 left; 4 ended 0 filled`)
  })

  it('loses nobody when an order at the head, in the middle or at the end is cancelled', () => {
    for (const cancelled of [1, 2, 3]) {
      const others = [1, 2, 3].filter((id) => id !== cancelled)
      check(`
        sell 1 1 @ 100 → 1 rests 1
        sell 2 1 @ 100 → 2 rests 1
        sell 3 1 @ 100 → 3 rests 1
        cancel ${cancelled} → ${cancelled} cancelled 1
        sell 4 1 @ 100 → 4 rests 1
        buy 5 3 @ 100 → ${[...others, 4].map((id) => `5 trades 1 @ 100 with ${id}, 0 left`).join('; ')}; 5 ended 0 filled`)
    }
  })

  it('keeps a queue whole when neighbours go one after the other, by cancellation or by fills', () => {
    const three = `
        sell 1 1 @ 100 → 1 rests 1
        sell 2 1 @ 100 → 2 rests 1
        sell 3 1 @ 100 → 3 rests 1`
    check(`${three}
        cancel 2 → 2 cancelled 1
        cancel 3 → 3 cancelled 1
        sell 4 1 @ 200 → 4 rests 1
        buy 5 2 @ 100 → 5 trades 1 @ 100 with 1, 0 left; 5 rests 1`)
    check(`${three}
        buy 4 1 @ 100 → 4 trades 1 @ 100 with 1, 0 left; 4 ended 0 filled
        cancel 2 → 2 cancelled 1
        buy 5 1 @ 100 → 5 trades 1 @ 100 with 3, 0 left; 5 ended 0 filled`)
  })

  it('keeps the place for less at the same price, executed lots included in the total', () => {
    check(`
      sell 1 10 @ 100 → 1 rests 10
      sell 2 10 @ 100 → 2 rests 10
      buy 3 4 @ 100 → 3 trades 4 @ 100 with 1, 6 left; 3 ended 0 filled
      amend 1 9 @ 100 → 1 reduced to 5
      amend 1 4 @ 100 → amount_not_above_executed
      amend 1 3 @ 99 → amount_not_above_executed
      buy 4 6 @ 100 → 4 trades 5 @ 100 with 1, 0 left; 4 trades 1 @ 100 with 2, 9 left; 4 ended 0 filled`)
  })

  for (const [what, amendment] of Object.entries({
    more: '11 @ 100',
    'the same': '10 @ 100',
  })) {
    it(`loses the place for ${what} at the same price`, () => {
      check(`
        sell 1 10 @ 100 → 1 rests 10
        sell 2 10 @ 100 → 2 rests 10
        amend 1 ${amendment} → 1 rests ${Number.parseInt(amendment, 10)}
        buy 3 1 @ 100 → 3 trades 1 @ 100 with 2, 9 left; 3 ended 0 filled`)
    })
  }

  it('loses the place for less at another price, also when it comes back', () => {
    check(`
      sell 1 10 @ 100 → 1 rests 10
      sell 2 10 @ 100 → 2 rests 10
      amend 1 9 @ 101 → 1 rests 9
      amend 1 8 @ 100 → 1 rests 8
      buy 3 1 @ 100 → 3 trades 1 @ 100 with 2, 9 left; 3 ended 0 filled`)
  })

  it('matches an amendment that crosses at once', () => {
    check(`
      sell 1 5 @ 105 → 1 rests 5
      buy 2 8 @ 100 → 2 rests 8
      amend 2 8 @ 105 → 2 trades 5 @ 105 with 1, 0 left; 2 rests 3
      sell 3 3 @ 110 → 3 rests 3
      amend 2 8 @ 111 → 2 trades 3 @ 110 with 3, 0 left; 2 ended 0 filled
      cancel 2 → order_not_found
      buy 2 1 @ 1 → 2 rests 1`)
  })

  it('neither cancels nor amends what is filled, cancelled or was never there', () => {
    check(`
      sell 1 5 @ 100 → 1 rests 5
      buy 2 5 @ 100 → 2 trades 5 @ 100 with 1, 0 left; 2 ended 0 filled
      cancel 1 → order_not_found
      amend 1 9 @ 100 → order_not_found
      cancel 2 → order_not_found
      sell 3 5 @ 100 → 3 rests 5
      cancel 3 → 3 cancelled 5
      cancel 3 → order_not_found
      amend 3 9 @ 100 → order_not_found`)
  })

  it('frees an id when its order is gone, not before', () => {
    check(`
      sell 1 5 @ 100 → 1 rests 5
      buy 1 5 @ 100 → order_id_known
      market buy 1 5 @ 100 → order_id_known
      quote buy 1 500 @ 100 → order_id_known
      buy 2 2 @ 100 → 2 trades 2 @ 100 with 1, 3 left; 2 ended 0 filled
      sell 1 5 @ 100 → order_id_known
      buy 2 3 @ 100 → 2 trades 3 @ 100 with 1, 0 left; 2 ended 0 filled
      sell 1 5 @ 100 → 1 rests 5`)
  })

  it('ends the rest of a market order: nothing left, or beyond the worst price', () => {
    check(`
      market buy 1 5 @ ${PRICE_TICKS_MAX} → 1 ended 5 no_liquidity
      sell 2 5 @ 100 → 2 rests 5
      sell 3 5 @ 101 → 3 rests 5
      market buy 4 7 @ 100 → 4 trades 5 @ 100 with 2, 0 left; 4 ended 2 worst_price
      market buy 5 7 @ 101 → 5 trades 5 @ 101 with 3, 0 left; 5 ended 2 no_liquidity
      buy 6 5 @ 100 → 6 rests 5
      market sell 7 3 @ 100 → 7 trades 3 @ 100 with 6, 2 left; 7 ended 0 filled
      market sell 8 3 @ 101 → 8 ended 3 worst_price`)
  })

  it('spends a quote in whole lots', () => {
    check(`
      sell 1 5 @ 100 → 1 rests 5
      sell 2 5 @ 150 → 2 rests 5
      quote buy 3 99 @ 200 → 3 ended 99 less_than_one_lot
      quote buy 4 649 @ 200 → 4 trades 5 @ 100 with 1, 0 left; 4 ended 149 less_than_one_lot
      quote buy 5 300 @ 200 → 5 trades 2 @ 150 with 2, 3 left; 5 ended 0 filled
      quote buy 6 300 @ 149 → 6 ended 300 worst_price
      quote buy 7 1000 @ 200 → 7 trades 3 @ 150 with 2, 0 left; 7 ended 550 no_liquidity
      buy 8 5 @ 90 → 8 rests 5
      quote sell 9 200 @ 80 → 9 trades 2 @ 90 with 8, 3 left; 9 ended 20 less_than_one_lot`)
  })

  it('counts quotes exactly up to 2^53−1 tick × lots', () => {
    const price = 2 ** 31 - 1
    const lots = Math.floor(Number.MAX_SAFE_INTEGER / price)
    for (let less = 0; less < 50; less++) {
      const quote = Number.MAX_SAFE_INTEGER - less
      const exact = BigInt(quote) / BigInt(price)
      const rest = BigInt(quote) - exact * BigInt(price)
      check(`
        sell 1 ${AMOUNT_LOTS_MAX} @ ${price} → 1 rests ${AMOUNT_LOTS_MAX}
        quote buy 2 ${quote} @ ${price} → 2 trades ${exact} @ ${price} with 1, ${AMOUNT_LOTS_MAX - lots} left; 2 ended ${rest} less_than_one_lot`)
    }
    // One tick × lot short of a whole number of lots.
    for (const [priceTicks, lotsOfIt] of [
      [3, 3002399751580330],
      [5, 1801439850948198],
      [2147483646, 4194304],
    ] as const) {
      const quote = priceTicks * lotsOfIt - 1
      const rest = priceTicks - 1
      check(`
        sell 1 ${AMOUNT_LOTS_MAX} @ ${priceTicks} → 1 rests ${AMOUNT_LOTS_MAX}
        quote buy 2 ${quote} @ ${priceTicks} → 2 trades ${lotsOfIt - 1} @ ${priceTicks} with 1, ${AMOUNT_LOTS_MAX - lotsOfIt + 1} left; 2 ended ${rest} less_than_one_lot`)
    }
  })

  it('bounds the fills of one command; the rest ends, of a limit order and an amended one too', () => {
    const three = `
      sell 1 1 @ 100 → 1 rests 1
      sell 2 1 @ 100 → 2 rests 1
      sell 3 1 @ 101 → 3 rests 1`
    const two = (id: number) => `${id} trades 1 @ 100 with 1, 0 left; ${id} trades 1 @ 100 with 2, 0 left`
    const options = { fillsPerCommandMax: 2 }
    check(`${three}\n buy 4 3 @ 101 → ${two(4)}; 4 ended 1 fills_limit\n cancel 4 → order_not_found`, options)
    check(`${three}\n market buy 4 3 @ 101 → ${two(4)}; 4 ended 1 fills_limit`, options)
    check(`${three}\n quote buy 4 301 @ 101 → ${two(4)}; 4 ended 101 fills_limit`, options)
    check(
      `${three}
      buy 4 3 @ 99 → 4 rests 3
      amend 4 3 @ 101 → ${two(4)}; 4 ended 1 fills_limit
      cancel 4 → order_not_found
      buy 5 1 @ 101 → 5 trades 1 @ 101 with 3, 0 left; 5 ended 0 filled`,
      options,
    )
    // The limit is no reason if no more was possible, or nothing is left.
    check(`${three}\n buy 4 3 @ 100 → ${two(4)}; 4 rests 1`, options)
    check(`${three}\n buy 4 2 @ 101 → ${two(4)}; 4 ended 0 filled`, options)
  })

  it('allows 10 000 fills by default, 5 000 of them at one price', () => {
    const log = new EventLog()
    const book = createBook({ sink: log })
    for (let id = 1; id <= 10_001; id++) book.placeLimit(id, Side.sell, id <= 5000 ? 100 : 101, 1)
    log.take()
    book.placeLimit(20_000, Side.buy, 100, 5000)
    const events = log.take()
    assert.equal(events.length, 5001)
    events.forEach((line, index) => {
      const fill = `20000 trades 1 @ 100 with ${index + 1}, 0 left`
      assert.equal(line, index === 5000 ? '20000 ended 0 filled' : fill)
    })
    for (let id = 1; id <= 5000; id++) book.placeLimit(id, Side.sell, 100, 1)
    log.take()
    book.placeLimit(20_000, Side.buy, 101, 20_000)
    assert.equal(log.take().at(-1), '20000 ended 10000 fills_limit')
    assert.equal(book.ordersCount, 1)
    assert.equal(book.bestAsk(), 101)
  })

  it('refuses what is outside, of any type, with the highest code, and changes nothing', () => {
    const log = new EventLog()
    const book = createBook({ sink: log, ordersMax: 2 })
    book.placeLimit(1, Side.buy, 100, 10)
    book.placeLimit(2, Side.sell, 110, 10)
    log.take()
    const before = Buffer.from(book.snapshot())
    const odd: unknown[] = [0, -0, -1, 0.5, Number.NaN, Infinity, -Infinity, 2 ** 53, 1e300, undefined, null, '1', true]
    odd.push(1n, Symbol('1'), {}, [], [1], () => 1, { valueOf: () => assert.fail('was asked for its value') })
    const place = book.placeLimit.bind(book) as (...args: unknown[]) => string
    const market = book.placeMarket.bind(book) as (...args: unknown[]) => string
    const quote = book.placeMarketByQuote.bind(book) as (...args: unknown[]) => string
    const cancel = book.cancel.bind(book) as (...args: unknown[]) => string
    const amend = book.amend.bind(book) as (...args: unknown[]) => string
    for (const value of odd) {
      assert.equal(place(value, 9, value, value), 'order_id_invalid')
      assert.equal(market(value, 9, value, value), 'order_id_invalid')
      assert.equal(quote(value, 9, value, value), 'order_id_invalid')
      assert.equal(cancel(value), 'order_id_invalid')
      assert.equal(amend(value, value, value), 'order_id_invalid')
      if (value !== 0) {
        assert.equal(place(1, value, value, value), 'side_invalid')
        assert.equal(market(1, value, value, value), 'side_invalid')
        assert.equal(quote(1, value, value, value), 'side_invalid')
      }
      assert.equal(place(1, Side.buy, value, value), 'order_id_known')
      assert.equal(market(1, Side.buy, value, value), 'order_id_known')
      assert.equal(quote(1, Side.buy, value, value), 'order_id_known')
      assert.equal(amend(3, value, value), 'order_not_found')
      assert.equal(place(3, Side.buy, value, value), 'price_out_of_range')
      assert.equal(market(3, Side.buy, value, value), 'price_out_of_range')
      assert.equal(quote(3, Side.buy, value, value), 'price_out_of_range')
      assert.equal(amend(1, value, value), 'price_out_of_range')
      assert.equal(place(3, Side.buy, 100, value), 'amount_out_of_range')
      assert.equal(market(3, Side.buy, value, 100), 'amount_out_of_range')
      assert.equal(quote(3, Side.buy, value, 100), 'quote_out_of_range')
      assert.equal(amend(1, 100, value), 'amount_out_of_range')
      const read = book as unknown as Record<string, (...args: unknown[]) => unknown>
      assert.equal(read.has?.(value), false)
      assert.equal(read.slotOf?.(value), -1)
      assert.equal(read.lotsAtPrice?.(value, value), 0)
      if (value !== 0) {
        for (const name of ['orderIdAt', 'sideAt', 'priceTicksAt', 'remainingLotsAt', 'totalLotsAt'])
          assert.equal(read[name]?.(value), value === 1 ? read[name]?.(1) : 0, name)
        assert.equal(read.depth?.(value, 1, assert.fail), 0)
      }
    }
    assert.equal(place(3, Side.buy, PRICE_TICKS_MAX + 1, 1), 'price_out_of_range')
    assert.equal(place(3, Side.buy, 2 ** 32 + 100, 1), 'price_out_of_range')
    assert.equal(place(3, Side.buy, 100, AMOUNT_LOTS_MAX), 'book_full')
    assert.equal(amend(1, 100, 10.5), 'amount_out_of_range')
    assert.deepEqual(log.take(), [])
    assert.deepEqual(Buffer.from(book.snapshot()), before)
    assert.equal(book.placeMarket(3, Side.buy, 1, 110), 'accepted')
  })

  it('refuses options outside their range', () => {
    for (const value of [0, -1, 0.5, Number.NaN, 2 ** 31]) {
      assert.throws(() => createBook({ sink: silent, fillsPerCommandMax: value }), RangeError)
      assert.throws(() => createBook({ sink: silent, ordersMax: value }), RangeError)
    }
  })

  it('takes the extremes of prices, amounts and ids', () => {
    check(`
      buy 9007199254740991 ${AMOUNT_LOTS_MAX} @ 1 → 9007199254740991 rests ${AMOUNT_LOTS_MAX}
      sell 1 ${AMOUNT_LOTS_MAX} @ ${PRICE_TICKS_MAX} → 1 rests ${AMOUNT_LOTS_MAX}
      sell 2 ${AMOUNT_LOTS_MAX} @ ${PRICE_TICKS_MAX - 1} → 2 rests ${AMOUNT_LOTS_MAX}
      cancel 2 → 2 cancelled ${AMOUNT_LOTS_MAX}
      market sell 3 ${AMOUNT_LOTS_MAX} @ 1 → 3 trades ${AMOUNT_LOTS_MAX} @ 1 with 9007199254740991, 0 left; 3 ended 0 filled
      buy 4 ${AMOUNT_LOTS_MAX} @ ${PRICE_TICKS_MAX} → 4 trades ${AMOUNT_LOTS_MAX} @ ${PRICE_TICKS_MAX} with 1, 0 left; 4 ended 0 filled`)
  })

  it('sums a level exactly, also beyond 2^53', () => {
    const book = createBook({ sink: silent })
    const levels = () => {
      const found: bigint[] = []
      book.depth(Side.buy, 1, (_price, lots, _count, carry) => found.push(BigInt(carry) * 2n ** 53n + BigInt(lots)))
      return found[0]
    }
    for (let id = 1; id <= 5; id++) book.placeLimit(id, Side.buy, 7, AMOUNT_LOTS_MAX - id)
    assert.equal(levels(), 5n * BigInt(AMOUNT_LOTS_MAX) - 15n)
    book.cancel(2)
    assert.equal(levels(), 4n * BigInt(AMOUNT_LOTS_MAX) - 13n)
    book.amend(3, 7, 1)
    assert.equal(levels(), 3n * BigInt(AMOUNT_LOTS_MAX) - 9n)
    book.placeLimit(9, Side.sell, 7, AMOUNT_LOTS_MAX)
    assert.equal(levels(), 2n * BigInt(AMOUNT_LOTS_MAX) - 9n)
  })

  it('keeps an order in its slot, amendments included, and passes the slot to the sink', () => {
    const slots: unknown[] = []
    const book = createBook({
      sink: {
        traded: (makerId, slot) => slots.push(['traded', makerId, slot, book.orderIdAt(slot), book.slotOf(makerId)]),
        rested: (orderId, slot) => slots.push(['rested', orderId, slot, book.orderIdAt(slot), book.slotOf(orderId)]),
        reduced: (orderId, slot) => slots.push(['reduced', orderId, slot, book.orderIdAt(slot), book.slotOf(orderId)]),
        cancelled: (id, slot) => slots.push(['cancelled', id, slot, book.orderIdAt(slot), book.slotOf(id)]),
        ended: (orderId, slot) => slots.push(['ended', orderId, slot, book.orderIdAt(slot), book.slotOf(orderId)]),
      },
    })
    book.placeLimit(7, Side.buy, 100, 10)
    book.placeLimit(8, Side.buy, 100, 10)
    book.amend(7, 90, 10)
    book.amend(7, 90, 9)
    book.cancel(8)
    book.placeLimit(9, Side.sell, 110, 4)
    book.amend(7, 110, 9)
    book.placeLimit(10, Side.sell, 120, 5)
    book.amend(7, 120, 9)
    assert.deepEqual(slots, [
      ['rested', 7, 0, 7, 0],
      ['rested', 8, 1, 8, 1],
      ['rested', 7, 0, 7, 0],
      ['reduced', 7, 0, 7, 0],
      ['cancelled', 8, 1, 8, 1],
      ['rested', 9, 1, 9, 1],
      ['traded', 9, 1, 9, 1],
      ['rested', 7, 0, 7, 0],
      ['rested', 10, 1, 10, 1],
      ['traded', 10, 1, 10, 1],
      ['ended', 7, 0, 7, 0],
    ])
    assert.equal(book.slotOf(7), -1)
    assert.equal(book.ordersCount, 0)
    assert.equal(book.slotsCapacity, 8)
  })

  it('takes no more memory for orders and prices that are gone', () => {
    const book = createBook({ sink: silent })
    const before = process.memoryUsage().arrayBuffers
    for (let id = 1; id <= 300_000; id += 3) {
      book.placeLimit(id, Side.buy, id, 1)
      book.placeLimit(id + 1, Side.sell, id, 1)
      book.placeLimit(id + 2, Side.buy, id, 1)
      book.amend(id + 2, 2 ** 31 - id, 1)
      book.cancel(id + 2)
    }
    assert.equal(book.ordersCount, 0)
    const growthBytes = process.memoryUsage().arrayBuffers - before
    assert(growthBytes < 100_000, `${growthBytes} bytes`)
  })

  it('names its numbers as documented', () => {
    assert.deepEqual(EndReason, { filled: 0, noLiquidity: 1, worstPrice: 2, fillsLimit: 3, lessThanOneLot: 4 })
    assert.deepEqual(Side, { buy: 0, sell: 1 })
  })
})
