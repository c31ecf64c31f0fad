import assert from 'node:assert/strict'
import { type Book, createBook, Side } from './book.ts'
import { EventLog } from './testing/event-log.ts'
import { drive, Operation } from './testing/messages.ts'
import { generateMix, MIXES } from './testing/mixes.ts'
import { NaiveBook } from './testing/naive-book.ts'
import { Random } from './testing/random.ts'

const SEED = Number(process.env.BOOK_TEST_SEED ?? 1)

interface Pair {
  readonly book: Book
  readonly twin: NaiveBook
  readonly bookLog: EventLog
  readonly twinLog: EventLog
}

function pair(fillsMax?: number, ordersMax?: number): Pair {
  const [bookLog, twinLog] = [new EventLog(), new EventLog()]
  const options = { fillsPerCommandMax: fillsMax ?? 10_000, ordersMax: ordersMax ?? 2 ** 24 }
  return {
    book: createBook({ sink: bookLog, ...options }),
    twin: new NaiveBook(twinLog, fillsMax, ordersMax),
    bookLog,
    twinLog,
  }
}

/** Whether the last command was accepted, its events, and the best prices. */
function compareLast(
  { book, twin, bookLog, twinLog }: Pair,
  results: readonly [unknown, unknown],
  where: string,
): void {
  assert.equal(results[0], results[1], where)
  assert.deepEqual(bookLog.take(), twinLog.take(), where)
  assert.equal(book.bestBid(), twin.bids[0]?.price ?? 0, where)
  assert.equal(book.bestAsk(), twin.asks[0]?.price ?? 0, where)
  assert.equal(book.ordersCount, twin.orders.size, where)
}

/** Every order and every level. */
function compareAll({ book, twin }: Pair, where: string): void {
  assert.equal(book.stateHash(), twin.stateHash(), where)
  const orders: unknown[] = []
  book.forEachOrder((id, slot, side, price, remaining, total) => {
    orders.push({ id, side, price, remaining, total })
    const bySlot = [book.orderIdAt(slot), book.sideAt(slot), book.priceTicksAt(slot)]
    assert.deepEqual(bySlot, [id, side, price], where)
    assert.deepEqual([book.remainingLotsAt(slot), book.totalLotsAt(slot)], [remaining, total], where)
    assert.equal(book.slotOf(id), slot, where)
  })
  assert.deepEqual(orders, twin.inOrder(), where)
  for (const [side, levels] of [
    [Side.buy, twin.bids],
    [Side.sell, twin.asks],
  ] as const) {
    const depth: unknown[] = []
    book.depth(side, Number.POSITIVE_INFINITY, (price, lots, count, carry) => {
      depth.push([price, BigInt(carry) * 2n ** 53n + BigInt(lots), count])
      assert.equal(book.lotsAtPrice(side, price), lots, where)
      assert.equal(book.lotsAtPrice(side === Side.buy ? Side.sell : Side.buy, price), 0, where)
    })
    const sum = (lots: readonly { remaining: number }[]) => lots.reduce((all, each) => all + BigInt(each.remaining), 0n)
    const expected = levels.map(({ price, queue }) => [price, sum(queue), queue.length])
    assert.deepEqual(depth, expected, where)
  }
}

describe('order book and its naive twin', function () {
  this.timeout(60_000)

  for (const mix of MIXES) {
    it(`say the same of the mix ${mix.name}`, () => {
      const small = { ...mix, resting: Math.min(mix.resting, 1000), ...(mix.crowd && { crowd: 3000 }) }
      const { messages } = generateMix(small, 10_000, SEED)
      const both = pair()
      for (let index = 0; index < messages.count; index++) {
        const results = [
          drive(both.book, messages, index, index + 1),
          drive(both.twin, messages, index, index + 1),
        ] as const
        const where = `seed ${SEED}, message ${index}`
        compareLast(both, results, where)
        if (index % 500 === 0) compareAll(both, where)
      }
      compareAll(both, 'at the end')
    })
  }

  for (const [name, priceOf] of Object.entries({
    'few prices': (random: Random) => random.between(95, 105),
    'any price': (random: Random) => 1 + random.below(2 ** 31 - 1),
    'the ends of the range': (random: Random) => random.pick([1, 2, 32, 33, 2 ** 30, 2 ** 31 - 2, 2 ** 31 - 1]),
  })) {
    it(`say the same of anything at ${name}, sense or nonsense`, () => {
      for (let seed = SEED; seed < SEED + 10; seed++) {
        const random = new Random(seed)
        const both = pair(random.pick([1, 3, 10_000]), random.pick([20, 200, 2 ** 24]))
        const lotsMax = random.pick([3, 100, Number.MAX_SAFE_INTEGER])
        for (let index = 0; index < 3000; index++) {
          const messages = anyCommand(random, priceOf, lotsMax)
          const where = `seed ${seed}, command ${index}`
          compareLast(both, [send(both.book, messages), send(both.twin, messages)], where)
          if (index % 100 === 0) compareAll(both, where)
        }
        compareAll(both, `seed ${seed}, at the end`)
      }
    })
  }
})

type Command = readonly [operation: Operation, side: Side, id: number, price: number, amount: number]

function anyCommand(random: Random, priceOf: (random: Random) => number, lotsMax: number): Command {
  const odd = () => random.pick([0, -1, 0.5, Number.NaN, 2 ** 53, 2 ** 31, Number.POSITIVE_INFINITY])
  const or = (value: number) => (random.below(50) === 0 ? odd() : value)
  const operation = random.pick<Operation>([
    Operation.placeLimit,
    Operation.placeLimit,
    Operation.placeLimit,
    Operation.cancel,
    Operation.amend,
    Operation.amend,
    random.pick([Operation.placeMarket, Operation.placeMarketByQuote]),
  ])
  const lots = Math.max(1, Math.ceil(random.unit() * lotsMax))
  const quote = Math.max(1, Math.floor(random.unit() * Math.min(Number.MAX_SAFE_INTEGER, lotsMax * 300)))
  const side = random.below(100) === 0 ? (odd() as Side) : random.pick<Side>([Side.buy, Side.sell])
  const amount = operation === Operation.placeMarketByQuote ? quote : lots
  return [operation, side, or(random.between(1, 300)), or(priceOf(random)), or(amount)]
}

function send(
  book: Pick<Book, 'placeLimit' | 'placeMarket' | 'placeMarketByQuote' | 'cancel' | 'amend'>,
  command: Command,
) {
  const [operation, side, id, price, amount] = command
  if (operation === Operation.placeLimit) return book.placeLimit(id, side, price, amount)
  if (operation === Operation.cancel) return book.cancel(id)
  if (operation === Operation.amend) return book.amend(id, price, amount)
  if (operation === Operation.placeMarket) return book.placeMarket(id, side, amount, price)
  return book.placeMarketByQuote(id, side, amount, price)
}
