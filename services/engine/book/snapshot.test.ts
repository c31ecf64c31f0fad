import assert from 'node:assert/strict'
import { type Book, type BookSink, createBook, Side } from './book.ts'
import { drive } from './testing/messages.ts'
import { generateMix, MIXES } from './testing/mixes.ts'
import { Random } from './testing/random.ts'

/** All numbers of all events, slots included. */
class ExactLog implements BookSink {
  numbers: number[] = []
  traded(...event: number[]): void {
    this.numbers.push(0, ...event)
  }
  rested(...event: number[]): void {
    this.numbers.push(1, ...event)
  }
  reduced(...event: number[]): void {
    this.numbers.push(2, ...event)
  }
  cancelled(...event: number[]): void {
    this.numbers.push(3, ...event)
  }
  ended(...event: number[]): void {
    this.numbers.push(4, ...event)
  }
}

const silent: BookSink = { traded() {}, rested() {}, reduced() {}, cancelled() {}, ended() {} }

describe('order book snapshots', function () {
  this.timeout(60_000)

  it('a restored book goes on to the byte like the one that was never interrupted', () => {
    for (const mix of MIXES) {
      const small = { ...mix, resting: 200, ...(mix.crowd && { crowd: 300 }) }
      const { messages } = generateMix(small, 4000, 5)
      const log = new ExactLog()
      const book = createBook({ sink: log })
      const half = new Random(6).between(500, messages.count - 500)
      drive(book, messages, 0, half)
      const restoredLog = new ExactLog()
      const restored = createBook({ sink: restoredLog })
      // What it held before must leave no trace.
      for (let orderId = 1; orderId < 100; orderId++) restored.placeLimit(orderId, Side.buy, orderId, 1)
      const bytes = book.snapshot()
      assert.equal(restored.restore(bytes), 'accepted')
      assert.deepEqual(restored.snapshot(), bytes)
      assert.equal(restored.stateHash(), book.stateHash())
      log.numbers = []
      restoredLog.numbers = []
      drive(book, messages, half, messages.count)
      drive(restored, messages, half, messages.count)
      assert.deepEqual(restoredLog.numbers, log.numbers, mix.name)
      assert.deepEqual(restored.snapshot(), book.snapshot())
    }
  })

  it('keeps level sums beyond 2^53, and an empty book', () => {
    const book = createBook({ sink: silent })
    const empty = book.snapshot()
    for (let orderId = 1; orderId <= 3; orderId++) book.placeLimit(orderId, Side.sell, 7, Number.MAX_SAFE_INTEGER)
    const restored = createBook({ sink: silent })
    assert.equal(restored.restore(book.snapshot()), 'accepted')
    assert.equal(depthOf(restored), depthOf(book))
    assert.equal(book.restore(empty), 'accepted')
    assert.equal(book.ordersCount, 0)
    assert.deepEqual(book.snapshot(), empty)
    assert.equal(book.placeLimit(1, Side.buy, 8, 1), 'accepted')
  })

  it('reads a snapshot that lies anywhere in a larger buffer', () => {
    const book = someBook()
    const bytes = book.snapshot()
    const larger = new Uint8Array(bytes.length + 3)
    larger.set(bytes, 3)
    const restored = createBook({ sink: silent })
    assert.equal(restored.restore(larger.subarray(3)), 'accepted')
    assert.equal(restored.stateHash(), book.stateHash())
  })

  it('refuses what is no snapshot, and what is damaged in any byte, and changes nothing', () => {
    const book = someBook()
    const bytes = book.snapshot()
    const target = someBook()
    target.placeLimit(99, Side.buy, 1, 1)
    const before = target.snapshot()
    const restore = target.restore.bind(target) as (bytes: unknown) => string
    for (const value of [undefined, null, 1, 'x', {}, [], new Uint8Array(0), new Uint8Array(100), new Uint32Array(9)])
      assert.equal(restore(value), 'snapshot_unknown')
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] = (damaged[at] ?? 0) ^ 0x10
      const expected = at < 4 ? 'snapshot_unknown' : at < 8 ? 'snapshot_version_unknown' : 'snapshot_damaged'
      assert.equal(restore(damaged), expected, `byte ${at}`)
    }
    assert.equal(restore(bytes.subarray(0, bytes.length - 1)), 'snapshot_damaged')
    assert.equal(restore(new Uint8Array([...bytes, 0])), 'snapshot_damaged')
    assert.deepEqual(target.snapshot(), before)
  })

  it('refuses a sound snapshot that is no state of a book, or of a larger one', () => {
    const target = createBook({ sink: silent })
    // As many orders as `someBook` has, so that only one number differs; with a checksum that fits.
    const orderAt = 16
    for (const [what, change] of Object.entries<(view: DataView) => void>({
      'an id twice': (view) => view.setFloat64(orderAt + 32, view.getFloat64(orderAt, true), true),
      'an id outside': (view) => view.setFloat64(orderAt, 0.5, true),
      'nothing remaining': (view) => view.setFloat64(orderAt + 8, 0, true),
      'more remaining than total': (view) => view.setFloat64(orderAt + 8, 1e6, true),
      'a total outside': (view) => view.setFloat64(orderAt + 16, 2 ** 53, true),
      'no price': (view) => view.setInt32(orderAt + 24, 0, true),
      'a price outside': (view) => view.setInt32(orderAt + 24, -(2 ** 31), true),
      'a crossed book': (view) => view.setInt32(orderAt + 24, 2 ** 31 - 1, true),
      'a slot twice': (view) => view.setUint32(orderAt + 28, view.getUint32(orderAt + 32 + 28, true), true),
      'a slot outside': (view) => view.setUint32(orderAt + 28, 77, true),
      'a free slot that is used': (view) =>
        view.setUint32(view.byteLength - 12, view.getUint32(orderAt + 28, true), true),
      'a free slot outside': (view) => view.setUint32(view.byteLength - 12, 77, true),
      'a free slot twice': (view) =>
        view.setUint32(view.byteLength - 12, view.getUint32(view.byteLength - 16, true), true),
    })) {
      assert.equal(target.restore(resealed(someBook().snapshot(), change)), 'snapshot_inconsistent', what)
    }
    assert.equal(target.restore(resealed(someBook().snapshot(), () => {})), 'accepted')
    const small = createBook({ sink: silent, ordersMax: 3 })
    assert.equal(small.restore(someBook().snapshot()), 'snapshot_inconsistent')
  })
})

/** Four orders on both sides, two free slots. */
function someBook(): Book {
  const book = createBook({ sink: silent })
  for (let orderId = 1; orderId <= 6; orderId++)
    book.placeLimit(orderId, (orderId % 2) as Side, 100 + (orderId % 2) * 10, 5)
  book.placeMarket(10, Side.buy, 2, 110)
  book.cancel(4)
  book.cancel(3)
  return book
}

function depthOf(book: Book): string {
  const levels: number[][] = []
  for (const side of [Side.buy, Side.sell]) book.depth(side, 9, (...level) => levels.push(level))
  return JSON.stringify(levels)
}

/** The checksum once more, from its description. */
function resealed(bytes: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  change(view)
  const low = (value: bigint) => BigInt.asUintN(32, value)
  let [a, b] = [0x9e3779b9n, 0x85ebca6bn]
  for (let at = 0; at < view.byteLength - 8; at += 4) {
    const word = BigInt(view.getUint32(at, true))
    a = low((a ^ word) * 0x2c1b3c6dn)
    a ^= a >> 15n
    b = low((low(b + word) ^ a) * 0x297a2d39n)
    b ^= b >> 13n
  }
  view.setUint32(view.byteLength - 8, Number(a), true)
  view.setUint32(view.byteLength - 4, Number(b), true)
  return bytes
}
