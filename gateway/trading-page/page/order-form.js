/** @import { Balance, Order } from './types.ts' */
/** @import { Book } from './book.js' */
/** @import { Draft } from './order-draft.js' */
/** @import { MarketRules } from './market-rules.js' */
/** @import { Session } from './session.js' */
import { persistently, Refused } from './api.js'
import { fromUnits, tidy } from './decimal.js'
import { byId, say } from './dom.js'
import { cut, grouped } from './format.js'
import { fieldWords, wordsOf } from './messages.js'
import { notify } from './notices.js'
import { partOf, readDraft } from './order-draft.js'

/** @typedef {'price' | 'amount' | 'total'} Field */
/** @type {readonly Field[]} */
const FIELDS = ['price', 'amount', 'total']
/** Fields of the exchange by the form's own. @type {Readonly<Record<string, Field>>} */
const FIELD_OF = { price: 'price', amount: 'amount', quoteAmount: 'total' }

/** The form that places orders. */
export class OrderForm {
  #session
  #bookOf
  #onPlaced
  #onLogin
  #form = /** @type {HTMLFormElement} */ (byId('order-form'))
  #inputs = {
    price: /** @type {HTMLInputElement} */ (byId('price')),
    amount: /** @type {HTMLInputElement} */ (byId('amount')),
    total: /** @type {HTMLInputElement} */ (byId('total')),
  }
  /** @type {MarketRules | undefined} */
  #rules
  /** @type {ReadonlyMap<string, Balance>} */
  #balances = new Map()
  /** @type {'amount' | 'total'} */
  #basis = 'amount'
  /** Faults are shown of what was sent or left, not of what is being written. @type {Set<Field>} */
  #judged = new Set()
  #isBusy = false

  /**
   * @param {object} parts
   * @param {Session} parts.session
   * @param {() => Book | undefined} parts.bookOf
   * @param {(order: Order) => void} parts.onPlaced
   * @param {() => void} parts.onLogin
   */
  constructor({ session, bookOf, onPlaced, onLogin }) {
    this.#session = session
    this.#bookOf = bookOf
    this.#onPlaced = onPlaced
    this.#onLogin = onLogin
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#submit()
    })
    for (const radio of this.#form.querySelectorAll('input[type=radio]')) {
      radio.addEventListener('change', () => {
        this.#judged.clear()
        this.#update()
      })
    }
    for (const field of FIELDS) this.#wire(field)
    for (const button of this.#form.querySelectorAll('button[data-percent]')) {
      button.addEventListener('click', () => this.percent(Number(/** @type {HTMLElement} */ (button).dataset.percent)))
    }
    for (const button of this.#form.querySelectorAll('button[data-price]')) {
      button.addEventListener('click', () => this.#takePrice(/** @type {HTMLElement} */ (button).dataset.price ?? ''))
    }
    session.addEventListener('change', () => this.#update())
  }

  /**
   * Another market; or the same one with another status or other fees, which leaves what is written.
   * @param {MarketRules} rules
   */
  show(rules) {
    const isOther = rules.market.instrument !== this.#rules?.market.instrument
    this.#rules = rules
    const { base, quote } = rules.market
    if (isOther) {
      for (const field of FIELDS) this.#inputs[field].value = ''
      this.#judged.clear()
    }
    say(byId('price-unit'), quote)
    say(byId('amount-unit'), base)
    say(byId('total-unit'), quote)
    this.#update()
  }

  /** @param {ReadonlyMap<string, Balance>} balances */
  fund(balances) {
    this.#balances = balances
    this.#update()
  }

  /** The book is another. */
  refresh() {
    this.#update()
  }

  /** @param {bigint} price */
  price(price) {
    const rules = this.#rules
    if (rules === undefined) return
    this.#choose('type', 'limit')
    this.#inputs.price.value = rules.priceText(rules.wholeTicks(price))
    this.#update()
  }

  /**
   * @param {'side' | 'type'} name
   * @param {string} value
   */
  #choose(name, value) {
    const radio = this.#form.querySelector(`input[name=${name}][value=${value}]`)
    if (!(radio instanceof HTMLInputElement) || radio.checked) return
    radio.checked = true
    this.#judged.clear()
  }

  /**
   * From the keyboard.
   * @param {'buy' | 'sell'} side
   */
  side(side) {
    this.#choose('side', side)
    this.#update()
    const { price, amount } = this.#inputs
    const field = this.#draft().type === 'limit' && price.value === '' ? price : amount
    field.focus()
    field.select()
  }

  /** @param {'limit' | 'market'} type */
  type(type) {
    this.#choose('type', type)
    this.#update()
  }

  /** @param {Field} field */
  focus(field) {
    if (field === 'price') this.type('limit')
    this.#inputs[field].focus()
    this.#inputs[field].select()
  }

  /** @param {number} percent */
  percent(percent) {
    const rules = this.#rules
    const available = this.#available()
    if (rules === undefined) return
    if (available === undefined) {
      this.#onLogin()
      return
    }
    const { basis, text } = partOf(rules, this.#draft(), available, percent)
    this.#basis = basis
    this.#inputs[basis].value = text
    this.#update()
  }

  /** @param {Field} field */
  #wire(field) {
    const input = this.#inputs[field]
    input.addEventListener('beforeinput', (event) => {
      // Some keypads have a comma where the point should be.
      if (event.inputType !== 'insertText' || event.data !== ',') return
      event.preventDefault()
      input.setRangeText('.', input.selectionStart ?? 0, input.selectionEnd ?? 0, 'end')
      input.dispatchEvent(new Event('input'))
    })
    input.addEventListener('input', () => {
      if (field !== 'price') this.#basis = field
      this.#judged.delete(field)
      this.#update()
    })
    input.addEventListener('change', () => {
      input.value = tidy(input.value)
      if (input.value !== '') this.#judged.add(field)
      this.#update()
    })
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return
      event.preventDefault()
      this.#step(field, (event.key === 'ArrowUp' ? 1n : -1n) * (event.shiftKey ? 10n : 1n))
    })
  }

  /**
   * A tick or a lot more or less.
   * @param {Field} field
   * @param {bigint} steps
   */
  #step(field, steps) {
    const rules = this.#rules
    if (rules === undefined || field === 'total') return
    const isPrice = field === 'price'
    const read = isPrice ? rules.price(tidy(this.#inputs[field].value)) : rules.amount(tidy(this.#inputs[field].value))
    const size = isPrice ? rules.tick : rules.lot
    const least = isPrice ? rules.tick : rules.amountMin > 0n ? rules.amountMin : rules.lot
    const next = typeof read === 'bigint' ? read + steps * size : least
    this.#inputs[field].value = isPrice
      ? rules.priceText(next < least ? least : next)
      : rules.amountText(next < least ? least : next)
    if (!isPrice) this.#basis = 'amount'
    this.#update()
  }

  /** @param {string} which */
  #takePrice(which) {
    const book = this.#bookOf()
    const [bid, ask] = [book?.bids[0]?.price, book?.asks[0]?.price]
    const price =
      which === 'bid'
        ? bid
        : which === 'ask'
          ? ask
          : bid !== undefined && ask !== undefined
            ? (bid + ask) / 2n
            : undefined
    if (price !== undefined) this.price(price)
  }

  /** @returns {Draft} */
  #draft() {
    const data = new FormData(this.#form)
    const text = (/** @type {Field} */ field) => tidy(this.#inputs[field].value)
    return {
      side: data.get('side') === 'sell' ? 'sell' : 'buy',
      type: data.get('type') === 'market' ? 'market' : 'limit',
      price: text('price'),
      amount: text('amount'),
      total: text('total'),
      basis: this.#basis,
    }
  }

  #available() {
    const rules = this.#rules
    if (rules === undefined || this.#session.member === undefined) return undefined
    const of = (/** @type {string} */ asset) => this.#balances.get(asset)?.available ?? '0'
    return { base: of(rules.market.base), quote: of(rules.market.quote) }
  }

  #update() {
    const rules = this.#rules
    if (rules === undefined) return
    const draft = this.#draft()
    const available = this.#available()
    const reading = readDraft(rules, draft, this.#bookOf(), available)
    const { base, quote, status } = rules.market
    this.#form.dataset.side = draft.side
    this.#form.dataset.type = draft.type
    const spent = draft.side === 'buy' ? quote : base
    say(
      byId('available'),
      available === undefined ? '–' : `${grouped(draft.side === 'buy' ? available.quote : available.base)} ${spent}`,
    )

    // The field that was not written follows from the one that was.
    const follows = draft.basis === 'amount' ? 'total' : 'amount'
    const value = follows === 'total' ? reading.total : reading.amount
    const isAbout = draft.type === 'market'
    const input = this.#inputs[follows]
    if (document.activeElement !== input || draft[draft.basis] !== '') {
      const text = value === undefined ? '' : follows === 'total' ? rules.totalText(value) : rules.amountText(value)
      if (input.value !== text) input.value = text
    }
    for (const field of /** @type {const} */ (['amount', 'total'])) {
      this.#inputs[field].classList.toggle('about', isAbout && field === follows && value !== undefined)
    }
    for (const field of FIELDS) {
      const fault = reading.faults[field]
      const isShown = fault !== undefined && (this.#judged.has(field) || fault === 'insufficient_balance')
      const words = isShown ? fieldWords(fault, field, rules) : ''
      say(byId(`${field}-fault`), words)
      this.#inputs[field].setAttribute('aria-invalid', String(isShown))
    }
    say(byId('price-caution'), reading.faults.price === undefined ? cautionOf(rules, draft, this.#bookOf()) : '')
    const [feeAsset, feeScale] = draft.side === 'buy' ? [base, rules.baseScale] : [quote, rules.quoteScale]
    say(
      byId('note-fee'),
      reading.fee === undefined ? '–' : `${grouped(cut(fromUnits(reading.fee, feeScale), 8))} ${feeAsset}`,
    )
    const { amount, total } = reading
    const hasAverage = isAbout && amount !== undefined && total !== undefined && amount > 0n
    byId('note-average-row').hidden = !hasAverage
    if (hasAverage) {
      // total / amount, in the price's units.
      const average =
        (total * 10n ** BigInt(rules.priceScale + rules.amountScale)) / (amount * 10n ** BigInt(rules.quoteScale))
      say(
        byId('note-average'),
        `${grouped(rules.priceText(average))} ${quote}${reading.isThin ? ' – more than the book in sight' : ''}`,
      )
    }
    const button = /** @type {HTMLButtonElement} */ (byId('submit'))
    const isOpen = status === 'trading'
    say(
      button,
      available === undefined
        ? 'Log in to trade'
        : !isOpen
          ? status === 'halted'
            ? 'Market halted'
            : 'Only cancels are taken'
          : this.#isBusy
            ? 'Sending…'
            : `${draft.side === 'buy' ? 'Buy' : 'Sell'} ${base}`,
    )
    button.disabled = this.#isBusy || (available !== undefined && !isOpen)
    button.classList.toggle('stranger', available === undefined)
  }

  async #submit() {
    const rules = this.#rules
    if (rules === undefined || this.#isBusy) return
    if (this.#session.member === undefined) {
      this.#onLogin()
      return
    }
    say(byId('form-fault'), '')
    for (const field of FIELDS) {
      this.#inputs[field].value = tidy(this.#inputs[field].value)
      this.#judged.add(field)
    }
    const { order, faults } = readDraft(rules, this.#draft(), this.#bookOf(), this.#available())
    this.#update()
    if (order === undefined) {
      const first = FIELDS.find((field) => faults[field] !== undefined)
      if (first !== undefined) this.#inputs[first].focus()
      return
    }
    this.#isBusy = true
    this.#update()
    try {
      // With a name of ours the same order, sent twice, is one.
      const body = { ...order, clientOrderId: `page-${crypto.getRandomValues(new BigUint64Array(2)).join('-')}` }
      /** @type {Order} */
      const placed = await persistently(() => this.#session.request('POST', '/order', { body }))
      this.#judged.clear()
      this.#inputs.amount.value = ''
      this.#inputs.total.value = ''
      this.#onPlaced(placed)
    } catch (error) {
      this.#tell(error, rules)
    } finally {
      this.#isBusy = false
      this.#update()
    }
  }

  /**
   * @param {unknown} error
   * @param {MarketRules} rules
   */
  #tell(error, rules) {
    if (!(error instanceof Refused)) throw error
    const field = FIELD_OF[error.field ?? '']
    const words = field === undefined ? wordsOf(error) : fieldWords(error.code, field, rules)
    say(byId('form-fault'), words)
    if (error.code === 'offline') notify(wordsOf({ code: 'outcome_unknown', message: '' }), 'bad')
    if (field !== undefined) this.#inputs[field].focus()
  }
}

/** So many per cent beyond the best price may be a slip of the finger. */
const CAUTION_PERCENT = 5n

/**
 * @param {MarketRules} rules
 * @param {Draft} draft
 * @param {Book | undefined} book
 */
function cautionOf(rules, { side, type, price }, book) {
  const units = type === 'limit' ? rules.price(price) : undefined
  const best = side === 'buy' ? book?.asks[0]?.price : book?.bids[0]?.price
  if (typeof units !== 'bigint' || best === undefined) return ''
  const percent = ((side === 'buy' ? units - best : best - units) * 100n) / best
  if (percent < CAUTION_PERCENT) return ''
  return side === 'buy'
    ? `This is ${percent}% above the best ask, and buys at once.`
    : `This is ${percent}% below the best bid, and sells at once.`
}
