import { type Funding, isOpenStatus, type MemberHistory, type OrderHistory, type Told } from './history.ts'

/** What the exchange says in the end, in units of 10^-8. */
export interface FinalState {
  readonly orders: readonly FinalOrder[]
  readonly fills: readonly FinalFill[]
  /** Signed. */
  readonly movements: readonly {
    readonly memberId: number
    readonly asset: string
    readonly reference: string
    readonly amount: bigint
  }[]
  readonly balances: readonly FinalBalance[]
  /** What the accounts have in memory: the open orders and all balances. */
  readonly memory: { readonly orders: readonly FinalOrder[]; readonly balances: readonly FinalBalance[] }
}

export interface FinalOrder {
  readonly memberId: number
  readonly orderId: string
  readonly clientOrderId: string | undefined
  readonly instrument: string
  readonly side: 'buy' | 'sell'
  readonly type: 'limit' | 'market'
  readonly price: number
  readonly amount: number
  readonly executed: number
  readonly status: string
  readonly sequence: number
}

export interface FinalFill {
  readonly memberId: number
  readonly orderId: string
  readonly instrument: string
  readonly side: 'buy' | 'sell'
  readonly tradeId: string
  readonly price: number
  readonly amount: number
  readonly quote: bigint
  readonly fee: bigint
  readonly liquidity: 'maker' | 'taker'
}

export interface FinalBalance {
  readonly memberId: number
  readonly asset: string
  readonly available: bigint
  readonly held: bigint
}

/** What can be wrong. `lost` and `doubled` are what nobody forgives. */
export const KINDS = [
  'lost', // told, and not there
  'doubled', // there twice, or told under two ids
  'differs', // there, but not as it was told
  'refused_effective', // refused, and done all the same
  'unasked', // there, and nobody has asked for it
  'stale', // an answer was older than one before it
  'money', // balances are not what deposits, transfers and fills make of them
] as const
export type Kind = (typeof KINDS)[number]

export interface Difference {
  readonly kind: Kind
  readonly memberId: number
  readonly message: string
}

export interface Verdict {
  readonly counts: Counts
  readonly differences: readonly Difference[]
}

interface Counts {
  /** Orders, each under its clientOrderId, however often it was sent. */
  sent: number
  acknowledged: number
  refused: number
  /** Never told, of these so many are there and so many are not. */
  unknown: number
  unknownDone: number
  unknownNotDone: number
  /** Sendings after one of unknown outcome or a refusal for lack of a service. */
  repeats: number
  cancels: number
  amendments: number
  reads: number
  fills: number
  fundings: number
}

const UNIT = 100_000_000n

/** Holds what the members were told against what is there. Knows nothing of how the exchange works inside. */
export function check(histories: Iterable<MemberHistory>, fundings: readonly Funding[], final: FinalState): Verdict {
  const differences: Difference[] = []
  const counts: Counts = {
    sent: 0,
    acknowledged: 0,
    refused: 0,
    unknown: 0,
    unknownDone: 0,
    unknownNotDone: 0,
    repeats: 0,
    cancels: 0,
    amendments: 0,
    reads: 0,
    fills: final.fills.length,
    fundings: fundings.length,
  }
  const report = (kind: Kind, memberId: number, message: string): void => {
    differences.push({ kind, memberId, message })
  }
  const rows = grouped(final.orders, ({ memberId, clientOrderId }) => `${memberId} ${clientOrderId}`)
  const fills = grouped(final.fills, ({ orderId }) => orderId)
  const known = new Set<string>()

  for (const history of histories) {
    const member = new MemberCheck(history, (kind, message) => report(kind, history.memberId, message))
    for (const order of history.orders) {
      known.add(`${history.memberId} ${order.clientOrderId}`)
      count(counts, order)
      const found = rows.get(`${history.memberId} ${order.clientOrderId}`) ?? []
      if (order.told.length === 0 && order.attempts.includes('unknown')) {
        counts.unknown++
        if (found.some(isEffective)) counts.unknownDone++
        else counts.unknownNotDone++
      }
      member.order(order, found, fills)
    }
    member.sequences()
    member.listings(rows)
    counts.reads += history.listings.length
  }
  for (const order of final.orders) {
    if (!known.has(`${order.memberId} ${order.clientOrderId}`)) {
      report('unasked', order.memberId, `order ${order.orderId} (${order.clientOrderId}) was sent by nobody`)
    }
  }
  checkTrades(final.fills, report)
  checkFundings(fundings, final, report)
  checkBalances(final, report)
  return { counts, differences }
}

function count(counts: Counts, { attempts, told, cancels, amendments }: OrderHistory): void {
  counts.sent++
  counts.repeats += Math.max(0, attempts.length - 1)
  counts.cancels += cancels.length
  counts.amendments += amendments.length
  counts.reads += told.filter(({ how }) => how === 'seen').length
  if (told.length > 0) counts.acknowledged++
  else if (!attempts.includes('unknown')) counts.refused++
}

const isEffective = (order: FinalOrder): boolean => order.status !== 'rejected'

class MemberCheck {
  readonly #history: MemberHistory
  readonly #report: (kind: Kind, message: string) => void
  readonly #cancelledByAll: ReadonlySet<string>
  readonly #pendingByAll: ReadonlySet<string>
  readonly #allUnknown: boolean

  constructor(history: MemberHistory, report: (kind: Kind, message: string) => void) {
    this.#history = history
    this.#report = report
    this.#cancelledByAll = new Set(history.cancelAlls.flatMap(({ cancelled }) => cancelled))
    this.#pendingByAll = new Set(history.cancelAlls.flatMap(({ pending }) => pending))
    this.#allUnknown = history.cancelAlls.some(({ outcome }) => outcome === 'unknown')
  }

  order(order: OrderHistory, rows: readonly FinalOrder[], fills: ReadonlyMap<string, readonly FinalFill[]>): void {
    const effective = rows.filter(isEffective)
    const name = `order ${order.clientOrderId}`
    if (effective.length > 1) this.#report('doubled', `${name} is there ${effective.length} times`)
    const ids = new Set(order.told.map(({ orderId }) => orderId))
    if (ids.size > 1) this.#report('doubled', `${name} was told under the ids ${[...ids].join(', ')}`)
    const [id] = ids
    if (id === undefined) {
      if (effective.length > 0 && !order.attempts.includes('unknown')) {
        this.#report('refused_effective', `${name} was refused, and is there as ${effective[0]?.orderId}`)
      }
      const [row] = effective
      if (row !== undefined) this.#row(name, order, row, fills.get(row.orderId) ?? [])
      return
    }
    const row = effective.find(({ orderId }) => orderId === id)
    if (row === undefined) {
      this.#report('lost', `${name} was told as ${id}, and is not there`)
      return
    }
    if (order.missed > 0) this.#report('stale', `${name} was told as ${id}, and a read after that found none`)
    this.#row(name, order, row, fills.get(id) ?? [])
    this.#told(name, order.told, row, fills.get(id) ?? [])
  }

  /** The order as it is in the end, against all that was asked of it. */
  #row(name: string, order: OrderHistory, row: FinalOrder, fills: readonly FinalFill[]): void {
    const differs = (what: string): void => this.#report('differs', `${name} (${row.orderId}) ${what}`)
    if (row.instrument !== order.instrument || row.side !== order.side || row.type !== order.type) {
      differs(`is a ${row.type} ${row.side} in ${row.instrument}`)
    }
    if (order.type === 'limit') {
      const done = order.amendments.filter(({ outcome }) => outcome === 'told').at(-1) ?? order
      const possible = [done, ...order.amendments.filter(({ outcome }) => outcome === 'unknown')]
      if (!possible.some(({ price, amount }) => price === row.price && amount === row.amount)) {
        differs(`ends with ${row.amount} at ${row.price}, which nobody asked for`)
      }
    }
    const executed = fills.reduce((sum, { amount }) => sum + amount, 0)
    if (executed !== row.executed) differs(`has executed ${row.executed}, its fills are ${executed}`)
    if (row.executed > row.amount) differs(`has executed ${row.executed} of ${row.amount}`)

    const wasCancelled = row.status === 'cancelled'
    const asked = order.cancels.some(({ outcome }) => outcome !== 'refused')
    const byAll = this.#cancelledByAll.has(row.orderId)
    if (wasCancelled && !asked && !byAll && !this.#pendingByAll.has(row.orderId) && !this.#allUnknown) {
      this.#report('refused_effective', `${name} was cancelled without being asked to`)
    }
    if (!wasCancelled && (byAll || order.cancels.some(({ outcome }) => outcome === 'told'))) {
      this.#report('lost', `the cancel of ${name} was told, and it is ${row.status}`)
    }
    const isOver = order.cancels.some(({ code }) => code === 'order_not_open' || code === 'order_not_found')
    if (isOver && isOpenStatus(row.status)) differs('was said to be over, and is open')
  }

  /** Every state that was told, against the one before it and the last one. */
  #told(name: string, told: readonly Told[], row: FinalOrder, fills: readonly FinalFill[]): void {
    const byTrade = new Map(fills.map((fill) => [fill.tradeId, fill]))
    let before: Told | undefined
    for (const now of told) {
      const last = `${now.status}, executed ${now.executed}, sequence ${now.sequence}`
      if (before !== undefined && (now.sequence < before.sequence || now.executed < before.executed)) {
        this.#report('stale', `${name} was shown as ${last} after sequence ${before.sequence}`)
      }
      before = now
      const isOver = !isOpenStatus(now.status)
      if (now.sequence > row.sequence || now.executed > row.executed || (isOver && now.status !== row.status)) {
        this.#report('differs', `${name} was told as ${last}, and is ${row.status}, ${row.executed}, ${row.sequence}`)
      }
      if (isOver && now.executed !== row.executed) {
        this.#report('differs', `${name} was told as ${last}, and went on to ${row.executed}`)
      }
      for (const { tradeId, price, amount, fee } of now.fills) {
        const fill = byTrade.get(tradeId)
        if (fill === undefined) this.#report('lost', `trade ${tradeId} of ${name} was told, and is not there`)
        else if (fill.price !== price || fill.amount !== amount || fill.fee !== BigInt(fee)) {
          this.#report('differs', `trade ${tradeId} of ${name} is not as it was told`)
        }
      }
    }
  }

  /** What is done later stands later in the member's log. */
  sequences(): void {
    const done = this.#history.orders
      .flatMap(({ clientOrderId, told }) => told.map((one) => ({ ...one, clientOrderId })))
      .filter(({ how }) => how === 'done')
      .sort((a, b) => a.step - b.step)
    for (const [index, now] of done.entries()) {
      const before = done[index - 1]
      if (before !== undefined && now.sequence <= before.sequence) {
        this.#report('stale', `${now.clientOrderId} has sequence ${now.sequence}, told after ${before.sequence}`)
      }
    }
  }

  /** A listing shows what was told before it. */
  listings(rows: ReadonlyMap<string, readonly FinalOrder[]>): void {
    const { memberId, orders, listings } = this.#history
    if (listings.length === 0) return
    const told = orders.filter((order) => order.told.length > 0)
    for (const { step, what, full, orderIds } of listings) {
      let newest: { readonly step: number; readonly orderId: string } | undefined
      for (const order of told) {
        const [first] = order.told
        if (first === undefined || first.step > step) continue
        if (newest === undefined || newest.step < first.step) newest = first
        if (what === 'newest') continue
        const isShown = orderIds.has(first.orderId)
        const wasOver = order.told.some((one) => one.step < step && !isOpenStatus(one.status))
        const row = rows.get(`${memberId} ${order.clientOrderId}`)?.find(isEffective)
        if (isShown && wasOver) this.#report('stale', `${order.clientOrderId} was over, and listed as open`)
        if (!isShown && !full && row !== undefined && isOpenStatus(row.status)) {
          this.#report('stale', `${order.clientOrderId} is open, and was not listed`)
        }
      }
      if (what === 'newest' && newest !== undefined && !orderIds.has(newest.orderId)) {
        this.#report('stale', `order ${newest.orderId} was told, and missed in the history read after it`)
      }
    }
  }
}

/** Each trade has two sides that say the same, and trades count without a gap. */
function checkTrades(
  fills: readonly FinalFill[],
  report: (kind: Kind, memberId: number, message: string) => void,
): void {
  const trades = grouped(fills, ({ instrument, tradeId }) => `${instrument} ${tradeId}`)
  const last = new Map<string, number>()
  for (const [name, sides] of trades) {
    const [first, second, ...more] = sides
    if (first === undefined) continue
    const { instrument, memberId, tradeId } = first
    last.set(instrument, Math.max(last.get(instrument) ?? 0, Number(tradeId)))
    if (second === undefined) report('lost', memberId, `trade ${name} has one side`)
    else if (more.length > 0) report('doubled', memberId, `trade ${name} has ${sides.length} sides`)
    else if (
      first.side === second.side ||
      first.liquidity === second.liquidity ||
      first.price !== second.price ||
      first.amount !== second.amount ||
      first.quote !== second.quote
    ) {
      report('differs', memberId, `the sides of trade ${name} differ`)
    }
  }
  for (const [instrument, tradeId] of last) {
    const found = [...trades.keys()].filter((name) => name.startsWith(`${instrument} `)).length
    if (found !== tradeId) report('lost', 0, `${instrument} has ${found} of ${tradeId} trades`)
  }
}

function checkFundings(
  fundings: readonly Funding[],
  { movements }: FinalState,
  report: (kind: Kind, memberId: number, message: string) => void,
): void {
  const byReference = grouped(movements, ({ reference }) => reference)
  for (const { reference, memberId, toMemberId, asset, amount, outcome } of fundings) {
    const found = byReference.get(reference) ?? []
    byReference.delete(reference)
    if (found.length === 0) {
      if (outcome === 'told') report('lost', memberId, `${reference} was booked, and is not there`)
      continue
    }
    if (outcome === 'refused') report('refused_effective', memberId, `${reference} was refused, and is there`)
    const expected =
      toMemberId === undefined
        ? [`${memberId} ${asset} ${amount}`]
        : [`${memberId} ${asset} ${-amount}`, `${toMemberId} ${asset} ${amount}`]
    const booked = found.map((one) => `${one.memberId} ${one.asset} ${one.amount}`)
    if (booked.sort().join() !== expected.sort().join()) {
      const kind = booked.length > expected.length ? 'doubled' : booked.length < expected.length ? 'lost' : 'differs'
      report(kind, memberId, `${reference} is booked as ${booked.join(' and ')}`)
    }
  }
  for (const [reference, [movement]] of byReference) {
    report('unasked', movement?.memberId ?? 0, `${reference} was booked and asked for by nobody`)
  }
}

/** Money that came and what was traded make the balances; what is open makes what is held; MySQL and memory agree. */
function checkBalances(
  { orders, fills, movements, balances, memory }: FinalState,
  report: (kind: Kind, memberId: number, message: string) => void,
): void {
  const owned = new Map<string, bigint>()
  const held = new Map<string, bigint>()
  const add = (sums: Map<string, bigint>, key: string, amount: bigint): void => {
    sums.set(key, (sums.get(key) ?? 0n) + amount)
  }
  for (const { memberId, asset, amount } of movements) add(owned, `${memberId} ${asset}`, amount)
  for (const { memberId, instrument, side, amount, quote, fee } of fills) {
    const [base, quoted] = assetsOf(instrument)
    const sign = side === 'buy' ? 1n : -1n
    add(owned, `${memberId} ${base}`, sign * BigInt(amount) - (side === 'buy' ? fee : 0n))
    add(owned, `${memberId} ${quoted}`, -sign * quote - (side === 'buy' ? 0n : fee))
  }
  for (const { memberId, instrument, side, price, amount, executed, status } of orders) {
    if (!isOpenStatus(status)) continue
    const [base, quoted] = assetsOf(instrument)
    const left = BigInt(amount - executed)
    if (side === 'buy') add(held, `${memberId} ${quoted}`, (left * BigInt(price)) / UNIT)
    else add(held, `${memberId} ${base}`, left)
  }
  for (const [place, list] of [
    ['MySQL', balances],
    ['memory', memory.balances],
  ] as const) {
    const found = new Map(list.map((one) => [`${one.memberId} ${one.asset}`, one]))
    for (const key of new Set([...owned.keys(), ...found.keys()])) {
      const { available = 0n, held: holds = 0n } = found.get(key) ?? {}
      const expected = owned.get(key) ?? 0n
      const memberId = Number(key.split(' ')[0])
      if (available + holds !== expected)
        report('money', memberId, `${place}: ${key} is ${available + holds}, not ${expected}`)
      else if (holds !== (held.get(key) ?? 0n)) {
        report('money', memberId, `${place}: ${key} holds ${holds}, open orders need ${held.get(key) ?? 0n}`)
      } else if (available < 0n) report('money', memberId, `${place}: ${key} is ${available}`)
    }
  }
  const open = new Map(orders.filter(({ status }) => isOpenStatus(status)).map((order) => [order.orderId, order]))
  for (const order of memory.orders) {
    const row = open.get(order.orderId)
    open.delete(order.orderId)
    if (row === undefined) report('differs', order.memberId, `order ${order.orderId} is open in memory, not in MySQL`)
    else if (!isSame(order, row)) report('differs', order.memberId, `order ${order.orderId} is another one in MySQL`)
  }
  for (const { memberId, orderId } of open.values()) {
    report('lost', memberId, `order ${orderId} is open in MySQL, and not in memory`)
  }
}

const COMPARED = [
  'memberId',
  'clientOrderId',
  'instrument',
  'side',
  'price',
  'amount',
  'executed',
  'status',
  'sequence',
] as const

const isSame = (one: FinalOrder, other: FinalOrder): boolean => COMPARED.every((field) => one[field] === other[field])

const assetsOf = (instrument: string): [base: string, quote: string] => {
  const [base = '', quote = ''] = instrument.split('-')
  return [base, quote]
}

function grouped<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}
