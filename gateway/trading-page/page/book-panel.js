/** @import { BookChange, BookSnapshot, Message, Order } from './types.ts' */
/** @import { MarketRules } from './market-rules.js' */
/** @import { Stream } from './stream.js' */
import { Book } from './book.js'
import { fromUnits, placesOf, unitsOf } from './decimal.js'
import { byId, drawSoon, element, say } from './dom.js'
import { cut, grouped, padded } from './format.js'

const DEPTH = 500
const STEPS = [1n, 10n, 100n, 1_000n, 10_000n]
/** The row's height in pixels, as in the style sheet. */
const ROW_PX = 20
const ROWS_MAX = 40
/** A book that cannot be put together is not asked for more often than this. */
const AGAIN_MS = 1_000

/**
 * The order book of one market: followed, proved, drawn.
 *
 * Events: `book` (it is another now).
 */
export class BookPanel extends EventTarget {
  /** @type {Book | undefined} */
  book
  #stream
  #onPrice
  /** @type {MarketRules | undefined} */
  #rules
  #channel = ''
  #step = 1n
  /** @type {Set<bigint>} prices of own orders */
  #own = new Set()
  #asks = rowsIn(byId('asks'))
  #bids = rowsIn(byId('bids'))
  #draw = drawSoon(() => this.#drawNow())

  /**
   * @param {Stream} stream
   * @param {(price: bigint) => void} onPrice a row was chosen
   */
  constructor(stream, onPrice) {
    super()
    this.#stream = stream
    this.#onPrice = onPrice
    const select = /** @type {HTMLSelectElement} */ (byId('book-step'))
    select.addEventListener('change', () => {
      this.#step = BigInt(select.value)
      this.#draw()
    })
    for (const rows of [this.#asks, this.#bids]) {
      rows.parent.addEventListener('click', ({ target }) => {
        const row = target instanceof Element ? target.closest('.row') : null
        const price = row instanceof HTMLElement ? row.dataset.price : undefined
        if (price !== undefined && price !== '') this.#onPrice(BigInt(price))
      })
      new ResizeObserver(this.#draw).observe(rows.parent)
    }
    stream.addEventListener('status', this.#draw)
  }

  /** @param {MarketRules} rules */
  show(rules) {
    if (this.#channel !== '') this.#stream.leave(this.#channel)
    this.#rules = rules
    this.book = undefined
    this.#own.clear()
    this.#step = rules.tick
    this.#channel = `orderbook:${rules.market.instrument}:${DEPTH}`
    say(byId('book-quote'), rules.market.quote)
    say(byId('book-base'), rules.market.base)
    const select = byId('book-step')
    select.replaceChildren(
      ...STEPS.map((factor) => {
        const step = rules.tick * factor
        return element('option', { value: String(step) }, fromUnits(step, rules.priceScale))
      }),
    )
    const channel = this.#channel
    this.#stream.follow(channel, (message) => {
      if (channel === this.#channel) this.#take(rules, message)
    })
    this.#draw()
  }

  /** @param {readonly Order[]} orders own ones of this market */
  mark(orders) {
    const { priceScale = 0 } = this.#rules ?? {}
    this.#own = new Set(orders.flatMap(({ price }) => (price === null ? [] : [unitsOf(price, priceScale)])))
    this.#draw()
  }

  /**
   * @param {MarketRules} rules
   * @param {Message} message
   */
  #take(rules, message) {
    if (message.type !== 'orderbook.snapshot' && message.type !== 'orderbook.change') return
    this.book ??= new Book(rules, DEPTH)
    const isGood = this.book.take(/** @type {BookSnapshot | BookChange} */ (/** @type {unknown} */ (message)))
    if (!isGood) this.#beginAnew(this.book.sequence, message.type)
    this.dispatchEvent(new Event('book'))
    this.#draw()
  }

  /**
   * A change is missing, or the checksum is another.
   * @param {bigint} sequence
   * @param {string} type
   */
  #beginAnew(sequence, type) {
    const channel = this.#channel
    console.warn(`The order book does not go on after ${sequence}: it begins anew.`)
    const restart = () => {
      if (channel === this.#channel) this.#stream.restart(channel)
    }
    if (type === 'orderbook.change') restart()
    else setTimeout(restart, AGAIN_MS)
  }

  #drawNow() {
    const { book } = this
    const rules = this.#rules
    if (rules === undefined) return
    const isGood = book?.isGood === true
    byId('book-panel').dataset.state = this.#stream.status === 'online' ? (isGood ? 'live' : 'waiting') : 'old'
    const count = (/** @type {{ parent: HTMLElement }} */ { parent }) =>
      Math.max(1, Math.min(ROWS_MAX, Math.floor(parent.clientHeight / ROW_PX)))
    const asks = book?.rows('asks', this.#step, count(this.#asks)) ?? []
    const bids = book?.rows('bids', this.#step, count(this.#bids)) ?? []
    const sums = [asks.at(-1)?.sum ?? 0n, bids.at(-1)?.sum ?? 0n]
    const most = sums.reduce((one, other) => (one > other ? one : other))
    const places = placesOf(rules.priceText(this.#step))
    for (const [pool, rows] of /** @type {const} */ ([
      [this.#asks, asks],
      [this.#bids, bids],
    ])) {
      pool.take(rows.length)
      rows.forEach((row, index) => {
        const cells = pool.rows[index]
        if (cells === undefined) return
        say(cells.price, grouped(cut(rules.priceText(row.price), places)))
        say(cells.amount, grouped(padded(rules.amountText(row.amount), rules.amountScale)))
        say(cells.sum, grouped(padded(rules.amountText(row.sum), rules.amountScale)))
        // Thousandths are enough for a bar.
        cells.row.style.setProperty('--share', most === 0n ? '0' : String(Number((row.sum * 1000n) / most) / 1000))
        cells.row.dataset.price = String(row.price)
        const isOwn = this.#own.has(row.price) && this.#step === rules.tick
        cells.row.classList.toggle('own', isOwn)
      })
    }
    const [ask, bid] = [book?.asks[0], book?.bids[0]]
    const spread = ask !== undefined && bid !== undefined ? `Spread ${rules.priceText(ask.price - bid.price)}` : ''
    say(byId('book-spread'), isGood || book === undefined ? spread : 'Catching up…')
  }
}

/**
 * Rows that are used again and again.
 * @param {HTMLElement} parent
 */
function rowsIn(parent) {
  /** @type {{ row: HTMLElement, price: HTMLElement, amount: HTMLElement, sum: HTMLElement }[]} */
  const rows = []
  return {
    parent,
    rows,
    /** @param {number} count */
    take(count) {
      while (rows.length < count) {
        const cell = (/** @type {string} */ name) => element('td', { class: name })
        const [price, amount, sum] = [cell('price'), cell('amount'), cell('sum')]
        const row = element('tr', { class: 'row' }, price, amount, sum)
        rows.push({ row, price, amount, sum })
        parent.append(row)
      }
      rows.forEach(({ row }, index) => {
        row.hidden = index >= count
      })
    },
  }
}
