/** @import { Message, PublicTrade } from './types.ts' */
/** @import { MarketRules } from './market-rules.js' */
/** @import { Stream } from './stream.js' */
import { byId, drawSoon, element, say } from './dom.js'
import { clock, grouped, padded } from './format.js'

const KEPT_MAX = 100
const ROWS_MAX = 60
const ROW_PX = 20

/**
 * The latest trades of a market.
 *
 * Event: `last` (there is a newer one).
 */
export class TradesPanel extends EventTarget {
  /** @type {PublicTrade | undefined} */
  last
  /** Whether the price rose or fell with the latest one that changed it. @type {'up' | 'down' | 'same'} */
  direction = 'same'
  #stream
  #channel = ''
  /** @type {MarketRules | undefined} */
  #rules
  /** @type {PublicTrade[]} newest first */
  #trades = []
  /** @type {{ row: HTMLElement, price: HTMLElement, amount: HTMLElement, time: HTMLElement }[]} */
  #rows = []
  #draw = drawSoon(() => this.#drawNow())

  /** @param {Stream} stream */
  constructor(stream) {
    super()
    this.#stream = stream
    new ResizeObserver(this.#draw).observe(byId('trade-rows'))
  }

  /** @param {MarketRules} rules */
  show(rules) {
    if (this.#channel !== '') this.#stream.leave(this.#channel)
    this.#rules = rules
    this.#trades = []
    this.last = undefined
    this.direction = 'same'
    this.#channel = `trades:${rules.market.instrument}`
    const channel = this.#channel
    this.#stream.follow(channel, (message) => {
      if (channel === this.#channel) this.#take(message)
    })
    this.#draw()
  }

  /** @param {Message} message */
  #take(message) {
    if (message.type !== 'trades.snapshot' && message.type !== 'trades') return
    if (message.type === 'trades.snapshot') this.#trades = []
    for (const trade of /** @type {PublicTrade[]} */ (message.trades)) {
      const before = this.#trades[0]
      if (before !== undefined && before.price !== trade.price) {
        this.direction = Number(trade.price) > Number(before.price) ? 'up' : 'down'
      }
      this.#trades.unshift(trade)
    }
    this.#trades.length = Math.min(this.#trades.length, KEPT_MAX)
    this.last = this.#trades[0]
    this.dispatchEvent(new Event('last'))
    this.#draw()
  }

  #drawNow() {
    const rules = this.#rules
    if (rules === undefined) return
    const parent = byId('trade-rows')
    const count = Math.min(ROWS_MAX, this.#trades.length, Math.max(8, Math.ceil(parent.clientHeight / ROW_PX)))
    while (this.#rows.length < count) {
      const cell = (/** @type {string} */ name) => element('td', { class: name })
      const [price, amount, time] = [cell('price'), cell('amount'), cell('time')]
      const row = element('tr', { class: 'row' }, price, amount, time)
      this.#rows.push({ row, price, amount, time })
      parent.append(row)
    }
    this.#rows.forEach(({ row, price, amount, time }, index) => {
      const trade = index < count ? this.#trades[index] : undefined
      row.hidden = trade === undefined
      if (trade === undefined) return
      row.classList.toggle('buy', trade.takerSide === 'buy')
      row.classList.toggle('sell', trade.takerSide === 'sell')
      say(price, grouped(padded(trade.price, rules.priceScale)))
      say(amount, grouped(padded(trade.amount, rules.amountScale)))
      say(time, clock(trade.time))
    })
  }
}
