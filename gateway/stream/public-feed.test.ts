import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { DepthBook, type Level } from '#mesh/domain/depth-book.ts'
import { marketOf } from '#mesh/edge/market.ts'
import type { BookPush } from '#mesh/protocol/push.ts'
import { eventually } from '../../test/support/eventually.ts'
import { ClientBook } from '../../test/support/stream.ts'
import { BookFeed } from './public-feed.ts'
import type { Sink } from './topic.ts'

const MARKET = marketOf(
  {
    instrument: 'AAA-BBB',
    base: 'AAA',
    quote: 'BBB',
    tick: '0.05',
    lot: '0.001',
    baseMinorPerLot: '1',
    quoteMinorPerTickLot: '5',
    amountLotsMin: 1,
    makerFeePpm: 0,
    takerFeePpm: 0,
    slippagePpm: 0,
    marketSlot: 0,
    status: 'trading',
  },
  { asset: 'AAA', scale: 3 },
  { asset: 'BBB', scale: 5 },
)

/** A client that takes everything, and at times has no room. */
class Reader implements Sink {
  isOpen = true
  isFull = false
  readonly book: ClientBook
  constructor(depth: number) {
    this.book = new ClientBook(depth)
  }
  send(message: Buffer): void {
    this.book.take(JSON.parse(message.toString()))
  }
}

describe('books on their way to clients', function () {
  this.timeout(120_000)

  it('fit every checksum over a million changes, of which some get lost, come twice, or find no room', async () => {
    const CHANGES = 1_000_000
    const AT_ONCE = 1_000
    const market = new DepthBook()
    const all = Number.POSITIVE_INFINITY
    let loads = 0
    const feed = new BookFeed(MARKET, (async () => {
      loads += 1
      await sleep(1)
      return {
        read: 'book',
        sequence: market.sequence,
        timeUs: 1,
        bids: market.bids.top(all),
        asks: market.asks.top(all),
      }
    }) as never)
    const depths = { '10': 10, '50': 50, '500': 500, full: 5_000 } as const
    const readers = Object.entries(depths).map(([name, levels]) => {
      const reader = new Reader(levels)
      const depth = name as keyof typeof depths
      feed.topic({ kind: 'orderbook', name: `orderbook:AAA-BBB:${name}`, instrument: 'AAA-BBB', depth }).add(reader)
      return reader
    })
    await feed.load()

    let seed = 20_310_504
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % below
    }
    for (let sequence = 1; sequence <= CHANGES; sequence++) {
      const isBid = random(2) === 0
      // Mostly near the middle, at times far away.
      const away = random(10) === 0 ? random(2_000) : random(40)
      const level: Level[] = [[isBid ? 10_000 - away : 10_001 + away, random(3) === 0 ? 0 : 1 + random(1_000)]]
      const push: BookPush = {
        first: sequence,
        last: sequence,
        timeUs: sequence,
        bids: isBid ? level : [],
        asks: isBid ? [] : level,
      }
      market.apply(push)
      const luck = random(20_000)
      if (luck > 0) feed.take(push)
      if (luck === 1) feed.take(push)
      if (sequence % AT_ONCE === 0) {
        for (const reader of readers) reader.isFull = random(10) === 0
        await sleep(3)
      }
    }
    for (const reader of readers) reader.isFull = false
    // The last may be among the lost ones, which is what is compared from time to time.
    if (feed.isBehind(market.sequence)) await feed.load()
    await eventually(() => {
      for (const [index, depth] of Object.values(depths).entries()) {
        const book = readers[index]?.book
        const prices = (levels: readonly Level[], sign: 1 | -1) =>
          levels.map(([ticks]) => (ticks * 5) / 100).sort((a, b) => (b - a) * sign)
        assert.deepEqual(
          book?.bids.map(([price]) => Number(price)),
          prices(market.bids.top(depth), 1),
        )
        assert.deepEqual(
          book?.asks.map(([price]) => Number(price)),
          prices(market.asks.top(depth), -1),
        )
      }
    })
    assert(loads > 10, `${loads} times a change was missing`)
    // Who is full while a change is missing gets a new snapshot: by chance, but not nobody ever.
    // How much is conflated is a matter of the machine.
    for (const { book } of readers) assert(book.changes > 0 && book.snapshots > 0, `${book.changes} changes`)
    const snapshots = readers.map(({ book }) => book.snapshots)
    assert(Math.max(...snapshots) > 1, `${snapshots} snapshots`)
  })
})
