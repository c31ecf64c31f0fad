import assert from 'node:assert/strict'
import type { Packer, Unpacker } from '#mesh/domain/packed.ts'
import type { OrderState, OrderStatus, OrderType, Origin, Side } from '#mesh/protocol/common.ts'
import { hashNumber, hashText, type RecordsHash } from './hashes.ts'
import type { Members } from './members.ts'
import { NONE, RowIndex } from './row-index.ts'
import { Rows } from './rows.ts'

/** Fields of an order's row, in units of 8 bytes; words of 32 bits from twice WORDS on. */
const ROW_SIZE = 18
const ID = 0
const AMOUNT = 1
const QUOTE_TICK_LOTS = 2
const EXECUTED = 3
const CREATED = 4
const RECEIVED = 5
const UPDATED = 6
const CONTENT = 7
const HOLD = 8
const AMEND_HOLD = 9
/** Two units each: what an order receives over its life may pass 63 bits. */
const EXECUTED_QUOTE = 10
const FEE = 12
const MEMBER = 28
const MARKET = 29
const FLAGS = 30
const PRICE = 31
const NEXT = 32
const PREVIOUS = 33
// 34, 35: free

const SELL = 1
const IS_MARKET = 2
const PARTIALLY_FILLED = 4
/** Closed, but an amendment of it is still on its way. */
const CLOSED = 8
const AMEND_PENDING = 16
/** Its clientOrderId is no longer among the remembered ids: it is found by `#byClientOrderId`. */
const INDEXED_BY_CLIENT_ID = 32
/** The broker that it came through, two bits: 0 none. */
const ORIGIN_SHIFT = 6
const ORIGINS = [undefined, 'rabbitmq', 'kafka'] as const satisfies (Origin | undefined)[]

export interface NewOrder {
  readonly orderId: number
  readonly member: number
  readonly market: number
  readonly clientOrderId: string | undefined
  readonly contentHash: number
  readonly side: Side
  readonly orderType: OrderType
  readonly priceTicks: number
  readonly amountLots: number
  readonly quoteTickLots: number | undefined
  readonly holdMinor: bigint
  readonly createdAtUs: number
  readonly updatedAtUs: number
  readonly origin: Origin | undefined
}

/**
 * The open orders of a slot (and those that closed while an amendment of them was on its way): 144 bytes each outside the
 * JavaScript heap, and the clientOrderId. Each member's are chained.
 */
export class OpenOrders {
  readonly #members: Members
  #rows = new Rows(ROW_SIZE)
  #clientOrderIds: (string | undefined)[] = []
  #index = new RowIndex((row) => hashNumber(this.idOf(row)))
  #byClientOrderId = new RowIndex((row) => this.#clientHash(row))

  constructor(members: Members) {
    this.#members = members
  }

  /** Open orders, and closed ones whose amendment has no answer yet. */
  get count(): number {
    return this.#rows.count
  }

  /** The row, or NONE. It may be that of an order which is closed: see `isOpen`. */
  find(orderId: number): number {
    for (let row = this.#index.first(hashNumber(orderId)); row !== NONE; row = this.#index.next()) {
      if (this.idOf(row) === orderId) return row
    }
    return NONE
  }

  /** An order whose clientOrderId was forgotten elsewhere (`keepClientOrderId`), or NONE. */
  findClientOrderId(memberId: number, clientOrderId: string): number {
    const index = this.#byClientOrderId
    for (let row = index.first(hashText(clientOrderId, memberId).low | 0); row !== NONE; row = index.next()) {
      if (this.#clientOrderIds[row] === clientOrderId && this.#members.idOf(this.memberOf(row)) === memberId) return row
    }
    return NONE
  }

  /** From now on this table itself finds the order by its clientOrderId, as long as it is open. */
  keepClientOrderId(row: number): void {
    const clientOrderId = this.#clientOrderIds[row]
    if (clientOrderId === undefined || !this.isOpen(row) || this.#has(row, INDEXED_BY_CLIENT_ID)) return
    const known = this.findClientOrderId(this.#members.idOf(this.memberOf(row)), clientOrderId)
    assert(known === NONE, 'an open order has its clientOrderId for itself')
    this.#byClientOrderId.insertHere(row)
    this.#set(row, INDEXED_BY_CLIENT_ID)
  }

  add(order: NewOrder): number {
    assert(this.find(order.orderId) === NONE)
    const row = this.#rows.take()
    const { numbers, bigs, words } = this.#rows.page(row)
    const at = this.#rows.at(row)
    numbers[at + ID] = order.orderId
    numbers[at + AMOUNT] = order.amountLots
    numbers[at + QUOTE_TICK_LOTS] = order.quoteTickLots ?? 0
    numbers[at + CREATED] = order.createdAtUs
    numbers[at + UPDATED] = order.updatedAtUs
    numbers[at + CONTENT] = order.contentHash
    bigs[at + HOLD] = order.holdMinor
    words[at * 2 + MEMBER] = order.member
    words[at * 2 + MARKET] = order.market
    words[at * 2 + FLAGS] =
      (order.side === 'sell' ? SELL : 0) |
      (order.orderType === 'market' ? IS_MARKET : 0) |
      (ORIGINS.indexOf(order.origin) << ORIGIN_SHIFT)
    words[at * 2 + PRICE] = order.priceTicks
    this.#clientOrderIds[row] = order.clientOrderId
    this.#index.insertHere(row)
    this.#link(row, order.member)
    return row
  }

  idOf(row: number): number {
    return this.#number(row, ID)
  }
  memberOf(row: number): number {
    return this.#word(row, MEMBER)
  }
  marketOf(row: number): number {
    return this.#word(row, MARKET)
  }
  contentHashOf(row: number): number {
    return this.#number(row, CONTENT)
  }
  clientOrderIdOf(row: number): string | undefined {
    return this.#clientOrderIds[row]
  }
  isOpen(row: number): boolean {
    return !this.#has(row, CLOSED)
  }
  sideOf(row: number): Side {
    return this.#has(row, SELL) ? 'sell' : 'buy'
  }
  typeOf(row: number): OrderType {
    return this.#has(row, IS_MARKET) ? 'market' : 'limit'
  }
  priceTicksOf(row: number): number {
    return this.#word(row, PRICE)
  }
  amountLotsOf(row: number): number {
    return this.#number(row, AMOUNT)
  }
  executedLotsOf(row: number): number {
    return this.#number(row, EXECUTED)
  }
  holdOf(row: number): bigint {
    return this.#big(row, HOLD)
  }
  /** Reserved for the amendment that is on its way. */
  amendHoldOf(row: number): bigint {
    return this.#big(row, AMEND_HOLD)
  }
  amendPending(row: number): boolean {
    return this.#has(row, AMEND_PENDING)
  }
  /** The member's next open order, or NONE. */
  nextOf(row: number): number {
    return this.#word(row, NEXT) - 1
  }

  beginAmend(row: number, holdMinor: bigint): void {
    assert(!this.amendPending(row))
    this.#set(row, AMEND_PENDING)
    this.#setBig(row, AMEND_HOLD, holdMinor)
  }

  /** The amendment has an answer; what was reserved for it is no longer the amendment's. */
  endAmend(row: number): void {
    assert(this.amendPending(row))
    this.#clear(row, AMEND_PENDING)
    this.#setBig(row, AMEND_HOLD, 0n)
  }

  setHold(row: number, holdMinor: bigint): void {
    assert(holdMinor >= 0n, "an order's hold does not go below zero")
    this.#setBig(row, HOLD, holdMinor)
  }

  /** What an outcome says of the order as it is now. */
  update(
    row: number,
    now: { readonly priceTicks: number; readonly amountLots: number; readonly executedLots: number; timeUs: number },
  ): void {
    const { numbers, words } = this.#rows.page(row)
    const at = this.#rows.at(row)
    words[at * 2 + PRICE] = now.priceTicks
    numbers[at + AMOUNT] = now.amountLots
    numbers[at + EXECUTED] = now.executedLots
    numbers[at + UPDATED] = now.timeUs
    if (numbers[at + RECEIVED] === 0) numbers[at + RECEIVED] = now.timeUs
    if (now.executedLots > 0) this.#set(row, PARTIALLY_FILLED)
  }

  addExecuted(row: number, quoteMinor: bigint, feeMinor: bigint): void {
    this.#setWide(row, EXECUTED_QUOTE, this.#wide(row, EXECUTED_QUOTE) + quoteMinor)
    this.#setWide(row, FEE, this.#wide(row, FEE) + feeMinor)
  }

  /** The order is no longer open; its row stays until an amendment that is on its way has its answer. */
  close(row: number): void {
    assert(this.isOpen(row))
    this.#unlink(row)
    if (this.#has(row, INDEXED_BY_CLIENT_ID)) {
      this.findClientOrderId(this.#members.idOf(this.memberOf(row)), this.#clientOrderIds[row] ?? '')
      this.#byClientOrderId.removeHere()
      this.#clear(row, INDEXED_BY_CLIENT_ID)
    }
    this.#set(row, CLOSED)
    if (!this.amendPending(row)) this.#remove(row)
  }

  /** The last amendment of a closed order has its answer. */
  removeClosed(row: number): void {
    assert(!this.isOpen(row) && !this.amendPending(row))
    this.#remove(row)
  }

  /** The order as it is, under a status that the row does not hold where it is closing. */
  stateOf(row: number, instrument: string, status?: OrderStatus, reason?: OrderState['reason']): OrderState {
    const { numbers, words } = this.#rows.page(row)
    const at = this.#rows.at(row)
    const flags = words[at * 2 + FLAGS] ?? 0
    const clientOrderId = this.#clientOrderIds[row]
    const quoteTickLots = numbers[at + QUOTE_TICK_LOTS] ?? 0
    const order: OrderState = {
      orderId: numbers[at + ID] ?? 0,
      memberId: this.#members.idOf(words[at * 2 + MEMBER] ?? 0),
      instrument,
      side: flags & SELL ? 'sell' : 'buy',
      orderType: flags & IS_MARKET ? 'market' : 'limit',
      priceTicks: words[at * 2 + PRICE] ?? 0,
      amountLots: numbers[at + AMOUNT] ?? 0,
      executedLots: numbers[at + EXECUTED] ?? 0,
      executedQuoteMinor: this.#wide(row, EXECUTED_QUOTE).toString(),
      feeMinor: this.#wide(row, FEE).toString(),
      status: status ?? (flags & PARTIALLY_FILLED ? 'partially_filled' : 'new'),
      createdAtUs: numbers[at + CREATED] ?? 0,
      receivedAtUs: numbers[at + RECEIVED] ?? 0,
      updatedAtUs: numbers[at + UPDATED] ?? 0,
    }
    const origin = ORIGINS[(flags >>> ORIGIN_SHIFT) & 3]
    return withOptions(order, { clientOrderId, quoteTickLots: quoteTickLots || undefined, reason, origin })
  }

  pack(packer: Packer): void {
    this.#rows.pack(packer)
    packer.texts(this.#clientOrderIds)
    this.#index.pack(packer)
    this.#byClientOrderId.pack(packer)
  }

  static unpack(members: Members, packed: Unpacker): OpenOrders {
    const orders = new OpenOrders(members)
    orders.#rows = Rows.unpack(ROW_SIZE, packed)
    orders.#clientOrderIds = packed.texts()
    orders.#index = RowIndex.unpack((row) => hashNumber(orders.idOf(row)), packed)
    orders.#byClientOrderId = RowIndex.unpack((row) => orders.#clientHash(row), packed)
    return orders
  }

  /** `instrumentOf` names a market's row. */
  addTo(hash: RecordsHash, kind: number, instrumentOf: (market: number) => string): void {
    for (let row = 0; row < this.#rows.end; row++) {
      if (this.idOf(row) === 0) continue
      const order = this.stateOf(row, instrumentOf(this.marketOf(row)))
      hash.begin(kind).text(JSON.stringify(order)).number(this.contentHashOf(row))
      hash.bigint(this.holdOf(row)).bigint(this.amendHoldOf(row)).number(this.#word(row, FLAGS)).end()
    }
  }

  #link(row: number, member: number): void {
    const first = this.#members.firstOrderOf(member)
    this.#setWord(row, NEXT, first + 1)
    if (first !== NONE) this.#setWord(first, PREVIOUS, row + 1)
    this.#members.setFirstOrder(member, row)
    this.#members.setOpenOrders(member, this.#members.openOrdersOf(member) + 1)
  }

  #unlink(row: number): void {
    const member = this.memberOf(row)
    const next = this.nextOf(row)
    const previous = this.#word(row, PREVIOUS) - 1
    if (previous === NONE) this.#members.setFirstOrder(member, next)
    else this.#setWord(previous, NEXT, next + 1)
    if (next !== NONE) this.#setWord(next, PREVIOUS, previous + 1)
    this.#members.setOpenOrders(member, this.#members.openOrdersOf(member) - 1)
  }

  #remove(row: number): void {
    assert(this.find(this.idOf(row)) === row)
    this.#index.removeHere()
    this.#clientOrderIds[row] = undefined
    this.#rows.give(row)
  }

  #clientHash(row: number): number {
    return hashText(this.#clientOrderIds[row] ?? '', this.#members.idOf(this.memberOf(row))).low | 0
  }

  #number(row: number, field: number): number {
    return this.#rows.page(row).numbers[this.#rows.at(row) + field] ?? 0
  }
  #big(row: number, field: number): bigint {
    return this.#rows.page(row).bigs[this.#rows.at(row) + field] ?? 0n
  }
  #setBig(row: number, field: number, value: bigint): void {
    this.#rows.page(row).bigs[this.#rows.at(row) + field] = value
  }
  #word(row: number, word: number): number {
    return this.#rows.page(row).words[this.#rows.at(row) * 2 + word] ?? 0
  }
  #setWord(row: number, word: number, value: number): void {
    this.#rows.page(row).words[this.#rows.at(row) * 2 + word] = value
  }

  /** A non-negative sum of up to 127 bits. */
  #wide(row: number, field: number): bigint {
    const { bigs } = this.#rows.page(row)
    const at = this.#rows.at(row) + field
    const low = BigInt.asUintN(64, bigs[at] ?? 0n)
    const high = bigs[at + 1] ?? 0n
    return high === 0n ? low : (high << 64n) + low
  }
  #setWide(row: number, field: number, value: bigint): void {
    const { bigs } = this.#rows.page(row)
    const at = this.#rows.at(row) + field
    bigs[at] = BigInt.asIntN(64, value)
    bigs[at + 1] = value >> 64n
  }

  #has(row: number, flag: number): boolean {
    return (this.#word(row, FLAGS) & flag) !== 0
  }
  #set(row: number, flag: number): void {
    this.#setWord(row, FLAGS, this.#word(row, FLAGS) | flag)
  }
  #clear(row: number, flag: number): void {
    this.#setWord(row, FLAGS, this.#word(row, FLAGS) & ~flag)
  }
}

/** Whole objects are copied: a spread inside a larger literal is slow, and this is done for every order. */
export function withOptions(
  order: OrderState,
  options: {
    readonly clientOrderId: string | undefined
    readonly quoteTickLots: number | undefined
    readonly reason: OrderState['reason'] | undefined
    readonly origin: Origin | undefined
  },
): OrderState {
  const { clientOrderId, quoteTickLots, reason, origin } = options
  let whole = clientOrderId === undefined ? order : { ...order, clientOrderId }
  if (quoteTickLots !== undefined) whole = { ...whole, quoteTickLots }
  if (reason !== undefined) whole = { ...whole, reason }
  return origin === undefined ? whole : { ...whole, origin }
}
