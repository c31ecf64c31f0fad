/** @import { Balance, Fill, Message, Order } from './types.ts' */
/** @import { Session } from './session.js' */
/** @import { Stream } from './stream.js' */
import { persistently, Refused } from './api.js'
import { wordsOf } from './messages.js'

const PAGE = '50'
const OPEN_PAGE = '500'
const OPEN_PAGES_MAX = 20
/** A listing that has grown longer is read anew. */
export const LISTED_MAX = 500
const AGAIN_MS = 5_000
const CLOSED = 'executed,cancelled,closed,rejected'

/**
 * A listing that is read page by page, newest first, and grows at its beginning.
 * @template Item
 * @typedef {{ items: Item[], cursor: string | null, isRead: boolean }} Listing
 */

/** @template Item @returns {Listing<Item>} */
const nothing = () => ({ items: [], cursor: null, isRead: false })

/**
 * What is the member's: read over HTTP once, told over the stream from then on.
 *
 * Events: `change`; `told` with the message as its detail.
 */
export class MemberData extends EventTarget {
  /** @type {Map<string, Order>} by id */
  open = new Map()
  /** @type {Map<string, Balance>} by asset */
  balances = new Map()
  /** @type {Listing<Order>} */
  history = nothing()
  /** @type {Listing<Fill>} */
  fills = nothing()
  /** Why something could not be read; it is tried again. @type {string} */
  fault = ''
  #session
  #stream
  /** The listings are of this market alone. @type {string | undefined} */
  #instrument
  /** What was told while open orders were being read. @type {Map<string, Order>} */
  #toldOrders = new Map()
  /** The same of balances. @type {Set<string>} */
  #toldAssets = new Set()

  /**
   * @param {Session} session
   * @param {Stream} stream
   */
  constructor(session, stream) {
    super()
    this.#session = session
    this.#stream = stream
    session.addEventListener('change', () => this.#begin())
    this.#begin()
  }

  /**
   * History and fills of one market, or of all.
   * @param {string | undefined} instrument
   */
  narrow(instrument) {
    if (instrument === this.#instrument) return
    this.#instrument = instrument
    this.#readListings()
  }

  /** @param {'history' | 'fills'} which */
  more(which) {
    const { cursor } = this[which]
    if (cursor !== null) this.#read(() => this.#readPage(which, cursor))
  }

  /**
   * What a request of ours was answered with, which the stream tells as well.
   * @param {Order} order
   */
  takeOrder(order) {
    const { id } = order
    const known = this.open.get(id) ?? this.history.items.find((one) => one.id === id)
    if (known !== undefined && BigInt(known.sequence) > BigInt(order.sequence)) return
    this.#toldOrders.set(id, order)
    const isOpen = order.status === 'new' || order.status === 'partially_filled'
    if (isOpen) this.open.set(id, order)
    else {
      this.open.delete(id)
      if (this.history.isRead && this.#isShown(order.instrument)) {
        this.history.items = [order, ...this.history.items.filter((one) => one.id !== id)]
        this.#bound('history')
      }
    }
    this.#changed()
  }

  #begin() {
    this.open.clear()
    this.balances.clear()
    this.fault = ''
    for (const channel of ['orders', 'fills', 'balances']) {
      this.#stream.leave(channel)
      if (this.#session.member !== undefined) this.#stream.follow(channel, (message) => this.#take(message))
    }
    if (this.#session.member !== undefined) {
      this.#read(() => this.#readOpen())
      this.#read(() => this.#readBalances())
    }
    this.#readListings()
  }

  /** @param {'history' | 'fills'} which */
  #bound(which) {
    if (this[which].items.length <= LISTED_MAX) return
    this[which] = nothing()
    this.#read(() => this.#readPage(which, undefined))
  }

  #readListings() {
    this.history = nothing()
    this.fills = nothing()
    this.#changed()
    if (this.#session.member === undefined) return
    this.#read(() => this.#readPage('history', undefined))
    this.#read(() => this.#readPage('fills', undefined))
  }

  /**
   * Until it is read, or somebody else is here.
   * @param {() => Promise<void>} read
   */
  #read(read) {
    const { member } = this.#session
    const again = () => {
      if (member !== this.#session.member) return
      read().then(
        () => {
          this.fault = ''
          this.#changed()
        },
        (error) => {
          if (!(error instanceof Refused)) throw error
          this.fault = wordsOf(error)
          this.#changed()
          setTimeout(again, AGAIN_MS)
        },
      )
    }
    again()
  }

  /**
   * @param {string} path
   * @param {Record<string, string>} [query]
   */
  async #ask(path, query = {}) {
    const { member } = this.#session
    const answer = await persistently(() => this.#session.request('GET', path, { query }))
    // An answer for someone who has gone is nobody's.
    return member === this.#session.member ? answer : undefined
  }

  async #readOpen() {
    this.#toldOrders = new Map()
    /** @type {Order[]} */
    const orders = []
    let cursor = ''
    for (let page = 0; page < OPEN_PAGES_MAX && (page === 0 || cursor !== ''); page++) {
      const query = { status: 'open', limit: OPEN_PAGE, ...(cursor === '' ? {} : { cursor }) }
      const answer = await this.#ask('/orders', query)
      if (answer === undefined) return
      orders.push(...answer.orders)
      cursor = answer.cursor ?? ''
    }
    for (const id of this.open.keys()) if (!this.#toldOrders.has(id)) this.open.delete(id)
    for (const order of orders) {
      const told = this.#toldOrders.get(order.id)
      if (told === undefined || BigInt(told.sequence) < BigInt(order.sequence)) this.open.set(order.id, order)
    }
  }

  async #readBalances() {
    this.#toldAssets = new Set()
    const answer = await this.#ask('/accounts')
    for (const balance of /** @type {Balance[]} */ (answer?.accounts ?? [])) {
      if (!this.#toldAssets.has(balance.asset)) this.balances.set(balance.asset, balance)
    }
  }

  /**
   * @param {'history' | 'fills'} which
   * @param {string | undefined} cursor
   */
  async #readPage(which, cursor) {
    const instrument = this.#instrument
    const query = {
      limit: PAGE,
      ...(instrument === undefined ? {} : { instrument }),
      ...(cursor === undefined ? {} : { cursor }),
    }
    const answer =
      which === 'history' ? await this.#ask('/orders', { ...query, status: CLOSED }) : await this.#ask('/trades', query)
    if (answer === undefined || instrument !== this.#instrument) return
    if (which === 'history') this.history = grown(this.history, answer.orders, answer.cursor, ({ id }) => id)
    else this.fills = grown(this.fills, answer.trades, answer.cursor, fillKey)
  }

  /** @param {string} instrument */
  #isShown(instrument) {
    return this.#instrument === undefined || this.#instrument === instrument
  }

  /** @param {Message} message */
  #take(message) {
    switch (message.type) {
      case 'reload':
        if (message.channel === 'balances') this.#read(() => this.#readBalances())
        if (message.channel === 'orders') this.#read(() => this.#readOpen())
        if (message.channel !== 'balances') this.#readListings()
        return
      case 'orders':
        if (message.order !== undefined) this.takeOrder(message.order)
        break
      case 'fills': {
        const shown = /** @type {Fill[]} */ (message.fills).filter(({ instrument }) => this.#isShown(instrument))
        if (this.fills.isRead) this.fills.items = unique([...shown.toReversed(), ...this.fills.items], fillKey)
        this.#bound('fills')
        break
      }
      case 'balances':
        for (const balance of /** @type {Balance[]} */ (message.balances)) {
          this.#toldAssets.add(balance.asset)
          this.balances.set(balance.asset, balance)
        }
        break
      default:
        return
    }
    this.#changed()
    this.dispatchEvent(new CustomEvent('told', { detail: message }))
  }

  #changed() {
    this.dispatchEvent(new Event('change'))
  }
}

/** Both sides of a trade may be the member's own. */
export const fillKey = (/** @type {Fill} */ { instrument, tradeId, orderId }) => `${instrument}-${tradeId}-${orderId}`

/**
 * @template Item
 * @param {Listing<Item>} listing
 * @param {Item[]} items
 * @param {string | null} cursor
 * @param {(item: Item) => string} keyOf
 * @returns {Listing<Item>}
 */
const grown = (listing, items, cursor, keyOf) => ({
  items: unique([...listing.items, ...items], keyOf),
  cursor,
  isRead: true,
})

/**
 * @template Item
 * @param {Item[]} items
 * @param {(item: Item) => string} keyOf
 */
function unique(items, keyOf) {
  /** @type {Map<string, Item>} */
  const byKey = new Map()
  for (const item of items) if (!byKey.has(keyOf(item))) byKey.set(keyOf(item), item)
  return [...byKey.values()]
}
