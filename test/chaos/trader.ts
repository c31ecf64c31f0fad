import { isOpenStatus, type Listing, type OrderHistory, type Outcome, type Told } from './history.ts'
import type { Answer, Http } from './http.ts'
import { NEWEST_AT_HAND, Notebook } from './notebook.ts'
import type { Random } from './random.ts'
import { decimalOf, unitsOf } from './units.ts'

export interface Market {
  readonly instrument: string
  readonly marketSlot: number
  /** In units of 10^-8. */
  readonly tick: number
  readonly lot: number
  readonly middleTicks: number
  readonly bandTicks: number
  readonly lotsMax: number
}

/** Told of each answer that shows that a part of the exchange works, and of every other one. */
export interface Observer {
  succeeded(accountSlot: number, marketSlot: number | undefined): void
  historyRead(): void
  answered(what: string, answer: Answer): void
}

/** Beyond so many open orders all are cancelled. */
const OPEN_MAX = 12
const NEWEST_COUNT = 50
const OPEN_COUNT = 500
/** Refusals that say that the exchange could not take the order now: the same order may be sent again. */
const LATER = new Set([
  'slot_unavailable',
  'slot_halted',
  'ids_unavailable',
  'service_unavailable',
  'auth_not_ready',
  'gateway_busy',
  'too_many_requests',
  'rate_limited',
])
/** Nothing was done: said by the gateway before it passed anything on, or by the exchange. */
const NOTHING_DONE = new Set([...LATER, 'not_accepted'])
const isRefusal = ({ status, code }: Answer): boolean =>
  NOTHING_DONE.has(code) || (status >= 400 && status < 500 && code !== '')

/**
 * One member with one request under way at a time: places, repeats what is unknown, cancels, amends and reads,
 * and writes down what he sent and was told.
 */
export class Trader {
  readonly notebook: Notebook
  readonly accountSlot: number
  isBusy = false
  /** Not before, by the monotonic clock: after an unknown outcome he waits a little. */
  restsUntilMs = 0
  readonly #token: string
  readonly #http: Http
  readonly #markets: readonly Market[]
  readonly #random: Random
  readonly #observer: Observer
  /** Sent, and not known what became of it: he does nothing else until he knows. */
  #pending: OrderHistory | undefined
  readonly #open = new Map<string, OrderHistory>()
  #step = 0
  #pauseMs = 0

  constructor(options: {
    readonly memberId: number
    readonly accountSlot: number
    readonly token: string
    readonly http: Http
    readonly markets: readonly Market[]
    readonly random: Random
    readonly observer: Observer
  }) {
    this.notebook = new Notebook(options.memberId, (order) => order === this.#pending || this.#isOpen(order))
    this.accountSlot = options.accountSlot
    this.#token = options.token
    this.#http = options.http
    this.#markets = options.markets
    this.#random = options.random
    this.#observer = options.observer
  }

  get isSettled(): boolean {
    return this.#pending === undefined && !this.isBusy
  }

  /** Does the next thing. Says whether it was a new order. */
  async act(): Promise<boolean> {
    return await this.#alone(async () => {
      if (this.#pending !== undefined) {
        await this.#send(this.#pending)
        return false
      }
      if (this.#open.size >= OPEN_MAX) return await this.#cancelAll()
      const roll = this.#random.below(100)
      if (roll < 84) return await this.#place()
      if (roll < 88) return await this.#cancel()
      if (roll < 91) return await this.#amend()
      if (roll < 95) return await this.#read()
      if (roll < 97) return await this.#repeat()
      return await this.#list(roll === 97 ? 'newest' : 'open')
    })
  }

  /** Finds out what became of the order that is still unknown; nothing new. */
  async settle(): Promise<void> {
    const pending = this.#pending
    if (pending !== undefined) await this.#alone(() => this.#send(pending))
  }

  async #alone<Result>(what: () => Promise<Result>): Promise<Result> {
    this.isBusy = true
    try {
      return await what()
    } finally {
      this.isBusy = false
    }
  }

  async #place(): Promise<boolean> {
    const market = this.#random.pick(this.#markets)
    const type = this.#random.below(20) === 0 ? 'market' : 'limit'
    const ticks = market.middleTicks + this.#random.between(-market.bandTicks, market.bandTicks)
    const order: OrderHistory = {
      clientOrderId: `${this.notebook.memberId}-${this.notebook.ordersCount}`,
      instrument: market.instrument,
      side: this.#random.below(2) === 0 ? 'buy' : 'sell',
      type,
      price: ticks * market.tick,
      amount: this.#random.between(1, market.lotsMax) * market.lot,
      attempts: [],
      told: [],
      cancels: [],
      amendments: [],
      missed: 0,
    }
    this.notebook.addOrder(order)
    await this.#send(order)
    return true
  }

  async #send(order: OrderHistory): Promise<void> {
    const { clientOrderId, instrument, side, type, price, amount } = order
    const body = { instrument, side, type, amount: decimalOf(amount), clientOrderId }
    const priced = type === 'limit' ? { ...body, price: decimalOf(price) } : body
    const answer = await this.#call('POST', '/order', priced)
    const outcome = outcomeOf(answer)
    order.attempts.push(outcome)
    if (outcome === 'told') {
      this.#pending = undefined
      this.#told(order, answer.body, answer.status === 201 ? 'done' : 'seen')
      this.#succeeded(order)
      return
    }
    const isLost = outcome === 'unknown'
    // Somebody who was refused for lack of a service may try again or leave it; after an unknown outcome he has to know.
    const triesAgain =
      isLost || (LATER.has(answer.code) && (order.attempts.includes('unknown') || this.#random.below(2) === 0))
    this.#pending = triesAgain ? order : undefined
    if (triesAgain) this.#rest()
    else if (answer.status < 500) this.#succeeded(order)
  }

  #succeeded(order: OrderHistory): void {
    this.#pauseMs = 0
    this.#observer.succeeded(this.accountSlot, this.#marketOf(order).marketSlot)
  }

  #rest(): void {
    this.#pauseMs = Math.min(1_000, this.#pauseMs * 2 || 50)
    this.restsUntilMs = performance.now() + this.#pauseMs
  }

  async #cancel(): Promise<boolean> {
    const order = this.#anOpenOne()
    if (order === undefined) return await this.#place()
    const answer = await this.#call('DELETE', `/order/${idOf(order)}`)
    const outcome = outcomeOf(answer)
    order.cancels.push({ outcome, code: answer.code })
    if (outcome === 'told') {
      this.#told(order, answer.body, 'done')
      this.#succeeded(order)
    } else if (answer.code === 'order_not_open' || answer.code === 'order_not_found') this.#open.delete(idOf(order))
    else this.#rest()
    return false
  }

  async #amend(): Promise<boolean> {
    const order = this.#anOpenOne()
    const last = order?.told.at(-1)
    if (order?.type !== 'limit' || last === undefined) return await this.#place()
    const market = this.#marketOf(order)
    const ticks = market.middleTicks + this.#random.between(-market.bandTicks, market.bandTicks)
    const price = this.#random.below(2) === 0 ? last.price : ticks * market.tick
    const amount = last.executed + this.#random.between(1, market.lotsMax) * market.lot
    const body = { price: decimalOf(price), amount: decimalOf(amount) }
    const answer = await this.#call('PATCH', `/order/${idOf(order)}`, body)
    const outcome = outcomeOf(answer)
    order.amendments.push({ price, amount, outcome })
    if (outcome === 'told') {
      this.#told(order, answer.body, 'done')
      this.#succeeded(order)
    } else if (answer.code === 'order_not_open') this.#open.delete(idOf(order))
    return false
  }

  async #cancelAll(): Promise<boolean> {
    const answer = await this.#call('DELETE', '/orders')
    const outcome = outcomeOf(answer)
    const { cancelled = [], pending = [], refused = [] } = outcome === 'told' ? answer.body : {}
    this.notebook.cancelAlls.push({ outcome, cancelled, pending })
    if (outcome === 'told') {
      for (const id of [...cancelled, ...refused.map((one: { id: string }) => one.id)]) this.#open.delete(id)
      // What is not among them was over before.
      if (pending.length === 0) this.#open.clear()
      this.#observer.succeeded(this.accountSlot, undefined)
    } else this.#rest()
    return false
  }

  /** A read after an answer: it must not be older. */
  async #read(): Promise<boolean> {
    const order = this.notebook.atHand.at(-1)
    if (order === undefined || order.told.length === 0) return await this.#place()
    const answer = await this.#call('GET', `/order/${idOf(order)}`)
    if (outcomeOf(answer) === 'told') {
      this.#told(order, answer.body, 'seen')
      this.#observer.succeeded(this.accountSlot, undefined)
    } else if (answer.code === 'order_not_found') {
      order.missed++
    }
    return false
  }

  async #repeat(): Promise<boolean> {
    const { atHand } = this.notebook
    const order = atHand[atHand.length - 1 - this.#random.below(Math.min(atHand.length, NEWEST_AT_HAND) || 1)]
    if (order === undefined || order.told.length === 0) return await this.#place()
    await this.#send(order)
    return false
  }

  async #list(what: Listing['what']): Promise<boolean> {
    const limit = what === 'open' ? OPEN_COUNT : NEWEST_COUNT
    const answer = await this.#call(
      'GET',
      what === 'open' ? `/orders?status=open&limit=${limit}` : `/orders?limit=${limit}`,
    )
    if (outcomeOf(answer) !== 'told') return false
    if (!Array.isArray(answer.body.orders)) throw new Error(`A list of orders was answered ${JSON.stringify(answer)}.`)
    const orderIds: string[] = answer.body.orders.map(({ id }: { id: string }) => id)
    const full = orderIds.length === limit
    this.notebook.addListing({ step: ++this.#step, what, full, orderIds: new Set(orderIds) })
    if (what === 'newest') this.#observer.historyRead()
    else this.#observer.succeeded(this.accountSlot, undefined)
    return false
  }

  async #call(method: string, path: string, body?: object): Promise<Answer> {
    const answer = await this.#http.call(method, path, this.#token, body)
    this.#observer.answered(`${method} ${path.startsWith('/order/') ? '/order' : path.split('?')[0]}`, answer)
    return answer
  }

  #marketOf({ instrument }: OrderHistory): Market {
    const market = this.#markets.find((one) => one.instrument === instrument)
    if (market === undefined) throw new Error(`There is no market ${instrument}.`)
    return market
  }

  #isOpen(order: OrderHistory): boolean {
    return order.told.some(({ orderId }) => this.#open.get(orderId) === order)
  }

  #anOpenOne(): OrderHistory | undefined {
    const ids = [...this.#open.keys()]
    return ids.length === 0 ? undefined : this.#open.get(this.#random.pick(ids))
  }

  // biome-ignore lint/suspicious/noExplicitAny: an order as the exchange writes it
  #told(order: OrderHistory, body: any, how: Told['how']): void {
    const told: Told = {
      step: ++this.#step,
      how,
      orderId: body.id,
      sequence: Number(body.sequence),
      status: body.status,
      price: unitsOf(body.price ?? body.worstPrice),
      amount: unitsOf(body.amount),
      executed: unitsOf(body.executedAmount),
      fills: (body.fills ?? []).map((fill: Record<string, string>) => ({
        tradeId: fill.tradeId ?? '',
        price: unitsOf(fill.price ?? ''),
        amount: unitsOf(fill.amount ?? ''),
        fee: unitsOf(fill.fee ?? ''),
      })),
    }
    order.told.push(told)
    if (isOpenStatus(told.status)) this.#open.set(told.orderId, order)
    else this.#open.delete(told.orderId)
  }
}

const idOf = ({ told }: OrderHistory): string => told[0]?.orderId ?? ''

function outcomeOf(answer: Answer): Outcome {
  if (answer.status >= 200 && answer.status < 300) return 'told'
  return isRefusal(answer) ? 'refused' : 'unknown'
}
