import { type Book, type BookSink, createBook, Side } from '../book.ts'
import { drive, Messages, Operation } from './messages.ts'
import { Random } from './random.ts'

/**
 * Live-like mixes: 50 % new orders, of which 15 % cross, 40 % cancellations, 10 % amendments, over a population that is
 * kept near `resting`.
 */
export interface Mix {
  readonly name: string
  /** Orders that rest before the first message and, about, all along. */
  readonly resting: number
  /** Mean distance of new orders from the middle. */
  readonly distanceTicks: number
  /** Where the market's middle is after a share 0..1 of the messages. */
  readonly middleTicks: (share: number, random: Random) => number
  readonly cancels?: 'uniform' | 'fresh' | 'old'
  readonly ids?: IdPattern
  /** This many orders more rest at one price, just below the middle, and most new bids join them. */
  readonly crowd?: number
  /** One crossing order in this many sweeps far into the book. */
  readonly sweepEvery?: number
}
export type IdPattern = 'dense' | 'descending' | 'random'

const MIDDLE = 1_000_000
const LOTS_MAX = 1000

export const MIXES: readonly Mix[] = [
  { name: 'calm', resting: 2_000, distanceTicks: 200, middleTicks: () => MIDDLE },
  {
    name: 'swinging',
    resting: 10_000,
    distanceTicks: 200,
    middleTicks: (share) => MIDDLE + Math.round(5000 * Math.sin(share * 2 * Math.PI * 10)),
  },
  { name: 'jumping', resting: 10_000, distanceTicks: 200, middleTicks: jumping },
  {
    name: 'crash',
    resting: 20_000,
    distanceTicks: 2000,
    middleTicks: (share) => Math.round(MIDDLE * (1 - 0.5 * share)),
    sweepEvery: 200,
  },
  { name: 'thin', resting: 200, distanceTicks: 2000, middleTicks: () => MIDDLE },
  { name: 'wide', resting: 20_000, distanceTicks: 100_000, middleTicks: () => MIDDLE },
  { name: 'crowded', resting: 5_000, distanceTicks: 200, middleTicks: () => MIDDLE, crowd: 100_000 },
  { name: 'freshCancels', resting: 10_000, distanceTicks: 200, middleTicks: () => MIDDLE, cancels: 'fresh' },
  { name: 'oldCancels', resting: 10_000, distanceTicks: 200, middleTicks: () => MIDDLE, cancels: 'old' },
  { name: 'randomIds', resting: 10_000, distanceTicks: 200, middleTicks: () => MIDDLE, ids: 'random' },
  { name: 'descendingIds', resting: 10_000, distanceTicks: 200, middleTicks: () => MIDDLE, ids: 'descending' },
]

function jumping(share: number): number {
  const jump = Math.floor(share * 100)
  return MIDDLE + (Math.imul(jump, 0x9e3779b1) >> 20)
}

export interface GeneratedMix {
  readonly messages: Messages
  /** The first of the messages only fill the book. */
  readonly fillCount: number
}

export function generateMix(mix: Mix, messagesCount: number, seed: number): GeneratedMix {
  return new Generator(mix, messagesCount, new Random(seed)).generate()
}

/** A million orders and more rest, cancellations hit any of them, each followed by a new order somewhere in the book. */
export function generateDeep(resting: number, messagesCount: number, seed: number): GeneratedMix {
  const random = new Random(seed)
  const messages = new Messages(resting + messagesCount)
  const ids = new Float64Array(resting)
  let lastId = 0
  const place = (index: number): void => {
    ids[index] = ++lastId
    const side = random.pick([Side.buy, Side.sell])
    const distance = 1 + random.below(50_000)
    const priceTicks = side === Side.buy ? MIDDLE - distance : MIDDLE + distance
    messages.add(Operation.placeLimit, lastId, side, priceTicks, random.between(1, LOTS_MAX))
  }
  for (let index = 0; index < resting; index++) place(index)
  while (messages.count + 1 < resting + messagesCount) {
    const index = random.below(resting)
    // Within the array.
    messages.add(Operation.cancel, ids[index] as number, Side.buy, 0, 0)
    place(index)
  }
  return { messages, fillCount: resting }
}

/** Plays the mix on a book of its own while it writes it down, so that it knows what rests. */
class Generator {
  readonly #mix: Mix
  readonly #random: Random
  readonly #messages: Messages
  readonly #messagesCount: number
  readonly #fillCount: number
  readonly #book: Book
  readonly #living: Living
  /** Every order in the order of its placement; those before `#oldest` are gone. */
  readonly #born: Float64Array
  #bornCount = 0
  #oldest = 0

  constructor(mix: Mix, messagesCount: number, random: Random) {
    this.#mix = mix
    this.#random = random
    this.#fillCount = mix.resting + (mix.crowd ?? 0)
    this.#messagesCount = messagesCount
    this.#messages = new Messages(this.#fillCount + messagesCount)
    this.#born = new Float64Array(this.#fillCount + messagesCount)
    this.#living = new Living()
    this.#book = createBook({ sink: this.#living })
  }

  generate(): GeneratedMix {
    const middle = this.#mix.middleTicks(0, this.#random)
    for (let index = 0; index < this.#fillCount; index++) {
      if (index < (this.#mix.crowd ?? 0)) this.#place(Side.buy, middle - 1, this.#lots())
      else this.#placePassive(middle)
    }
    for (let index = 0; index < this.#messagesCount; index++) this.#next(index)
    return { messages: this.#messages, fillCount: this.#fillCount }
  }

  #next(index: number): void {
    const random = this.#random
    const middle = this.#mix.middleTicks(index / this.#messagesCount, random)
    const kind = random.unit()
    if (kind < 0.5 || this.#living.count === 0) {
      if (random.unit() < 0.15) this.#placeCrossing(middle)
      else this.#placePassive(middle)
    } else if (kind < 0.9) {
      this.#send(Operation.cancel, this.#victim(), Side.buy, 0, 0)
    } else {
      this.#amend()
    }
  }

  /** Somewhere around the middle, but not so that it trades. */
  #placePassive(middle: number): void {
    const random = this.#random
    let side: Side = random.pick([Side.buy, Side.sell])
    if (this.#mix.crowd !== undefined && this.#living.count < this.#fillCount && random.unit() < 0.7) {
      side = Side.buy
      this.#place(side, this.#passivePrice(side, middle - 1), this.#lots())
      return
    }
    const distance = 1 + Math.floor(random.exponential(this.#mix.distanceTicks))
    const wanted = side === Side.buy ? middle - distance : middle + distance
    this.#place(side, this.#passivePrice(side, wanted), this.#lots())
  }

  #passivePrice(side: Side, wanted: number): number {
    const ask = this.#book.bestAsk()
    if (side === Side.buy) return Math.max(1, ask === 0 ? wanted : Math.min(wanted, ask - 1))
    return Math.max(2, this.#book.bestBid() + 1, wanted)
  }

  /** Towards the middle if the book is off, else either way; larger while too many rest, so that the population keeps. */
  #placeCrossing(middle: number): void {
    const random = this.#random
    const [bid, ask] = [this.#book.bestBid(), this.#book.bestAsk()]
    let side: Side = random.pick([Side.buy, Side.sell])
    if (bid > middle) side = Side.sell
    else if (ask !== 0 && ask < middle) side = Side.buy
    const best = side === Side.buy ? ask : bid
    if (best === 0) {
      this.#placePassive(middle)
      return
    }
    const sweep = this.#mix.sweepEvery !== undefined && random.below(this.#mix.sweepEvery) === 0
    const isCrowded = this.#living.count > this.#fillCount
    const lots = sweep ? 100 * LOTS_MAX : random.between(1, isCrowded ? 4 * LOTS_MAX : LOTS_MAX / 4)
    const through = sweep || isCrowded ? this.#mix.distanceTicks : random.below(10)
    this.#place(side, Math.max(1, side === Side.buy ? best + through : best - through), lots)
  }

  #amend(): void {
    const random = this.#random
    const book = this.#book
    const orderId = this.#living.pick(random)
    const slot = book.slotOf(orderId)
    const side = book.sideAt(slot)
    const priceTicks = book.priceTicksAt(slot)
    const totalLots = book.totalLotsAt(slot)
    const remainingLots = book.remainingLotsAt(slot)
    const kind = random.unit()
    const step = random.between(1, 10)
    if (kind < 0.5) {
      this.#send(Operation.amend, orderId, side, priceTicks, totalLots - random.below(remainingLots))
    } else if (kind < 0.7) {
      this.#send(Operation.amend, orderId, side, priceTicks, totalLots + step)
    } else if (kind < 0.95) {
      const wanted = random.unit() < 0.5 ? priceTicks - step : priceTicks + step
      this.#send(Operation.amend, orderId, side, this.#passivePrice(side, wanted), totalLots)
    } else {
      const best = side === Side.buy ? book.bestAsk() : book.bestBid()
      this.#send(Operation.amend, orderId, side, best === 0 ? priceTicks : best, totalLots)
    }
  }

  /** The order to cancel. */
  #victim(): number {
    const { cancels } = this.#mix
    if (cancels === 'fresh') return this.#bornNear(this.#bornCount - 1 - Math.floor(this.#random.exponential(20)), -1)
    if (cancels !== 'old') return this.#living.pick(this.#random)
    while (!this.#book.has(this.#born[this.#oldest] ?? 0)) this.#oldest++
    return this.#bornNear(this.#oldest + Math.floor(this.#random.exponential(20)), 1)
  }

  /** The first living order from this one on; any, if there is none. */
  #bornNear(from: number, step: number): number {
    for (let index = from; index >= 0 && index < this.#bornCount; index += step) {
      const orderId = this.#born[index] ?? 0
      if (this.#book.has(orderId)) return orderId
    }
    return this.#living.pick(this.#random)
  }

  #place(side: Side, priceTicks: number, lots: number): void {
    const orderId = this.#nextId()
    this.#born[this.#bornCount++] = orderId
    this.#send(Operation.placeLimit, orderId, side, priceTicks, lots)
  }

  #nextId(): number {
    const { ids = 'dense' } = this.#mix
    if (ids === 'dense') return this.#bornCount + 1
    if (ids === 'descending') return Number.MAX_SAFE_INTEGER - this.#bornCount
    return 1 + this.#random.below(2 ** 21) * 2 ** 32 + this.#random.below(2 ** 32)
  }

  #send(operation: Operation, orderId: number, side: Side, priceTicks: number, lots: number): void {
    this.#messages.add(operation, orderId, side, priceTicks, lots)
    drive(this.#book, this.#messages, this.#messages.count - 1, this.#messages.count)
  }

  #lots(): number {
    return this.#random.between(1, LOTS_MAX)
  }
}

/** The ids of all resting orders, to pick from. */
class Living implements BookSink {
  count = 0
  readonly #ids: number[] = []
  readonly #slots: number[] = []
  /** Where a slot's order stands in those two. */
  readonly #places: number[] = []

  pick(random: Random): number {
    return this.#ids[random.below(this.count)] ?? 0
  }

  traded(
    _makerId: number,
    slot: number,
    _takerId: number,
    _price: number,
    _lots: number,
    makerRemaining: number,
  ): void {
    if (makerRemaining === 0) this.#remove(slot)
  }

  rested(orderId: number, slot: number): void {
    const place = this.#places[slot]
    if (place !== undefined && place < this.count && this.#ids[place] === orderId) return
    this.#places[slot] = this.count
    this.#ids[this.count++] = orderId
    this.#slots[this.count - 1] = slot
  }

  reduced(): void {}

  cancelled(_orderId: number, slot: number): void {
    this.#remove(slot)
  }

  ended(_orderId: number, slot: number): void {
    if (slot >= 0) this.#remove(slot)
  }

  #remove(slot: number): void {
    const place = this.#places[slot] ?? 0
    const last = --this.count
    this.#ids[place] = this.#ids[last] ?? 0
    const moved = this.#slots[last] ?? 0
    this.#slots[place] = moved
    this.#places[moved] = place
  }
}
