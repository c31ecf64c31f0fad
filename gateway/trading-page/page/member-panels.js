/** @import { Balance, Fill, Order } from './types.ts' */
/** @import { MarketRules } from './market-rules.js' */
/** @import { MemberData } from './member-data.js' */
/** @import { Session } from './session.js' */
import { persistently, Refused } from './api.js'
import { tidy, unitsOf } from './decimal.js'
import { byId, drawSoon, element, say, syncRows } from './dom.js'
import { cut, dayAndClock, grouped, padded } from './format.js'
import { fillKey, LISTED_MAX } from './member-data.js'
import { fieldWords, wordsOf } from './messages.js'
import { notify } from './notices.js'

/**
 * @template Item
 * @typedef {object} Column
 * @property {string} title
 * @property {(item: Item) => string} text
 * @property {'number' | 'word'} kind
 * @property {(item: Item) => string} [tone] a class: `buy`, `sell`
 */

const TABS = /** @type {const} */ (['open', 'history', 'fills', 'balances'])

/** @type {Readonly<Record<Order['status'], string>>} */
const STATUS = {
  new: 'Open',
  partially_filled: 'Partly filled',
  executed: 'Filled',
  cancelled: 'Cancelled',
  closed: 'Closed',
  rejected: 'Rejected',
}

const sideText = (/** @type {{ side: string }} */ { side }) => (side === 'buy' ? 'Buy' : 'Sell')
const pairText = (/** @type {{ instrument: string }} */ { instrument }) => instrument.replace('-', '/')

/** @typedef {(instrument: string) => MarketRules | undefined} RulesOf */

/**
 * With the places that the market counts in, so that columns stand in line.
 * @param {RulesOf} rulesOf
 */
function texts(rulesOf) {
  const places = (/** @type {string | null} */ text, /** @type {number | undefined} */ count) =>
    text === null ? '–' : grouped(padded(text, count ?? 0))
  const amount = (/** @type {{ instrument: string }} */ { instrument }, /** @type {string | null} */ text) =>
    places(text, rulesOf(instrument)?.amountScale)
  const price = (/** @type {{ instrument: string }} */ { instrument }, /** @type {string | null} */ text) =>
    places(text, rulesOf(instrument)?.priceScale)
  return {
    amount,
    price,
    orderPrice: (/** @type {Order} */ order) => (order.type === 'market' ? 'Market' : price(order, order.price)),
    wanted: (/** @type {Order} */ order) =>
      order.amount === null
        ? `${places(order.quoteAmount, 0)} ${order.instrument.split('-')[1]}`
        : amount(order, order.amount),
  }
}

/** @param {RulesOf} rulesOf */
function columnsOf(rulesOf) {
  const { amount, price, orderPrice, wanted } = texts(rulesOf)
  const word = /** @type {const} */ ('word')
  const number = /** @type {const} */ ('number')
  const market = { title: 'Market', kind: word, text: pairText }
  const side = {
    title: 'Side',
    kind: word,
    text: sideText,
    tone: (/** @type {{ side: string }} */ one) => one.side,
  }
  const created = { title: 'Time', kind: word, text: (/** @type {Order} */ order) => dayAndClock(order.createdAt) }
  /** @type {Column<Order>[]} */
  const open = [
    created,
    market,
    side,
    { title: 'Price', kind: number, text: orderPrice },
    { title: 'Amount', kind: number, text: wanted },
    { title: 'Filled', kind: number, text: (order) => amount(order, order.executedAmount) },
  ]
  /** @type {Column<Order>[]} */
  const history = [
    created,
    market,
    side,
    { title: 'Price', kind: number, text: orderPrice },
    {
      title: 'Average',
      kind: number,
      text: ({ averagePrice }) => (averagePrice === null ? '–' : grouped(cut(averagePrice, 8))),
    },
    { title: 'Filled', kind: number, text: (order) => amount(order, order.executedAmount) },
    { title: 'Amount', kind: number, text: wanted },
    { title: 'Status', kind: word, text: ({ status }) => STATUS[status] },
  ]
  /** @type {Column<Fill>[]} */
  const fills = [
    { title: 'Time', kind: word, text: ({ time }) => dayAndClock(time) },
    market,
    side,
    { title: 'Price', kind: number, text: (fill) => price(fill, fill.price) },
    { title: 'Amount', kind: number, text: (fill) => amount(fill, fill.amount) },
    { title: 'Total', kind: number, text: ({ quoteAmount }) => grouped(quoteAmount) },
    { title: 'Fee', kind: number, text: ({ fee, feeAsset }) => `${grouped(fee)} ${feeAsset}` },
    { title: 'Role', kind: word, text: ({ liquidity }) => (liquidity === 'maker' ? 'Maker' : 'Taker') },
  ]
  /** @type {Column<Balance>[]} */
  const balances = [
    { title: 'Asset', kind: word, text: ({ asset }) => asset },
    { title: 'Available', kind: number, text: ({ available }) => grouped(available) },
    { title: 'In orders', kind: number, text: ({ held }) => grouped(held) },
    { title: 'Total', kind: number, text: ({ total }) => grouped(total) },
  ]
  return { open, history, fills, balances }
}

/** The member's orders, fills and balances. */
export class MemberPanels {
  #session
  #data
  #rulesOf
  #columns
  #texts
  /** @type {string} */
  #instrument = ''
  /** Cancels are told once, also if there are many. */
  #isCancellingAll = false
  /** @type {Order | undefined} */
  #amended
  /** The last notice of fills. @type {{ orderId: string, amount: bigint, total: bigint, notice: HTMLElement } | undefined} */
  #told
  #onlyThis = /** @type {HTMLInputElement} */ (byId('this-market'))
  #draw = drawSoon(() => this.#drawNow())

  /**
   * @param {object} parts
   * @param {Session} parts.session
   * @param {MemberData} parts.data
   * @param {(instrument: string) => MarketRules | undefined} parts.rulesOf
   */
  constructor({ session, data, rulesOf }) {
    this.#session = session
    this.#data = data
    this.#rulesOf = rulesOf
    this.#columns = columnsOf(rulesOf)
    this.#texts = texts(rulesOf)
    data.addEventListener('change', this.#draw)
    data.addEventListener('told', (event) => this.#tell(/** @type {CustomEvent} */ (event).detail))
    session.addEventListener('change', this.#draw)
    for (const name of TABS) byId(`tab-${name}`).addEventListener('click', () => this.select(name))
    byId('tab-open').parentElement?.addEventListener('keydown', (event) => this.#walk(event))
    this.#onlyThis.addEventListener('change', () => this.#narrow())
    byId('cancel-all').addEventListener('click', () => void this.cancelAll())
    byId('amend-form').addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#amend()
    })
    this.#draw()
  }

  /** @param {Order} order */
  wordsOf(order) {
    const [base, quote] = order.instrument.split('-')
    return `${sideText(order)} ${this.#texts.wanted(order)} ${base} at ${this.#texts.orderPrice(order)} ${quote}`
  }

  /** @param {string} instrument */
  show(instrument) {
    this.#instrument = instrument
    this.#narrow()
    this.#draw()
  }

  /** @param {typeof TABS[number]} chosen */
  select(chosen) {
    for (const name of TABS) {
      const tab = byId(`tab-${name}`)
      tab.setAttribute('aria-selected', String(name === chosen))
      tab.tabIndex = name === chosen ? 0 : -1
      byId(`view-${name}`).hidden = name !== chosen
    }
    this.#draw()
  }

  /** Asks first. */
  async cancelAll() {
    const count = this.#openShown().length
    if (count === 0) {
      notify('There is no open order to cancel.')
      return
    }
    const instrument = this.#onlyThis.checked ? this.#instrument : undefined
    const where = instrument === undefined ? 'in all markets' : `in ${instrument.replace('-', '/')}`
    say(byId('confirm-what'), `${count} open ${count === 1 ? 'order' : 'orders'} ${where}.`)
    if (!(await confirmed())) return
    this.#isCancellingAll = true
    try {
      const query = instrument === undefined ? {} : { instrument }
      const { cancelled, pending } = await persistently(() => this.#session.request('DELETE', '/orders', { query }))
      notify(
        `${cancelled.length} ${cancelled.length === 1 ? 'order' : 'orders'} cancelled${pending.length > 0 ? `, ${pending.length} on the way` : ''}.`,
        'good',
      )
    } catch (error) {
      tellFault(error)
    } finally {
      setTimeout(() => {
        this.#isCancellingAll = false
      }, 1_000)
    }
  }

  #narrow() {
    this.#data.narrow(this.#onlyThis.checked ? this.#instrument : undefined)
    this.#draw()
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    const at = TABS.findIndex((name) => byId(`tab-${name}`) === event.target)
    const next = TABS[(at + step + TABS.length) % TABS.length]
    if (step === 0 || at < 0 || next === undefined) return
    event.preventDefault()
    this.select(next)
    byId(`tab-${next}`).focus()
  }

  #openShown() {
    const orders = [...this.#data.open.values()].sort((one, other) => (BigInt(one.id) < BigInt(other.id) ? 1 : -1))
    return this.#onlyThis.checked ? orders.filter(({ instrument }) => instrument === this.#instrument) : orders
  }

  #drawNow() {
    const { open, history, fills, balances, fault } = this.#data
    const isIn = this.#session.member !== undefined
    const shown = this.#openShown()
    say(byId('open-count'), open.size === 0 ? '' : String(open.size))
    byId('cancel-all').hidden = shown.length === 0 || byId('view-open').hidden
    byId('this-market-label').hidden = !byId('view-balances').hidden
    const stranger = 'Log in to see your orders, fills and balances.'
    const empty = (/** @type {string} */ words, /** @type {boolean} */ isRead) =>
      isIn ? (fault !== '' ? fault : isRead ? words : 'Reading…') : stranger
    drawTable(
      byId('view-open'),
      this.#columns.open,
      shown,
      ({ id }) => id,
      empty('No open orders.', true),
      (order) => this.#actions(order),
    )
    drawTable(
      byId('view-history'),
      this.#columns.history,
      history.items,
      ({ id }) => id,
      empty('No orders yet.', history.isRead),
    )
    drawTable(byId('view-fills'), this.#columns.fills, fills.items, fillKey, empty('No fills yet.', fills.isRead))
    const held = [...balances.values()].sort((one, other) => (one.asset < other.asset ? -1 : 1))
    drawTable(
      byId('view-balances'),
      this.#columns.balances,
      held,
      ({ asset }) => asset,
      empty('No balances yet. A deposit goes by your member number, which stands under your e-mail above.', true),
    )
    this.#drawMore('history', history.cursor !== null && history.items.length < LISTED_MAX)
    this.#drawMore('fills', fills.cursor !== null && fills.items.length < LISTED_MAX)
  }

  /**
   * @param {'history' | 'fills'} which
   * @param {boolean} isThere
   */
  #drawMore(which, isThere) {
    const view = byId(`view-${which}`)
    let button = view.querySelector('button.more')
    if (!isThere) button?.remove()
    else if (button === null) {
      button = element('button', { type: 'button', class: 'quiet small more' }, 'Older ones')
      button.addEventListener('click', () => this.#data.more(which))
      view.append(button)
    }
  }

  /**
   * @param {Order} order
   * @returns {HTMLElement[]}
   */
  #actions(order) {
    const { id } = order
    const about = `${sideText(order)} ${this.#texts.wanted(order)} ${pairText(order)}`
    const amend = element(
      'button',
      { type: 'button', class: 'quiet small', 'aria-label': `Change: ${about}` },
      'Change',
    )
    const cancel = element(
      'button',
      { type: 'button', class: 'quiet small', 'aria-label': `Cancel: ${about}` },
      'Cancel',
    )
    amend.addEventListener('click', () => {
      const now = this.#data.open.get(id)
      if (now !== undefined) this.#askAmendment(now)
    })
    cancel.addEventListener('click', () => void this.#cancel(id, cancel))
    return [amend, cancel]
  }

  /**
   * @param {string} id
   * @param {HTMLButtonElement} button
   */
  async #cancel(id, button) {
    button.disabled = true
    try {
      this.#data.takeOrder(await persistently(() => this.#session.request('DELETE', `/order/${id}`)))
    } catch (error) {
      tellFault(error)
    } finally {
      button.disabled = false
    }
  }

  /** @param {Order} order */
  #askAmendment(order) {
    const [base = '', quote = ''] = order.instrument.split('-')
    this.#amended = order
    say(byId('amend-what'), `${this.wordsOf(order)}; ${grouped(order.executedAmount)} executed.`)
    say(byId('amend-price-unit'), quote)
    say(byId('amend-amount-unit'), base)
    say(byId('amend-fault'), '')
    const price = /** @type {HTMLInputElement} */ (byId('amend-price'))
    price.value = order.price ?? ''
    const amount = /** @type {HTMLInputElement} */ (byId('amend-amount'))
    amount.value = order.amount ?? ''
    const dialog = /** @type {HTMLDialogElement} */ (byId('amend-dialog'))
    dialog.showModal()
    price.select()
  }

  async #amend() {
    const order = this.#amended
    const rules = order === undefined ? undefined : this.#rulesOf(order.instrument)
    if (order === undefined || rules === undefined) return
    const written = (/** @type {string} */ id) => tidy(/** @type {HTMLInputElement} */ (byId(id)).value)
    const [price, amount] = [rules.price(written('amend-price')), rules.amount(written('amend-amount'))]
    const fault =
      typeof price === 'string'
        ? fieldWords(price, 'price', rules)
        : typeof amount === 'string'
          ? fieldWords(amount, 'amount', rules)
          : ''
    say(byId('amend-fault'), fault)
    if (typeof price === 'string' || typeof amount === 'string') return
    // Only what is another: less amount alone keeps the place in the queue.
    const change = {
      ...(rules.price(order.price ?? '') === price ? {} : { price: rules.priceText(price) }),
      ...(rules.amount(order.amount ?? '') === amount ? {} : { amount: rules.amountText(amount) }),
    }
    const dialog = /** @type {HTMLDialogElement} */ (byId('amend-dialog'))
    if (Object.keys(change).length === 0) {
      dialog.close()
      return
    }
    try {
      this.#data.takeOrder(await this.#session.request('PATCH', `/order/${order.id}`, { body: change }))
      dialog.close()
      notify('The order was changed.', 'good')
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      const field = error.field === 'price' || error.field === 'amount' ? error.field : undefined
      say(byId('amend-fault'), field === undefined ? wordsOf(error) : fieldWords(error.code, field, rules))
    }
  }

  /** @param {any} message */
  #tell(message) {
    if (message.type === 'fills') this.#tellFills(message.fills)
    else if (message.type === 'orders' && message.cause === 'cancelled' && !this.#isCancellingAll) {
      const { order } = message
      notify(`Cancelled: ${this.wordsOf(order)}.`)
    }
  }

  /**
   * Of one order. An order that is filled in many small parts has one notice.
   * @param {readonly Fill[]} fills
   */
  #tellFills(fills) {
    const [first] = fills
    const rules = first && this.#rulesOf(first.instrument)
    if (first === undefined || rules === undefined) return
    const told = this.#told?.orderId === first.orderId && this.#told.notice.isConnected ? this.#told : undefined
    let [amount, total] = told === undefined ? [0n, 0n] : [told.amount, told.total]
    for (const fill of fills) {
      amount += unitsOf(fill.amount, rules.amountScale)
      total += unitsOf(fill.quoteAmount, rules.quoteScale)
    }
    const [base, quote] = first.instrument.split('-')
    const verb = first.side === 'buy' ? 'Bought' : 'Sold'
    const text = `${verb} ${grouped(rules.amountText(amount))} ${base} for ${grouped(rules.totalText(total))} ${quote}.`
    if (told !== undefined) say(told.notice, text)
    this.#told = { orderId: first.orderId, amount, total, notice: told?.notice ?? notify(text, 'good') }
  }
}

/** @param {unknown} error */
function tellFault(error) {
  if (!(error instanceof Refused)) throw error
  notify(wordsOf(error), 'bad')
}

/** @returns {Promise<boolean>} */
function confirmed() {
  const dialog = /** @type {HTMLDialogElement} */ (byId('confirm-dialog'))
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true })
  })
}

/**
 * @template Item
 * @param {HTMLElement} view
 * @param {readonly Column<Item>[]} columns
 * @param {readonly Item[]} items
 * @param {(item: Item) => string} keyOf
 * @param {string} empty what stands there without any
 * @param {(item: Item) => HTMLElement[]} [actionsOf]
 */
function drawTable(view, columns, items, keyOf, empty, actionsOf) {
  if (view.hidden) return
  let table = view.querySelector('table')
  if (table === null) {
    const heads = columns.map(({ title, kind }) => element('th', { scope: 'col', class: kind }, title))
    const last =
      actionsOf === undefined
        ? []
        : [element('th', { scope: 'col' }, element('span', { class: 'visually-hidden' }, 'Actions'))]
    table = element('table', {}, element('thead', {}, element('tr', {}, ...heads, ...last)), element('tbody'))
    view.prepend(table, element('p', { class: 'rest' }), element('p', { class: 'empty' }))
  }
  const [body] = table.tBodies
  const words = view.querySelector('.empty')
  const rest = view.querySelector('.rest')
  if (body === undefined || !(words instanceof HTMLElement) || !(rest instanceof HTMLElement)) return
  rest.hidden = items.length <= LISTED_MAX
  say(rest, `These are ${LISTED_MAX} of ${items.length}.`)
  table.hidden = items.length === 0
  words.hidden = items.length > 0
  say(words, empty)
  syncRows(
    body,
    items.slice(0, LISTED_MAX),
    keyOf,
    (item) => {
      const cells = columns.map(({ title, kind }) => element('td', { class: kind, 'data-title': title }))
      const last = actionsOf === undefined ? [] : [element('td', { class: 'row-actions' }, ...actionsOf(item))]
      return element('tr', {}, ...cells, ...last)
    },
    (row, item) => {
      columns.forEach(({ text, kind, tone }, index) => {
        const cell = row.children[index]
        if (!(cell instanceof HTMLElement)) return
        say(cell, text(item))
        cell.className = tone === undefined ? kind : `${kind} ${tone(item)}`
      })
    },
  )
}
