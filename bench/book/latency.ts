import { type Book, createBook } from '#services/engine/book/book.ts'
import { ChecksumSink, type Commands, drive, type Messages } from '#services/engine/book/testing/messages.ts'

export interface Latency {
  readonly p50Ns: number
  readonly p99Ns: number
  readonly p999Ns: number
  readonly p9999Ns: number
  readonly maxNs: number
}
/** What the slowest 0.01 % had in common, as shares. */
export interface Tail {
  readonly grown: number
  readonly tenFillsOrMore: number
  readonly rest: number
}

/** Takes every message and does nothing: what the clock and the machine add. */
const idle: Commands = {
  placeLimit: () => 'accepted',
  placeMarket: () => 'accepted',
  placeMarketByQuote: () => 'accepted',
  cancel: () => 'accepted',
  amend: () => 'accepted',
}

export function measureLatency(messages: Messages, fillCount: number): { book: Latency; idle: Latency; tail: Tail } {
  const sink = new ChecksumSink()
  const book = createBook({ sink })
  const count = messages.count - fillCount
  const idleNs = new Float64Array(count)
  for (let index = 0; index < count; index++) {
    const startedMs = performance.now()
    drive(idle, messages, fillCount + index, fillCount + index + 1)
    idleNs[index] = (performance.now() - startedMs) * 1e6
  }
  drive(book, messages, 0, fillCount)
  const bookNs = new Float64Array(count)
  const fills = new Uint16Array(count)
  const grown = new Uint8Array(count)
  for (let index = 0; index < count; index++) {
    const [fillsBefore, capacityBefore] = [sink.trades, book.slotsCapacity]
    const startedMs = performance.now()
    drive(book, messages, fillCount + index, fillCount + index + 1)
    bookNs[index] = (performance.now() - startedMs) * 1e6
    fills[index] = sink.trades - fillsBefore
    grown[index] = book.slotsCapacity === capacityBefore ? 0 : 1
  }
  return { book: summary(bookNs), idle: summary(idleNs), tail: tailOf(bookNs, fills, grown) }
}

/** The time that filling a new book with so many orders takes at most for one of them: growing is what takes it. */
export function measureGrowth(ordersCount: number): { maxMs: number; slots: number } {
  const book: Book = createBook({ sink: new ChecksumSink() })
  let maxMs = 0
  let slots = 0
  for (let id = 1; id <= ordersCount; id++) {
    const startedMs = performance.now()
    book.placeLimit(id, 0, 1 + (id % 1000), 1)
    const elapsedMs = performance.now() - startedMs
    if (elapsedMs > maxMs) {
      maxMs = elapsedMs
      slots = book.slotsCapacity
    }
  }
  return { maxMs, slots }
}

function summary(ns: Float64Array): Latency {
  const sorted = ns.slice().sort()
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
  return { p50Ns: at(0.5), p99Ns: at(0.99), p999Ns: at(0.999), p9999Ns: at(0.9999), maxNs: at(1) }
}

function tailOf(ns: Float64Array, fills: Uint16Array, grown: Uint8Array): Tail {
  const slowest = Array.from(ns.keys())
    .sort((a, b) => (ns[b] ?? 0) - (ns[a] ?? 0))
    .slice(0, Math.max(1, Math.round(ns.length / 10_000)))
  const share = (is: (index: number) => boolean) => slowest.filter(is).length / slowest.length
  const isGrown = (index: number) => grown[index] === 1
  const isLong = (index: number) => !isGrown(index) && (fills[index] ?? 0) >= 10
  return {
    grown: share(isGrown),
    tenFillsOrMore: share(isLong),
    rest: share((index) => !isGrown(index) && !isLong(index)),
  }
}
