import type { Packer, Unpacker } from '#mesh/domain/packed.ts'
import type { Position } from '#mesh/frames.ts'
import type { AccountEvent, OrderWithFills } from '#mesh/protocol/accounts.ts'
import { type Fill, isOpen, type OrderState } from '#mesh/protocol/common.ts'
import { hashNumber } from './domain/hashes.ts'
import { NONE, RowIndex } from './domain/row-index.ts'
import { Rows } from './domain/rows.ts'

/** How long a closed order is kept, in microseconds of log time. */
export const RECENT_US = 300_000_000
/** Fills that are kept of one open order, and of all of a slot's; an order beyond is answered by history alone. */
const FILLS_OF_ORDER_MAX = 1_000
const FILLS_MAX = 200_000

/** A row: the order's id, and the position of its last change. */
const ROW_SIZE = 3
const ID = 0
const SEQUENCE = 1
const ITEM = 4
const EVENT = 5

type Closed = Omit<OrderWithFills, 'position'> & { readonly position: Position }

/**
 * What reads need beside a slot's state: positions and fills of open orders, and orders that were closed (or rejected)
 * lately. Fed by the slot's events, also by those of a replay. Nothing here decides anything.
 */
export class RecentOrders {
  readonly #closedMax: number
  /** Two generations: the older one goes as a whole, which costs nothing per order. */
  #closed = new Map<number, Closed>()
  #closedBefore = new Map<number, Closed>()
  /** When the younger generation began. */
  #closedSinceUs = 0
  #positions = new Rows(ROW_SIZE)
  #index = new RowIndex((row) => hashNumber(this.#idOf(row)))
  /** `undefined` where there are more than are kept. */
  readonly #fills = new Map<number, Fill[] | undefined>()
  #fillsCount = 0

  /** `closedMax`: how many closed orders are kept at most; at least half of them are. */
  constructor(closedMax: number) {
    this.#closedMax = closedMax
  }

  observe(event: AccountEvent, position: Position, timeUs: number) {
    switch (event.type) {
      case 'OrderPlaced':
        return this.#setPosition(event.order.orderId, position)
      case 'OrderRejected':
        return this.#keepClosed({ order: event.order, fills: [], position }, timeUs)
      case 'OrderChanged':
        return this.#change(event.order, event.fills, position, timeUs)
      default:
        return
    }
  }

  closed(orderId: number, timeUs: number): OrderWithFills | undefined {
    const found = this.#closed.get(orderId) ?? this.#closedBefore.get(orderId)
    if (found === undefined || found.order.updatedAtUs < timeUs - RECENT_US) return undefined
    return { ...found, position: found.position.join('-') }
  }

  /** The position of an open order's last change. */
  positionOf(orderId: number): string {
    const row = this.#find(orderId)
    if (row === NONE) return '0-0-0'
    const { numbers, words } = this.#positions.page(row)
    const at = this.#positions.at(row)
    return `${numbers[at + SEQUENCE]}-${words[at * 2 + ITEM]}-${words[at * 2 + EVENT]}`
  }

  /** All fills of an open order, or `undefined` where not all of them are kept. */
  fillsOf(orderId: number): readonly Fill[] | undefined {
    return this.#fills.has(orderId) ? this.#fills.get(orderId) : NO_FILLS
  }

  pack(packer: Packer): void {
    packer
      .numbers([this.#closedSinceUs])
      .json([...this.#closedBefore.values()])
      .json([...this.#closed.values()])
      .json([...this.#fills].map(([orderId, fills]) => [orderId, fills ?? null]))
    this.#positions.pack(packer)
    this.#index.pack(packer)
  }

  static unpack(closedMax: number, packed: Unpacker): RecentOrders {
    const recent = new RecentOrders(closedMax)
    const [closedSinceUs = 0] = packed.numbers()
    recent.#closedSinceUs = closedSinceUs
    for (const each of packed.json() as Closed[]) recent.#closedBefore.set(each.order.orderId, each)
    for (const each of packed.json() as Closed[]) recent.#closed.set(each.order.orderId, each)
    for (const [orderId, fills] of packed.json() as [number, Fill[] | null][]) {
      recent.#fills.set(orderId, fills ?? undefined)
      recent.#fillsCount += fills?.length ?? 0
    }
    recent.#positions = Rows.unpack(ROW_SIZE, packed)
    recent.#index = RowIndex.unpack((row) => hashNumber(recent.#idOf(row)), packed)
    return recent
  }

  #change(order: OrderState, fills: readonly Fill[], position: Position, timeUs: number): void {
    const { orderId } = order
    if (isOpen(order.status)) {
      this.#setPosition(orderId, position)
      if (fills.length > 0) this.#addFills(orderId, fills)
      return
    }
    const row = this.#find(orderId)
    if (row !== NONE) {
      this.#index.removeHere()
      this.#positions.give(row)
    }
    const all = this.#takeFills(orderId, fills)
    if (all !== undefined) this.#keepClosed({ order, fills: all, position }, timeUs)
  }

  #addFills(orderId: number, fills: readonly Fill[]): void {
    if (!this.#fills.has(orderId)) this.#fills.set(orderId, [])
    const known = this.#fills.get(orderId)
    if (known === undefined) return
    if (known.length + fills.length > FILLS_OF_ORDER_MAX || this.#fillsCount + fills.length > FILLS_MAX) {
      this.#fillsCount -= known.length
      this.#fills.set(orderId, undefined)
      return
    }
    known.push(...fills)
    this.#fillsCount += fills.length
  }

  #takeFills(orderId: number, last: readonly Fill[]): readonly Fill[] | undefined {
    if (!this.#fills.has(orderId)) return last
    const known = this.#fills.get(orderId)
    this.#fills.delete(orderId)
    if (known === undefined) return undefined
    this.#fillsCount -= known.length
    return [...known, ...last]
  }

  #keepClosed(closed: Closed, timeUs: number): void {
    const full = this.#closed.size >= this.#closedMax / 2
    if (full || this.#closedSinceUs < timeUs - RECENT_US) {
      this.#closedBefore = this.#closed
      this.#closed = new Map()
      this.#closedSinceUs = timeUs
    }
    if (this.#closedMax > 0) this.#closed.set(closed.order.orderId, closed)
  }

  #setPosition(orderId: number, [sequence, item, event]: Position): void {
    let row = this.#find(orderId)
    if (row === NONE) {
      row = this.#positions.take()
      this.#index.insertHere(row)
    }
    const { numbers, words } = this.#positions.page(row)
    const at = this.#positions.at(row)
    numbers[at + ID] = orderId
    numbers[at + SEQUENCE] = sequence
    words[at * 2 + ITEM] = item
    words[at * 2 + EVENT] = event
  }

  #find(orderId: number): number {
    for (let row = this.#index.first(hashNumber(orderId)); row !== NONE; row = this.#index.next()) {
      if (this.#idOf(row) === orderId) return row
    }
    return NONE
  }

  #idOf(row: number): number {
    return this.#positions.page(row).numbers[this.#positions.at(row) + ID] ?? 0
  }
}

const NO_FILLS: readonly Fill[] = []
