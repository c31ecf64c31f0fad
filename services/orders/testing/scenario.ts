import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { encodeFrame, type FrameHeader } from '#mesh/frames.ts'
import type { AccountEvent, BalanceAfter } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { framesSubject, Log } from '#mesh/subjects.ts'
import { idAt } from '#services/guid/domain/timeline.ts'

export const MARKET: MarketDefinition = {
  instrument: 'BTC-USDT',
  base: 'BTC',
  quote: 'USDT',
  tick: '0.01',
  lot: '0.00001',
  baseMinorPerLot: '1000',
  quoteMinorPerTickLot: '10',
  amountLotsMin: 1,
  makerFeePpm: 1000,
  takerFeePpm: 2000,
  slippagePpm: 50_000,
  marketSlot: 0,
  status: 'trading',
}

/** What one slot would say: frames with events that fit each other, made from a seed. Stands in for the accounts machine. */
export class SlotScenario {
  readonly slot: number
  readonly events: (AccountEvent & { position: readonly [number, number, number] })[] = []
  readonly #random: () => number
  readonly #members: readonly number[]
  readonly #open: OrderState[] = []
  readonly #balances = new Map<string, { available: bigint; held: bigint }>()
  #sequence = 0
  #item = 0
  #previousFrame = 0
  #hash = 1
  #timeUs = Date.UTC(2026, 0, 1) * 1000
  #id: number
  #trades = 0

  constructor(slot: number, members: readonly number[], seed: number) {
    this.slot = slot
    this.#members = members
    this.#random = seeded(seed)
    this.#id = idAt(Date.UTC(2026, 0, 1)) + slot
  }

  get sequence(): number {
    return this.#sequence
  }

  /** Publishes one frame of so many items, as the runtime does. */
  async publish(nats: NatsConnection, items: number, complete = true): Promise<void> {
    const { header, lines } = this.frame(items, complete)
    const ack = await jetstream(nats).publish(framesSubject(Log.accounts, this.slot), encodeFrame(header, lines), {
      expect: { lastSubjectSequence: this.#previousFrame },
    })
    this.#previousFrame = ack.seq
  }

  frame(items: number, complete = true): { readonly header: FrameHeader; readonly lines: string[] } {
    if (this.#item === 0) this.#sequence += 1 + this.#below(3)
    const first = this.#item
    const from = this.events.length
    for (let index = 0; index < items; index++) this.#applyItem(first + index)
    this.#timeUs += 1_000 + this.#below(20_000_000)
    this.#hash = (this.#hash * 48_271) % 2_147_483_647
    const header = {
      inFrom: [this.#sequence, first] as const,
      inTo: [this.#sequence, first + items - 1] as const,
      complete,
      hash: this.#hash,
      timeUs: this.#timeUs,
      version: 1,
    }
    this.#item = complete ? 0 : first + items
    return { header, lines: this.events.slice(from).map((event) => JSON.stringify(event)) }
  }

  #applyItem(item: number): void {
    const events = this.#eventsOfItem()
    for (const [index, event] of events.entries()) {
      this.events.push({ ...event, position: [this.#sequence, item, index] })
    }
  }

  #eventsOfItem(): AccountEvent[] {
    const kind = this.#below(20)
    if (kind < 2) return [this.#movement()]
    if (kind === 2) return [{ type: 'AccountCreated', memberId: this.#member() }]
    if (kind === 3) return [this.#rejected()]
    if (kind === 4) return []
    if (kind < 11 || this.#open.length === 0) return [this.#placed()]
    return [this.#changed()]
  }

  #movement(): AccountEvent {
    const memberId = this.#member()
    const asset = this.#below(2) === 0 ? 'BTC' : 'USDT'
    const amount = BigInt(1 + this.#below(1_000_000_000))
    const leaves = this.#below(4) === 0 && this.#of(memberId, asset).available >= amount
    this.#of(memberId, asset).available += leaves ? -amount : amount
    return {
      type: 'BalanceChanged',
      memberId,
      cause: leaves ? 'withdrawal' : 'deposit',
      reference: `it's "${this.#below(1_000_000_000)}" \\ ü\n`,
      asset,
      amountMinor: String(leaves ? -amount : amount),
      balances: this.#after(memberId, asset),
    }
  }

  #rejected(): AccountEvent {
    const order = { ...this.#newOrder(), status: 'rejected', reason: 'price_invalid', priceTicks: 2 ** 60 } as const
    return { type: 'OrderRejected', order }
  }

  #placed(): AccountEvent {
    const order = this.#newOrder()
    this.#open.push(order)
    return { type: 'OrderPlaced', order, balances: this.#after(order.memberId, order.side === 'buy' ? 'USDT' : 'BTC') }
  }

  #changed(): AccountEvent {
    const at = this.#below(this.#open.length)
    const order = this.#open[at] as OrderState
    const fills = this.#below(3) === 0 ? [] : this.#fillsOf(order)
    const lots = fills.reduce((sum, fill) => sum + fill.lots, 0)
    const quote = fills.reduce((sum, fill) => sum + BigInt(fill.quoteMinor), 0n)
    const fee = fills.reduce((sum, fill) => sum + BigInt(fill.feeMinor), 0n)
    const executedLots = order.executedLots + lots
    const done = executedLots === order.amountLots
    const cause = done || this.#below(2) === 0 ? 'matched' : 'cancelled'
    const changed: OrderState = {
      ...order,
      executedLots,
      executedQuoteMinor: String(BigInt(order.executedQuoteMinor) + quote),
      feeMinor: String(BigInt(order.feeMinor) + fee),
      status: done ? 'executed' : cause === 'cancelled' ? 'cancelled' : executedLots > 0 ? 'partially_filled' : 'new',
      receivedAtUs: this.#timeUs,
      updatedAtUs: this.#timeUs,
    }
    if (done || cause === 'cancelled') this.#open.splice(at, 1)
    else this.#open[at] = changed
    const buys = order.side === 'buy'
    const base = BigInt(lots) * BigInt(MARKET.baseMinorPerLot)
    this.#of(order.memberId, 'BTC').available += buys ? base - fee : -base
    this.#of(order.memberId, 'USDT').available += buys ? -quote : quote - fee
    const balances = [...this.#after(order.memberId, 'BTC'), ...this.#after(order.memberId, 'USDT')]
    return { type: 'OrderChanged', cause, commandId: this.#nextId(), order: changed, fills, balances }
  }

  #fillsOf(order: OrderState): Fill[] {
    const fills: Fill[] = []
    let left = order.amountLots - order.executedLots
    for (let count = 1 + this.#below(3); count > 0 && left > 0; count--) {
      const lots = count === 1 && this.#below(2) === 0 ? left : 1 + this.#below(left)
      left -= lots
      const quoteMinor = BigInt(lots) * BigInt(order.priceTicks) * BigInt(MARKET.quoteMinorPerTickLot)
      fills.push({
        tradeId: ++this.#trades,
        priceTicks: order.priceTicks,
        lots,
        quoteMinor: String(quoteMinor),
        feeMinor: String(this.#below(1000)),
        liquidity: this.#below(2) === 0 ? 'maker' : 'taker',
      })
    }
    return fills
  }

  #newOrder(): OrderState {
    const orderId = this.#nextId()
    const withClientOrderId = this.#below(3) > 0
    return {
      orderId,
      memberId: this.#member(),
      ...(withClientOrderId ? { clientOrderId: `mine-${orderId}` } : {}),
      instrument: MARKET.instrument,
      side: this.#below(2) === 0 ? 'buy' : 'sell',
      orderType: 'limit',
      priceTicks: 1 + this.#below(1_000_000),
      amountLots: 1 + this.#below(10_000),
      executedLots: 0,
      executedQuoteMinor: '0',
      feeMinor: '0',
      status: 'new',
      createdAtUs: this.#timeUs,
      receivedAtUs: 0,
      updatedAtUs: this.#timeUs,
    }
  }

  #nextId(): number {
    // Slots share the line of ids: each keeps its own remainder.
    this.#id += 256 * (1 + this.#below(1000))
    return this.#id
  }

  #member(): number {
    return this.#members[this.#below(this.#members.length)] ?? 0
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end)
  }

  #of(memberId: number, asset: string): { available: bigint; held: bigint } {
    const key = `${memberId} ${asset}`
    const balance = this.#balances.get(key) ?? { available: 0n, held: 7n }
    this.#balances.set(key, balance)
    return balance
  }

  #after(memberId: number, asset: string): BalanceAfter[] {
    const { available, held } = this.#of(memberId, asset)
    return [[asset, String(available), String(held)]]
  }
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
