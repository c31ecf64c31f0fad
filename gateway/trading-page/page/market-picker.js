/** @import { Market, Ticker } from './types.ts' */
/** @import { Stream } from './stream.js' */

import { placesOf } from './decimal.js'
import { byId, drawSoon, element, say, syncRows } from './dom.js'
import { compact, grouped, padded, signedPercent } from './format.js'

/** Markets whose tickers are followed while the list is open. */
const FOLLOWED_MAX = 200

/** The list of markets with their tickers, to search and choose from, and the figures of the chosen one. */
export class MarketPicker {
  /** @type {readonly Market[]} */
  markets = []
  #stream
  #onChosen
  /** @type {Market | undefined} */
  #chosen
  /** @type {Map<string, Ticker>} */
  #tickers = new Map()
  /** @type {Set<string>} */
  #followed = new Set()
  /** The instrument that Enter would take. */
  #active = ''
  #dialog = /** @type {HTMLDialogElement} */ (byId('market-dialog'))
  #search = /** @type {HTMLInputElement} */ (byId('market-search'))
  #draw = drawSoon(() => this.#drawNow())

  /**
   * @param {Stream} stream
   * @param {(market: Market) => void} onChosen
   */
  constructor(stream, onChosen) {
    this.#stream = stream
    this.#onChosen = onChosen
    byId('market-button').addEventListener('click', () => this.open())
    this.#dialog.addEventListener('close', () => this.#follow([]))
    this.#search.addEventListener('input', () => {
      this.#active = ''
      this.#draw()
    })
    this.#search.addEventListener('keydown', (event) => this.#key(event))
    byId('market-list').addEventListener('click', ({ target }) => {
      const row = target instanceof Element ? target.closest('.market-row') : null
      if (row instanceof HTMLElement) this.#choose(row.dataset.key)
    })
  }

  open() {
    this.#search.value = ''
    this.#active = this.#chosen?.instrument ?? ''
    this.#follow(this.markets.slice(0, FOLLOWED_MAX))
    this.#dialog.showModal()
    this.#drawNow()
    this.#search.focus()
  }

  /** @param {Market} market */
  show(market) {
    const before = this.#chosen
    this.#chosen = market
    if (before !== undefined && before.instrument !== market.instrument) this.#leave(before.instrument)
    this.#followOne(market.instrument)
    say(byId('market-label'), `${market.base} / ${market.quote}`)
    say(byId('stat-volume-unit'), market.base)
    say(byId('stat-quote-unit'), market.quote)
    this.#drawNow()
  }

  /** @param {readonly Market[]} markets */
  #follow(markets) {
    const wanted = new Set(markets.map(({ instrument }) => instrument))
    for (const instrument of this.#followed) if (!wanted.has(instrument)) this.#leave(instrument)
    for (const instrument of wanted) this.#followOne(instrument)
  }

  /** @param {string} instrument */
  #followOne(instrument) {
    if (this.#followed.has(instrument)) return
    this.#followed.add(instrument)
    this.#stream.follow(`ticker:${instrument}`, (message) => {
      if (message.type !== 'ticker') return
      this.#tickers.set(instrument, /** @type {Ticker} */ (/** @type {unknown} */ (message)))
      this.#draw()
    })
  }

  /** @param {string} instrument */
  #leave(instrument) {
    if (instrument === this.#chosen?.instrument) return
    this.#followed.delete(instrument)
    this.#stream.leave(`ticker:${instrument}`)
  }

  #matching() {
    const words = this.#search.value
      .trim()
      .toUpperCase()
      .split(/[\s/-]+/)
    return this.markets.filter(({ instrument }) => words.every((word) => instrument.includes(word)))
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const names = this.#matching().map(({ instrument }) => instrument)
    const at = names.indexOf(this.#active)
    if (event.key === 'Enter') this.#choose(names[Math.max(0, at)])
    else if (event.key === 'ArrowDown') this.#active = names[Math.min(names.length - 1, at + 1)] ?? ''
    else if (event.key === 'ArrowUp') this.#active = names[Math.max(0, at - 1)] ?? ''
    else return
    event.preventDefault()
    this.#drawNow()
    byId('market-list').querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' })
  }

  /** @param {string | undefined} instrument */
  #choose(instrument) {
    const market = this.markets.find((one) => one.instrument === instrument)
    if (market === undefined) return
    this.#dialog.close()
    this.#onChosen(market)
  }

  #drawNow() {
    this.#drawStats()
    if (this.#dialog.open) this.#drawList()
  }

  #drawStats() {
    const market = this.#chosen
    if (market === undefined) return
    const ticker = this.#tickers.get(market.instrument)
    const price = (/** @type {string | null | undefined} */ text) =>
      text === null || text === undefined ? '–' : grouped(padded(text, placesOf(market.tick)))
    const change = byId('stat-change')
    const { changePercent } = ticker ?? {}
    const has = changePercent !== null && changePercent !== undefined
    say(byId('stat-change-price'), has ? `${Number(changePercent) > 0 ? '+' : ''}${price(ticker?.change)}` : '')
    say(byId('stat-change-percent'), has ? signedPercent(changePercent) : '–')
    change.dataset.direction = has ? directionOf(changePercent) : 'same'
    say(byId('stat-high'), price(ticker?.high))
    say(byId('stat-low'), price(ticker?.low))
    say(byId('stat-volume'), ticker === undefined ? '–' : compact(ticker.volume))
    say(byId('stat-quote'), ticker === undefined ? '–' : compact(ticker.quoteVolume))
  }

  #drawList() {
    const list = byId('market-list')
    const markets = this.#matching()
    if (!markets.some(({ instrument }) => instrument === this.#active)) this.#active = markets[0]?.instrument ?? ''
    syncRows(
      list,
      markets,
      ({ instrument }) => instrument,
      ({ instrument, base, quote }) =>
        element(
          'div',
          { class: 'market-row', role: 'option', id: `market-${instrument}` },
          element('span', { class: 'pair' }, element('b', {}, base), `/${quote}`),
          element('span', { class: 'price' }),
          element('span', { class: 'change' }),
          element('span', { class: 'volume' }),
        ),
      (row, market) => {
        const ticker = this.#tickers.get(market.instrument)
        const [, price, change, volume] = /** @type {HTMLElement[]} */ ([...row.children])
        if (price === undefined || change === undefined || volume === undefined) return
        say(price, ticker?.last == null ? '–' : grouped(padded(ticker.last, placesOf(market.tick))))
        say(change, ticker?.changePercent == null ? '–' : signedPercent(ticker.changePercent))
        change.dataset.direction = directionOf(ticker?.changePercent ?? '0')
        say(volume, ticker === undefined ? '–' : `${compact(ticker.quoteVolume)} ${market.quote}`)
        row.setAttribute('aria-selected', String(market.instrument === this.#active))
        row.classList.toggle('chosen', market.instrument === this.#chosen?.instrument)
      },
    )
    this.#search.setAttribute('aria-activedescendant', this.#active === '' ? '' : `market-${this.#active}`)
  }
}

/** @param {string} change */
const directionOf = (change) => (Number(change) > 0 ? 'up' : Number(change) < 0 ? 'down' : 'same')
