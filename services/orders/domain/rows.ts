import type { Frame, Position } from '#mesh/frames.ts'
import type { ProjectionBatch } from '#mesh/projection/inbox.ts'
import {
  adding,
  ascii,
  asciiOrNull,
  insertInto,
  int,
  intOrNull,
  minor,
  overwriting,
  text,
} from '#mesh/projection/sql.ts'
import type { AccountEvent, BalanceAfter } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'

/** What a fill's rows need to know of its market; none of it ever changes. */
export interface MarketTerms {
  readonly base: string
  readonly quote: string
  readonly baseMinorPerLot: bigint
}

/** A fill came before the definition of its market was read. Try again a little later. */
export class MarketUnknown extends Error {
  override readonly name = 'MarketUnknown'
  readonly code = 'market_unknown'
}

type Event = AccountEvent & { readonly position: Position }
type OrderChanged = Extract<AccountEvent, { type: 'OrderChanged' }>
type BalanceChanged = Extract<AccountEvent, { type: 'BalanceChanged' }>

interface AssetSums {
  deposits: bigint
  withdrawals: bigint
  transfers: bigint
  trades: bigint
  fees: bigint
}

interface MarketSums {
  orders: number
  rejected: number
  fills: number
  executedLots: bigint
  executedQuote: bigint
}

const MICROSECONDS_PER_MINUTE = 60_000_000

/**
 * The rows of a run of frames of one slot. What changes several times in it is written once, as it is at the end.
 * Rows are in the order of their keys, so that neighbours share a page and two slots cannot wait for each other.
 */
export class OrderRows implements ProjectionBatch<AccountEvent> {
  readonly #slot: number
  readonly #marketOf: (instrument: string) => MarketTerms | undefined
  readonly #orders = new Map<number, { order: OrderState; sequence: number }>()
  readonly #balances = new Map<number, Map<string, BalanceAfter>>()
  readonly #fills: { memberId: number; row: string }[] = []
  readonly #movements: string[] = []
  readonly #assetSums = new Map<string, AssetSums>()
  readonly #marketSums = new Map<string, MarketSums>()
  readonly #timeline = new Map<number, number>()
  #balancesCount = 0

  constructor(slot: number, marketOf: (instrument: string) => MarketTerms | undefined) {
    this.#slot = slot
    this.#marketOf = marketOf
  }

  get rowsCount(): number {
    return this.#orders.size + this.#balancesCount + this.#fills.length + this.#movements.length
  }

  /** @throws MarketUnknown */
  add(frame: Frame<AccountEvent>): void {
    const { header, events } = frame
    if (events.length === 0) return
    const minute = Math.floor(header.timeUs / MICROSECONDS_PER_MINUTE)
    if (!this.#timeline.has(minute)) this.#timeline.set(minute, header.inFrom[0])
    for (const event of events) this.#addEvent(event, header.timeUs)
  }

  statements(): string[] {
    const statements: string[] = []
    const write = (rows: readonly string[], statement: (rows: readonly string[]) => string): void => {
      if (rows.length > 0) statements.push(statement(rows))
    }
    write(this.#rowsOfOrders(), insertOrders)
    write(
      this.#fills.sort((a, b) => a.memberId - b.memberId).map(({ row }) => row),
      insertFills,
    )
    write(this.#movements, insertMovements)
    write(this.#rowsOfBalances(), insertBalances)
    write(this.#rowsOfAssetSums(), insertAssetTotals)
    write(this.#rowsOfMarketSums(), insertMarketTotals)
    write(
      [...this.#timeline].map(([minute, sequence]) => `(${this.#slot},${minute},${sequence})`),
      insertTimeline,
    )
    return statements
  }

  #addEvent(event: Event, timeUs: number): void {
    switch (event.type) {
      case 'OrderPlaced':
        this.#setOrder(event.order, event.position)
        this.#setBalances(event.order.memberId, event.balances)
        this.#sumsOfMarket(event.order.instrument).orders++
        return
      case 'OrderRejected': {
        this.#setOrder(event.order, event.position)
        // Anything can stand there for a market's name.
        if (event.order.reason === 'market_unknown') return
        const sums = this.#sumsOfMarket(event.order.instrument)
        sums.orders++
        sums.rejected++
        return
      }
      case 'OrderChanged':
        this.#setOrder(event.order, event.position)
        this.#setBalances(event.order.memberId, event.balances)
        if (event.cause === 'placed' && event.order.status === 'rejected') {
          this.#sumsOfMarket(event.order.instrument).rejected++
        }
        if (event.fills.length > 0) this.#addFills(event, event.position)
        return
      case 'OrderAmendForwarded':
      case 'OrderCommandRefused':
        this.#setBalances(event.memberId, event.balances)
        return
      case 'BalanceChanged':
        this.#setBalances(event.memberId, event.balances)
        this.#addMovement(event, event.position, timeUs)
        return
      case 'AccountCreated':
      case 'AccountStatusChanged':
      case 'FeeDiscountChanged':
      case 'OrderVoided':
      case 'LedgerCommandRefused':
      case 'RequestAnswered':
        return
      default:
        event satisfies never
    }
  }

  #setOrder(order: OrderState, position: Position): void {
    this.#orders.set(order.orderId, { order, sequence: position[0] })
  }

  #setBalances(memberId: number, balances: readonly BalanceAfter[]): void {
    if (balances.length === 0) return
    let ofMember = this.#balances.get(memberId)
    if (ofMember === undefined) {
      ofMember = new Map()
      this.#balances.set(memberId, ofMember)
    }
    const before = ofMember.size
    for (const balance of balances) ofMember.set(balance[0], balance)
    this.#balancesCount += ofMember.size - before
  }

  #addFills({ order, fills, balances }: OrderChanged, [sequence, item, event]: Position): void {
    const market = this.#marketOf(order.instrument)
    if (market === undefined) throw new MarketUnknown(`The market ${order.instrument} is not known yet.`)
    const baseAfter = literalsOf(balances, market.base)
    const quoteAfter = literalsOf(balances, market.quote)
    const head = `${int(order.memberId)},${sequence},${item},${event}`
    const of = `${int(order.orderId)},${ascii(order.instrument, 32)},'${sideOf(order)}'`
    const last = fills.length - 1
    const sums = this.#sumsOfMarket(order.instrument)
    for (const [index, fill] of fills.entries()) {
      const baseMinor = BigInt(fill.lots) * market.baseMinorPerLot
      const after = index === last ? `${baseAfter},${quoteAfter}` : 'NULL,NULL,NULL,NULL'
      const row = `(${head},${index},${of},${int(fill.tradeId)},${int(fill.priceTicks)},${int(fill.lots)},${baseMinor},${minor(fill.quoteMinor)},${minor(fill.feeMinor)},'${fill.liquidity}',${after},${int(order.updatedAtUs)})`
      this.#fills.push({ memberId: order.memberId, row })
      this.#sumFill(order, fill, market, baseMinor)
      sums.fills++
      if (fill.liquidity === 'maker') continue
      sums.executedLots += BigInt(fill.lots)
      sums.executedQuote += BigInt(fill.quoteMinor)
    }
  }

  #sumFill(order: OrderState, fill: Fill, market: MarketTerms, baseMinor: bigint): void {
    const base = this.#sumsOfAsset(market.base)
    const quote = this.#sumsOfAsset(market.quote)
    const quoteMinor = BigInt(fill.quoteMinor)
    const buys = order.side === 'buy'
    base.trades += buys ? baseMinor : -baseMinor
    quote.trades += buys ? -quoteMinor : quoteMinor
    const received = buys ? base : quote
    received.fees += BigInt(fill.feeMinor)
  }

  #addMovement(event: BalanceChanged, [sequence, item, index]: Position, timeUs: number): void {
    const after = literalsOf(event.balances, event.asset)
    this.#movements.push(
      `(${int(event.memberId)},${sequence},${item},${index},'${event.cause}',${text(event.reference, 255)},${ascii(event.asset, 16)},${minor(event.amountMinor)},${after},${int(timeUs)})`,
    )
    const sums = this.#sumsOfAsset(event.asset)
    const amount = BigInt(event.amountMinor)
    if (event.cause === 'deposit') sums.deposits += amount
    else if (event.cause === 'withdrawal') sums.withdrawals -= amount
    else sums.transfers += amount
  }

  #rowsOfOrders(): string[] {
    const sorted = [...this.#orders.values()].sort(
      (a, b) => a.order.memberId - b.order.memberId || a.order.orderId - b.order.orderId,
    )
    return sorted.map(({ order, sequence }) => rowOfOrder(order, sequence))
  }

  #rowsOfBalances(): string[] {
    const members = [...this.#balances.keys()].sort((a, b) => a - b)
    return members.flatMap((memberId) =>
      [...(this.#balances.get(memberId)?.values() ?? [])]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([asset, available, held]) => `(${int(memberId)},${ascii(asset, 16)},${minor(available)},${minor(held)})`),
    )
  }

  #rowsOfAssetSums(): string[] {
    return [...this.#assetSums].map(
      ([asset, { deposits, withdrawals, transfers, trades, fees }]) =>
        `(${this.#slot},${ascii(asset, 16)},${deposits},${withdrawals},${transfers},${trades},${fees})`,
    )
  }

  #rowsOfMarketSums(): string[] {
    return [...this.#marketSums].map(
      ([instrument, { orders, rejected, fills, executedLots, executedQuote }]) =>
        `(${this.#slot},${ascii(instrument, 32)},${orders},${rejected},${fills},${executedLots},${executedQuote})`,
    )
  }

  #sumsOfAsset(asset: string): AssetSums {
    let sums = this.#assetSums.get(asset)
    if (sums === undefined) {
      sums = { deposits: 0n, withdrawals: 0n, transfers: 0n, trades: 0n, fees: 0n }
      this.#assetSums.set(asset, sums)
    }
    return sums
  }

  #sumsOfMarket(instrument: string): MarketSums {
    let sums = this.#marketSums.get(instrument)
    if (sums === undefined) {
      sums = { orders: 0, rejected: 0, fills: 0, executedLots: 0n, executedQuote: 0n }
      this.#marketSums.set(instrument, sums)
    }
    return sums
  }
}

function rowOfOrder(order: OrderState, sequence: number): string {
  return `(${int(order.memberId)},${int(order.orderId)},${asciiOrNull(order.clientOrderId, 64)},${ascii(order.instrument, 32)},'${sideOf(order)}','${order.orderType === 'market' ? 'market' : 'limit'}',${int(order.priceTicks)},${int(order.amountLots)},${intOrNull(order.quoteTickLots)},${int(order.executedLots)},${minor(order.executedQuoteMinor)},${minor(order.feeMinor)},'${order.status}',${asciiOrNull(order.reason, 64)},${int(order.createdAtUs)},${int(order.receivedAtUs)},${int(order.updatedAtUs)},${sequence})`
}

/** `available,held` of an asset as SQL literals; an event that does not tell them leaves them open. */
function literalsOf(balances: readonly BalanceAfter[], asset: string): string {
  for (const [name, available, held] of balances) if (name === asset) return `${minor(available)},${minor(held)}`
  return 'NULL,NULL'
}

const sideOf = ({ side }: OrderState): string => (side === 'sell' ? 'sell' : 'buy')

const CHANGING = [
  'price_ticks',
  'amount_lots',
  'executed_lots',
  'executed_quote_minor',
  'fee_minor',
  'status',
  'reason',
  'received_at_us',
  'updated_at_us',
  'sequence',
]
const insertOrders = insertInto(
  'orders',
  [
    'member_id',
    'order_id',
    'client_order_id',
    'instrument',
    'side',
    'order_type',
    'price_ticks',
    'amount_lots',
    'quote_tick_lots',
    'executed_lots',
    'executed_quote_minor',
    'fee_minor',
    'status',
    'reason',
    'created_at_us',
    'received_at_us',
    'updated_at_us',
    'sequence',
  ],
  overwriting(CHANGING),
)
const insertFills = insertInto('fills', [
  'member_id',
  'sequence',
  'item',
  'event',
  'fill',
  'order_id',
  'instrument',
  'side',
  'trade_id',
  'price_ticks',
  'lots',
  'base_minor',
  'quote_minor',
  'fee_minor',
  'liquidity',
  'base_available_minor',
  'base_held_minor',
  'quote_available_minor',
  'quote_held_minor',
  'time_us',
])
const insertMovements = insertInto('movements', [
  'member_id',
  'sequence',
  'item',
  'event',
  'cause',
  'reference',
  'asset',
  'amount_minor',
  'available_minor',
  'held_minor',
  'time_us',
])
const insertBalances = insertInto(
  'balances',
  ['member_id', 'asset', 'available_minor', 'held_minor'],
  overwriting(['available_minor', 'held_minor']),
)
const ASSET_SUMS = ['deposits_minor', 'withdrawals_minor', 'transfers_minor', 'trades_minor', 'fees_minor']
const insertAssetTotals = insertInto('asset_totals', ['slot', 'asset', ...ASSET_SUMS], adding(ASSET_SUMS))
const MARKET_SUMS = ['orders', 'rejected', 'fills', 'executed_lots', 'executed_quote_minor']
const insertMarketTotals = insertInto('market_totals', ['slot', 'instrument', ...MARKET_SUMS], adding(MARKET_SUMS))
const insertTimeline = insertInto(
  'orders_timeline',
  ['slot', 'minute', 'sequence'],
  ' ON DUPLICATE KEY UPDATE sequence=LEAST(sequence,VALUES(sequence))',
)
