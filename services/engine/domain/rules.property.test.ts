import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { OrderCommandRefused, OrderOutcome } from '#mesh/protocol/accounts.ts'
import type { OrderState } from '#mesh/protocol/common.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { createNaiveExchange, type NaiveExchange } from '../../../test/support/naive-exchange.ts'
import { MARKET, recordingContext, type Said } from '../testing/script.ts'
import { engineRules } from './rules.ts'
import type { EngineState } from './state.ts'

/** The second has amounts of money with many digits, up to what may exist of an asset. */
const COARSE = MARKET
const FINE = {
  ...MARKET,
  instrument: 'CCC-DDD',
  base: 'CCC',
  quote: 'DDD',
  tick: '0.001',
  lot: '0.0007',
  baseMinorPerLot: '700000',
  quoteMinorPerTickLot: '700',
}
const MARKETS = [COARSE, FINE]
const SCALES: Record<string, number> = { AAA: 2, BBB: 2, CCC: 9, DDD: 9 }

type Step =
  | {
      readonly kind: 'enter'
      readonly market: number
      readonly side: 'buy' | 'sell'
      readonly orderType: 'limit' | 'market'
      readonly price: number
      readonly amount: number
      readonly quote: number | undefined
      readonly member: number
      readonly fees: number
      readonly extraHold: number
      readonly repeat: number | undefined
    }
  | { readonly kind: 'cancel'; readonly target: number }
  | {
      readonly kind: 'amend'
      readonly target: number
      readonly price: number | undefined
      readonly amount: number | undefined
      readonly extraHold: number
    }
  | { readonly kind: 'status'; readonly market: number; readonly status: 'trading' | 'cancel_only' | 'halted' }

const price = fc.integer({ min: 95, max: 105 })
const amount = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9_000_000_000_000 }))
const extraHold = fc.constantFrom(0, 0, 0, 17, -1)
const target = fc.nat({ max: 1_000 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('enter' as const),
      market: fc.integer({ min: 0, max: 1 }),
      side: fc.constantFrom('buy' as const, 'sell' as const),
      orderType: fc.constantFrom('limit' as const, 'limit' as const, 'limit' as const, 'market' as const),
      price,
      amount,
      quote: fc.option(fc.integer({ min: 1, max: 3_000 }), { nil: undefined }),
      member: fc.integer({ min: 1, max: 5 }),
      fees: fc.constantFrom(0, 1, 777, 100_000),
      extraHold,
      repeat: fc.option(target, { nil: undefined, freq: 20 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('cancel' as const), target }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('amend' as const),
      target,
      price: fc.option(price, { nil: undefined }),
      amount: fc.option(amount, { nil: undefined }),
      extraHold,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('status' as const),
      market: fc.integer({ min: 0, max: 1 }),
      status: fc.constantFrom('trading' as const, 'trading' as const, 'cancel_only' as const, 'halted' as const),
    }),
  },
)

interface Sent {
  readonly item: MarketItem
  readonly source: string
}

/** Where a member's outcomes go: two slots. */
const slotOfMember = (memberId: number): number => memberId % 2

/** What accounts would know of an order: what it holds follows from the outcomes alone. */
interface Booked {
  readonly side: 'buy' | 'sell'
  readonly market: (typeof MARKETS)[number]
  readonly memberId: number
  heldMinor: bigint
  consumedMinor: bigint
  receivedMinor: bigint
  feeMinor: bigint
  status: string
  reason: string | undefined
  priceTicks: number
  amountLots: number
  executedLots: number
  readonly fills: OrderOutcome['fills'][number][]
}

/** Runs the steps through the rules; each becomes an item that depends on what accounts would know by then. */
class Run {
  readonly state: EngineState = engineRules.initialState(0)
  readonly naive: NaiveExchange = createNaiveExchange()
  readonly sent: Sent[] = []
  readonly orders = new Map<number, Booked>()
  readonly refusals: { commandId: number; code: string }[] = []
  readonly depths = new Map(MARKETS.map(({ instrument }) => [instrument, { buy: new Map(), sell: new Map() }]))
  readonly sequences = new Map<string, number>()
  readonly trades: Extract<MarketEvent, { type: 'Traded' }>[] = []
  #nextId = 100

  constructor() {
    for (const [asset, scale] of Object.entries(SCALES)) this.naive.defineAsset(asset, scale)
    for (const market of MARKETS) {
      this.#apply({ type: 'OpenMarket', market, commandId: 1, replyTo: '' }, 'definitions-0')
    }
  }

  take(step: Step) {
    switch (step.kind) {
      case 'enter':
        return this.#enter(step)
      case 'cancel':
        return this.#withTarget(step.target, (orderId, { memberId, market }) => {
          const common = { commandId: this.#nextId++, replyTo: 'g', orderId, memberId, instrument: market.instrument }
          this.#book(this.#apply({ type: 'CancelEntered', ...common }, `accounts-${slotOfMember(memberId)}`))
        })
      case 'amend':
        return this.#amend(step)
      case 'status': {
        const { instrument } = marketAt(step.market)
        const common = { instrument, status: step.status, commandId: this.#nextId++, replyTo: '' }
        return void this.#apply({ type: 'ChangeMarketStatus', ...common }, 'definitions-0')
      }
    }
  }

  #enter(step: Extract<Step, { kind: 'enter' }>): void {
    const { side, member: memberId, fees } = step
    const market = marketAt(step.market)
    const byQuote = step.orderType === 'market' && step.quote !== undefined
    const priceTicks = step.price
    const amountLots = byQuote ? (side === 'buy' ? 0 : Math.floor((step.quote ?? 0) / priceTicks)) : step.amount
    const needed = neededMinor(market, side, amountLots, byQuote ? (step.quote ?? 0) : amountLots * priceTicks)
    const known = step.repeat === undefined ? undefined : [...this.orders.keys()][step.repeat]
    const orderId = known ?? this.#nextId
    const commandId = this.#nextId++
    const holdMinor = needed + BigInt(step.extraHold)
    if (holdMinor < 0n) return
    // A known id can only come of another slot: accounts refuses it within one.
    const knownMember = known === undefined ? undefined : this.orders.get(known)?.memberId
    if (knownMember !== undefined && slotOfMember(knownMember) === slotOfMember(memberId)) return
    const isOpen = known !== undefined && ['new', 'partially_filled'].includes(this.orders.get(known)?.status ?? '')
    if (known !== undefined && (!isOpen || this.orders.get(known)?.market !== market)) return
    const item: MarketItem = {
      type: 'EnterOrder',
      commandId,
      replyTo: 'g',
      orderId,
      memberId,
      instrument: market.instrument,
      side,
      orderType: step.orderType,
      priceTicks,
      amountLots,
      ...(byQuote ? { quoteTickLots: step.quote ?? 0 } : {}),
      holdMinor: holdMinor.toString(),
      makerFeePpm: fees,
      takerFeePpm: fees === 0 ? 0 : fees - 1,
      createdAtUs: 5,
    }
    if (known !== undefined) {
      const { items } = this.#apply(item, `accounts-${slotOfMember(memberId)}`)
      const outcome = items[0]?.item as OrderOutcome
      assert.equal(outcome.status, 'rejected')
      assert.equal(outcome.releasedMinor, item.holdMinor)
      return
    }
    this.orders.set(orderId, {
      side,
      market,
      memberId,
      heldMinor: holdMinor,
      consumedMinor: 0n,
      receivedMinor: 0n,
      feeMinor: 0n,
      status: '',
      reason: undefined,
      priceTicks,
      amountLots,
      executedLots: 0,
      fills: [],
    })
    this.#book(this.#apply(item, `accounts-${slotOfMember(memberId)}`))
  }

  #amend(step: Extract<Step, { kind: 'amend' }>): void {
    this.#withTarget(step.target, (orderId, order) => {
      const priceTicks = step.price ?? order.priceTicks
      const amountLots = step.amount ?? order.amountLots
      const open = amountLots - order.executedLots
      const needed = neededMinor(order.market, order.side, open, open * priceTicks) - order.heldMinor
      const added = (needed > 0n ? needed : 0n) + BigInt(step.extraHold)
      if (added < 0n) return
      order.heldMinor += added
      const item: MarketItem = {
        type: 'AmendEntered',
        commandId: this.#nextId++,
        replyTo: 'g',
        orderId,
        memberId: order.memberId,
        instrument: order.market.instrument,
        ...(step.price === undefined ? {} : { priceTicks }),
        ...(step.amount === undefined ? {} : { amountLots }),
        addedHoldMinor: added.toString(),
      }
      const said = this.#apply(item, `accounts-${slotOfMember(order.memberId)}`)
      this.#book(said)
    })
  }

  #withTarget(target: number, use: (orderId: number, order: Booked) => void): void {
    const chosen = [...this.orders][target % (this.orders.size || 1)]
    if (chosen !== undefined) use(...chosen)
  }

  #apply(item: MarketItem, source: string): Said {
    // As it would travel.
    const travelled = JSON.parse(JSON.stringify(item)) as MarketItem
    this.sent.push({ item: travelled, source })
    const { context, said } = recordingContext(source, 1_000 + this.sent.length)
    engineRules.apply(this.state, travelled, context)
    this.naive.apply(travelled)
    for (const event of said.events) this.#observe(event)
    // Of a new order whose id is known the twin keeps nothing.
    const isRepeat = item.type === 'EnterOrder' && item.commandId !== item.orderId
    for (const { reply } of said.replies) if (reply.kind === 'order' && !isRepeat) this.#compareReply(reply.order)
    return said
  }

  /** What the client is told is what the twin says at this very moment. */
  #compareReply(order: OrderState): void {
    const twin = this.naive.order(order.orderId)
    assert(twin !== undefined)
    const { orderId, side, orderType, priceTicks, amountLots, executedLots, executedQuoteMinor, feeMinor } = order
    assert.deepEqual(
      { orderId, side, orderType, priceTicks, amountLots, executedLots, executedQuoteMinor, feeMinor },
      {
        orderId: twin.orderId,
        side: twin.side,
        orderType: twin.orderType,
        priceTicks: Number(twin.priceTicks),
        amountLots: Number(twin.amountLots),
        executedLots: Number(twin.executedLots),
        executedQuoteMinor: twin.executedQuoteMinor.toString(),
        feeMinor: twin.feeMinor.toString(),
      },
    )
    assert.deepEqual([order.status, order.reason], [twin.status, twin.reason])
  }

  /** Does with the items what accounts does. */
  #book(said: Said): void {
    for (const { slot, item } of said.items) {
      const outcome = item as OrderOutcome | OrderCommandRefused
      const order = this.orders.get(outcome.orderId)
      assert(order !== undefined)
      assert.equal(slot, slotOfMember(outcome.memberId))
      assert.equal(outcome.memberId, order.memberId)
      order.heldMinor -= BigInt(outcome.releasedMinor)
      if (outcome.type === 'OrderCommandRefused') {
        this.refusals.push({ commandId: outcome.commandId, code: outcome.code })
      } else {
        order.heldMinor -= BigInt(outcome.consumedMinor)
        order.consumedMinor += BigInt(outcome.consumedMinor)
        for (const fill of outcome.fills) {
          const base = BigInt(fill.lots) * BigInt(order.market.baseMinorPerLot)
          order.receivedMinor += order.side === 'buy' ? base : BigInt(fill.quoteMinor)
          order.feeMinor += BigInt(fill.feeMinor)
          order.fills.push(fill)
        }
        Object.assign(order, {
          status: outcome.status,
          reason: outcome.reason,
          priceTicks: outcome.priceTicks,
          amountLots: outcome.amountLots,
          executedLots: outcome.executedLots,
        })
      }
      assert(order.heldMinor >= 0n, 'no hold goes below zero')
    }
  }

  #observe(event: MarketEvent): void {
    if (event.type === 'Traded') this.trades.push(event)
    if (event.type !== 'BookChanged') return
    assert.equal(event.sequence, (this.sequences.get(event.instrument) ?? 0) + 1, 'sequences are dense')
    this.sequences.set(event.instrument, event.sequence)
    const depth = this.depths.get(event.instrument)
    assert(depth !== undefined)
    for (const [side, levels] of [['buy', event.bids] as const, ['sell', event.asks] as const]) {
      for (const [priceTicks, lots] of levels) {
        assert.notEqual(depth[side].get(priceTicks) ?? 0, lots, 'only what changed is told')
        if (lots === 0) depth[side].delete(priceTicks)
        else depth[side].set(priceTicks, lots)
      }
    }
  }
}

const marketAt = (index: number): (typeof MARKETS)[number] => MARKETS[index] ?? COARSE

function neededMinor(market: (typeof MARKETS)[number], side: string, lots: number, tickLots: number): bigint {
  return side === 'buy'
    ? BigInt(tickLots) * BigInt(market.quoteMinorPerTickLot)
    : BigInt(lots) * BigInt(market.baseMinorPerLot)
}

const steps = fc.array(step, { minLength: 1, maxLength: 120, size: 'max' })

describe('engine rules, for any commands', function () {
  this.timeout(60_000)

  it('do what a naive exchange does, and tell accounts and the public all of it', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const run = new Run()
        for (const each of list) run.take(each)
        for (const [orderId, order] of run.orders) {
          const twin = run.naive.order(orderId)
          assert(twin !== undefined)
          assert.deepEqual(
            {
              status: order.status,
              reason: order.reason,
              priceTicks: order.priceTicks,
              amountLots: order.amountLots,
              executedLots: order.executedLots,
              feeMinor: order.feeMinor,
              fills: order.fills,
            },
            {
              status: twin.status,
              reason: twin.reason,
              priceTicks: Number(twin.priceTicks),
              amountLots: Number(twin.amountLots),
              executedLots: Number(twin.executedLots),
              feeMinor: twin.feeMinor,
              fills: twin.fills.map((fill) => ({
                ...fill,
                quoteMinor: fill.quoteMinor.toString(),
                feeMinor: fill.feeMinor.toString(),
              })),
            },
          )
        }
        assert.deepEqual(run.refusals, run.naive.refusals())
        for (const { instrument } of MARKETS) {
          const depth = run.depths.get(instrument)
          const { bids, asks } = run.naive.depth(instrument)
          assert.deepEqual(
            [...(depth?.buy ?? [])].sort((a, b) => b[0] - a[0]),
            bids,
          )
          assert.deepEqual(
            [...(depth?.sell ?? [])].sort((a, b) => a[0] - b[0]),
            asks,
          )
          assert.deepEqual(
            run.trades
              .filter((trade) => trade.instrument === instrument)
              .map(({ tradeId, priceTicks, lots, takerSide }) => ({ tradeId, priceTicks, lots, takerSide })),
            run.naive
              .trades(instrument)
              .map(({ tradeId, priceTicks, lots, takerSide }) => ({ tradeId, priceTicks, lots, takerSide })),
          )
        }
      }),
      { numRuns: 300 },
    )
  })

  it('make no money and lose none', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const run = new Run()
        for (const each of list) run.take(each)
        const sums = { paid: 0n, earned: 0n, delivered: 0n, received: 0n }
        for (const order of run.orders.values()) {
          const open = order.amountLots - order.executedLots
          const isOpen = order.status === 'new' || order.status === 'partially_filled'
          const needed = neededMinor(order.market, order.side, open, open * order.priceTicks)
          assert.equal(order.heldMinor, isOpen ? needed : 0n, 'a hold is what the rest needs, and nothing at the end')
          assert(order.feeMinor <= order.receivedMinor)
          const feesMax = order.receivedMinor / 10n + BigInt(order.fills.length)
          assert(order.feeMinor <= feesMax, 'a fee is at most its rate, rounded up per fill')
          if (order.side === 'buy') {
            sums.paid += order.consumedMinor
            sums.received += order.receivedMinor
          } else {
            sums.delivered += order.consumedMinor
            sums.earned += order.receivedMinor
          }
        }
        assert.equal(sums.paid, sums.earned, 'what buyers paid is what sellers got')
        assert.equal(sums.delivered, sums.received, 'what sellers gave is what buyers got')
      }),
      { numRuns: 200 },
    )
  })

  it('give the same state, outcomes and events in a replay', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const run = new Run()
        const hashes = new Set<string>()
        for (const each of list) {
          run.take(each)
          hashes.add(engineRules.stateHash(run.state))
        }
        const replayed = engineRules.initialState(0)
        const again: Said[] = []
        for (const [index, { item, source }] of run.sent.entries()) {
          const { context, said } = recordingContext(source, 1_001 + index)
          engineRules.apply(replayed, item, context)
          again.push(said)
        }
        assert.equal(engineRules.stateHash(replayed), engineRules.stateHash(run.state))
        const trades = again.flatMap(({ events }) => events.filter((event) => event.type === 'Traded'))
        assert.deepEqual(trades, run.trades)
        assert(hashes.size > 0)
      }),
      { numRuns: 50 },
    )
  })

  it('hash what it means, not how it came to lie where it lies', () => {
    const build = (commands: readonly (readonly [id: number, cancel?: true])[]): string => {
      const state = engineRules.initialState(0)
      const open: MarketItem = { type: 'OpenMarket', market: COARSE, commandId: 1, replyTo: '' }
      engineRules.apply(state, open, recordingContext('definitions-0', 1).context)
      for (const [orderId, cancel] of commands) {
        const common = { commandId: orderId, replyTo: '', orderId, memberId: 1, instrument: COARSE.instrument }
        const item: MarketItem = cancel
          ? { ...common, type: 'CancelEntered' }
          : {
              ...common,
              type: 'EnterOrder',
              side: 'buy',
              orderType: 'limit',
              priceTicks: 100,
              amountLots: orderId,
              holdMinor: String(200 * orderId),
              makerFeePpm: 0,
              takerFeePpm: 0,
              createdAtUs: 1,
            }
        engineRules.apply(state, item, recordingContext('accounts-0', 9).context)
      }
      return engineRules.stateHash(state)
    }
    // The same orders in the same queue, at other places of the memory; six changes of the book each.
    assert.equal(build([[1], [2], [3], [1, true], [2, true], [4]]), build([[2], [3], [1], [2, true], [1, true], [4]]))
    assert.notEqual(
      build([[1], [2], [3], [1, true], [2, true], [4]]),
      build([[1], [2], [4], [1, true], [2, true], [3]]),
    )
  })
})
