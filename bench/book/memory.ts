import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type BookSink, createBook, PRICE_TICKS_MAX, Side } from '#services/engine/book/book.ts'

const silent: BookSink = { traded() {}, rested() {}, reduced() {}, cancelled() {}, ended() {} }
const MEGABYTE = 2 ** 20

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

export interface Memory {
  /** A million orders on 20 000 prices. */
  readonly denseMb: number
  /** A million orders, each alone at its price, from 1 to 2 billion ticks. */
  readonly sparseMb: number
  readonly emptyBookKb: number
}

export function measureMemory(ordersCount: number): Memory {
  const empty = emptyBook()
  const dense = fill(ordersCount, (index) => 1_000_000 - (index % 20_000))
  const step = Math.floor(PRICE_TICKS_MAX / ordersCount)
  const sparse = fill(ordersCount, (index) => 1 + index * step)
  return { denseMb: dense / MEGABYTE, sparseMb: sparse / MEGABYTE, emptyBookKb: empty / 1024 }
}

function fill(ordersCount: number, priceOf: (index: number) => number): number {
  const before = usedBytes()
  const book = createBook({ sink: silent })
  for (let index = 0; index < ordersCount; index++) book.placeLimit(index + 1, Side.buy, priceOf(index), 1)
  const bytes = usedBytes() - before
  if (book.ordersCount !== ordersCount) throw new Error('not every order rests')
  return bytes
}

function emptyBook(): number {
  const booksCount = 10_000
  const before = usedBytes()
  const books = Array.from({ length: booksCount }, () => createBook({ sink: silent }))
  const bytes = usedBytes() - before
  return bytes / books.length
}

function usedBytes(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
