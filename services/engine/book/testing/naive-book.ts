import type { Book, BookSink } from '../book.ts'

interface Resting {
  id: number
  side: number
  price: number
  remaining: number
  total: number
}
interface Level {
  price: number
  /** First come, first. */
  queue: Resting[]
}

const ID_MAX = 2 ** 53 - 1
const PRICE_MAX = 2 ** 31 - 1
const BUY = 0
const SELL = 1
const FILLED = 0
const NO_LIQUIDITY = 1
const WORST_PRICE = 2
const FILLS_LIMIT = 3
const LESS_THAN_ONE_LOT = 4

/**
 * The book once more, as plainly as it can be said: sorted arrays of levels, queues as arrays, quotes as bigint. It
 * shares no code with the fast one, only the types of its contract. It has no slots: its events say −1.
 */
export class NaiveBook implements Pick<Book, 'placeLimit' | 'placeMarket' | 'placeMarketByQuote' | 'cancel' | 'amend'> {
  /** Best first. */
  readonly bids: Level[] = []
  readonly asks: Level[] = []
  readonly orders = new Map<number, Resting>()
  readonly #sink: BookSink
  readonly #fillsMax: number
  readonly #ordersMax: number

  constructor(sink: BookSink, fillsMax = 10_000, ordersMax = 2 ** 24) {
    this.#sink = sink
    this.#fillsMax = fillsMax
    this.#ordersMax = ordersMax
  }

  placeLimit(id: number, side: number, price: number, amount: number): ReturnType<Book['placeLimit']> {
    if (!isWithin(id, ID_MAX)) return 'order_id_invalid'
    if (side !== BUY && side !== SELL) return 'side_invalid'
    if (this.orders.has(id)) return 'order_id_known'
    if (!isWithin(price, PRICE_MAX)) return 'price_out_of_range'
    if (!isWithin(amount, ID_MAX)) return 'amount_out_of_range'
    if (this.orders.size >= this.#ordersMax) return 'book_full'
    this.#takeLimit({ id, side, price, remaining: amount, total: amount })
    return 'accepted'
  }

  placeMarket(id: number, side: number, amount: number, worst: number): ReturnType<Book['placeLimit']> {
    if (!isWithin(id, ID_MAX)) return 'order_id_invalid'
    if (side !== BUY && side !== SELL) return 'side_invalid'
    if (this.orders.has(id)) return 'order_id_known'
    if (!isWithin(worst, PRICE_MAX)) return 'price_out_of_range'
    if (!isWithin(amount, ID_MAX)) return 'amount_out_of_range'
    const taker = { id, side, price: worst, remaining: amount, total: amount }
    const reason = this.#trade(taker)
    this.#sink.ended(id, -1, taker.remaining, reason)
    return 'accepted'
  }

  placeMarketByQuote(id: number, side: number, quote: number, worst: number): ReturnType<Book['placeLimit']> {
    if (!isWithin(id, ID_MAX)) return 'order_id_invalid'
    if (side !== BUY && side !== SELL) return 'side_invalid'
    if (this.orders.has(id)) return 'order_id_known'
    if (!isWithin(worst, PRICE_MAX)) return 'price_out_of_range'
    if (!isWithin(quote, ID_MAX)) return 'quote_out_of_range'
    let left = BigInt(quote)
    let reason: 0 | 1 | 2 | 3 | 4 | undefined
    for (let fills = 0; reason === undefined; fills++) {
      const best = this.#otherSide(side)[0]
      if (left === 0n) reason = FILLED
      else if (best === undefined) reason = NO_LIQUIDITY
      else if (side === BUY ? best.price > worst : best.price < worst) reason = WORST_PRICE
      else if (left < BigInt(best.price)) reason = LESS_THAN_ONE_LOT
      else if (fills === this.#fillsMax) reason = FILLS_LIMIT
      else left -= BigInt(best.price) * BigInt(this.#fillFirst(best, id, Number(left / BigInt(best.price))))
    }
    this.#sink.ended(id, -1, Number(left), reason)
    return 'accepted'
  }

  cancel(id: number): ReturnType<Book['cancel']> {
    if (!isWithin(id, ID_MAX)) return 'order_id_invalid'
    const order = this.orders.get(id)
    if (order === undefined) return 'order_not_found'
    this.#remove(order)
    this.#sink.cancelled(id, -1, order.remaining)
    return 'accepted'
  }

  amend(id: number, price: number, amount: number): ReturnType<Book['amend']> {
    if (!isWithin(id, ID_MAX)) return 'order_id_invalid'
    const order = this.orders.get(id)
    if (order === undefined) return 'order_not_found'
    if (!isWithin(price, PRICE_MAX)) return 'price_out_of_range'
    if (!isWithin(amount, ID_MAX)) return 'amount_out_of_range'
    const executed = order.total - order.remaining
    if (amount <= executed) return 'amount_not_above_executed'
    if (price === order.price && amount < order.total) {
      order.total = amount
      order.remaining = amount - executed
      this.#sink.reduced(id, -1, order.remaining)
      return 'accepted'
    }
    this.#remove(order)
    this.#takeLimit({ id, side: order.side, price, remaining: amount - executed, total: amount })
    return 'accepted'
  }

  /** Every resting order: bids, then asks, best price first, then first come. */
  inOrder(): Resting[] {
    return [...this.bids, ...this.asks].flatMap((level) => level.queue)
  }

  /** As README.md describes it. */
  stateHash(): string {
    const words = this.inOrder().flatMap(({ side, price, id, remaining, total }) => [
      BigInt(side === BUY ? price : -price),
      ...[id, remaining, total].flatMap((value) => [BigInt(value), BigInt(value) >> 32n]),
    ])
    const low = (value: bigint) => BigInt.asUintN(32, value)
    let [a, b] = [0x9e3779b9n, 0x85ebca6bn]
    for (const word of words) {
      a = low((a ^ low(word)) * 0x2c1b3c6dn)
      a ^= a >> 15n
      b = low((low(b + word) ^ a) * 0x297a2d39n)
      b ^= b >> 13n
    }
    return [a, b].map((lane) => lane.toString(16).padStart(8, '0')).join('')
  }

  #takeLimit(taker: Resting): void {
    const reason = this.#trade(taker)
    if (reason === FILLED || reason === FILLS_LIMIT) {
      this.#sink.ended(taker.id, -1, taker.remaining, reason)
      return
    }
    const levels = this.#side(taker.side)
    let level = levels.find((each) => each.price === taker.price)
    if (level === undefined) {
      level = { price: taker.price, queue: [] }
      const place = levels.findIndex((each) =>
        taker.side === BUY ? each.price < taker.price : each.price > taker.price,
      )
      levels.splice(place === -1 ? levels.length : place, 0, level)
    }
    level.queue.push(taker)
    this.orders.set(taker.id, taker)
    this.#sink.rested(taker.id, -1, taker.remaining)
  }

  #trade(taker: Resting): 0 | 1 | 2 | 3 {
    for (let fills = 0; ; fills++) {
      const best = this.#otherSide(taker.side)[0]
      if (taker.remaining === 0) return FILLED
      if (best === undefined) return NO_LIQUIDITY
      if (taker.side === BUY ? best.price > taker.price : best.price < taker.price) return WORST_PRICE
      if (fills === this.#fillsMax) return FILLS_LIMIT
      taker.remaining -= this.#fillFirst(best, taker.id, taker.remaining)
    }
  }

  /** One fill of the first order of a level; returns its lots. */
  #fillFirst(level: Level, takerId: number, lotsMax: number): number {
    const maker = level.queue[0]
    if (maker === undefined) throw new Error('an empty level')
    const lots = Math.min(maker.remaining, lotsMax)
    maker.remaining -= lots
    if (maker.remaining === 0) this.#remove(maker)
    this.#sink.traded(maker.id, -1, takerId, level.price, lots, maker.remaining)
    return lots
  }

  #remove(order: Resting): void {
    const levels = this.#side(order.side)
    const place = levels.findIndex((each) => each.price === order.price)
    const queue = levels[place]?.queue ?? []
    queue.splice(queue.indexOf(order), 1)
    if (queue.length === 0) levels.splice(place, 1)
    this.orders.delete(order.id)
  }

  #side(side: number): Level[] {
    return side === BUY ? this.bids : this.asks
  }

  #otherSide(side: number): Level[] {
    return side === BUY ? this.asks : this.bids
  }
}

function isWithin(value: unknown, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max
}
