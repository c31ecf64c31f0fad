import type { Frame, Position } from '#mesh/frames.ts'
import type { AccountEvent, BalanceAfter } from '#mesh/protocol/accounts.ts'
import { isOpen, type OrderState } from '#mesh/protocol/common.ts'
import { Difference } from './difference.ts'

/** The tables with a row for each order, fill, movement and balance, and their columns; the key's come first. */
export const TABLES = {
  orders: {
    keys: ['member_id', 'order_id'],
    columns: [
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
  },
  fills: {
    keys: ['member_id', 'sequence', 'item', 'event', 'fill'],
    columns: [
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
    ],
  },
  movements: {
    keys: ['member_id', 'sequence', 'item', 'event'],
    columns: ['cause', 'reference', 'asset', 'amount_minor', 'available_minor', 'held_minor', 'time_us'],
  },
  balances: { keys: ['member_id', 'asset'], columns: ['available_minor', 'held_minor'] },
} as const
export type Table = keyof typeof TABLES
export const TABLE_NAMES = Object.keys(TABLES) as Table[]

/** A value as MySQL gives it, as text. */
type Value = string | number | null

/** Takes rows as they are written, the last one of a key being the one that stays. */
export interface RowSink {
  /** `final`: no later event writes this key again. */
  put(
    table: Table,
    row: { readonly keys: readonly Value[]; readonly columns: readonly Value[]; readonly final: boolean },
    position: Position,
  ): void
}

export interface MarketTerms {
  readonly base: string
  readonly quote: string
  readonly baseMinorPerLot: bigint
}

export interface AssetTotals {
  deposits: bigint
  withdrawals: bigint
  transfers: bigint
  trades: bigint
  fees: bigint
}

export interface MarketTotals {
  orders: number
  rejected: number
  fills: number
  executedLots: bigint
  executedQuote: bigint
}

type Event = AccountEvent & { readonly position: Position }
type OrderChanged = Extract<AccountEvent, { type: 'OrderChanged' }>
type BalanceChanged = Extract<AccountEvent, { type: 'BalanceChanged' }>

/**
 * What MySQL must hold of one account slot, by its frames alone. Written apart from the projection: what both
 * say is said twice.
 */
export class ExpectedRows {
  readonly assetTotals = new Map<string, AssetTotals>()
  readonly marketTotals = new Map<string, MarketTotals>()
  readonly #slot: string
  readonly #marketOf: (instrument: string) => MarketTerms | undefined
  readonly #sink: RowSink

  constructor(slot: string, marketOf: (instrument: string) => MarketTerms | undefined, sink: RowSink) {
    this.#slot = slot
    this.#marketOf = marketOf
    this.#sink = sink
  }

  add({ header, events }: Frame<AccountEvent>): void {
    for (const event of events) this.#add(event, header.timeUs)
  }

  #add(event: Event, timeUs: number): void {
    const { position } = event
    switch (event.type) {
      case 'OrderPlaced':
        this.#order(event.order, position)
        this.#balances(event.order.memberId, event.balances, position)
        this.#totalsOfMarket(event.order.instrument).orders++
        return
      case 'OrderRejected':
        this.#order(event.order, position)
        if (event.order.reason === 'market_unknown') return
        this.#totalsOfMarket(event.order.instrument).orders++
        this.#totalsOfMarket(event.order.instrument).rejected++
        return
      case 'OrderChanged':
        this.#order(event.order, position)
        this.#balances(event.order.memberId, event.balances, position)
        if (event.cause === 'placed' && event.order.status === 'rejected') {
          this.#totalsOfMarket(event.order.instrument).rejected++
        }
        this.#fills(event, position)
        return
      case 'OrderAmendForwarded':
      case 'OrderCommandRefused':
        this.#balances(event.memberId, event.balances, position)
        return
      case 'BalanceChanged':
        this.#balances(event.memberId, event.balances, position)
        this.#movement(event, position, timeUs)
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

  #order(order: OrderState, position: Position): void {
    this.#sink.put(
      'orders',
      {
        keys: [whole(order.memberId), whole(order.orderId)],
        columns: [
          asciiOrNull(order.clientOrderId, 64),
          ascii(order.instrument, 32),
          order.side,
          order.orderType,
          whole(order.priceTicks),
          whole(order.amountLots),
          order.quoteTickLots === undefined ? null : whole(order.quoteTickLots),
          whole(order.executedLots),
          order.executedQuoteMinor,
          order.feeMinor,
          order.status,
          asciiOrNull(order.reason, 64),
          whole(order.createdAtUs),
          whole(order.receivedAtUs),
          whole(order.updatedAtUs),
          position[0],
        ],
        final: !isOpen(order.status),
      },
      position,
    )
  }

  #balances(memberId: number, balances: readonly BalanceAfter[], position: Position): void {
    for (const [asset, available, held] of balances) {
      this.#sink.put(
        'balances',
        { keys: [memberId, ascii(asset, 16)], columns: [available, held], final: false },
        position,
      )
    }
  }

  #fills({ order, fills, balances }: OrderChanged, position: Position): void {
    if (fills.length === 0) return
    const market = this.#marketOf(order.instrument)
    if (market === undefined) {
      throw new Difference(
        'event_differs',
        { slot: this.#slot, position: position.join('-') },
        `A fill in ${order.instrument}, which no definition knows.`,
      )
    }
    const after = [...afterOf(balances, market.base), ...afterOf(balances, market.quote)]
    const totals = this.#totalsOfMarket(order.instrument)
    fills.forEach((fill, index) => {
      const baseMinor = BigInt(fill.lots) * market.baseMinorPerLot
      const { tradeId, priceTicks, lots, quoteMinor, feeMinor, liquidity } = fill
      this.#sink.put(
        'fills',
        {
          keys: [order.memberId, ...position, index],
          columns: [
            order.orderId,
            ascii(order.instrument, 32),
            order.side,
            tradeId,
            priceTicks,
            lots,
            baseMinor.toString(),
            quoteMinor,
            feeMinor,
            liquidity,
            ...(index === fills.length - 1 ? after : [null, null, null, null]),
            order.updatedAtUs,
          ],
          final: true,
        },
        position,
      )
      const buys = order.side === 'buy'
      const base = this.#totalsOfAsset(market.base)
      const quote = this.#totalsOfAsset(market.quote)
      base.trades += buys ? baseMinor : -baseMinor
      quote.trades -= buys ? BigInt(quoteMinor) : -BigInt(quoteMinor)
      if (buys) base.fees += BigInt(feeMinor)
      else quote.fees += BigInt(feeMinor)
      totals.fills++
      if (liquidity === 'taker') {
        totals.executedLots += BigInt(lots)
        totals.executedQuote += BigInt(quoteMinor)
      }
    })
  }

  #movement(event: BalanceChanged, position: Position, timeUs: number): void {
    const { memberId, cause, reference, asset, amountMinor } = event
    const [available, held] = afterOf(event.balances, asset)
    this.#sink.put(
      'movements',
      {
        keys: [memberId, ...position],
        columns: [cause, utf8(reference, 255), ascii(asset, 16), amountMinor, available, held, timeUs],
        final: true,
      },
      position,
    )
    const totals = this.#totalsOfAsset(asset)
    const amount = BigInt(amountMinor)
    if (cause === 'deposit') totals.deposits += amount
    else if (cause === 'withdrawal') totals.withdrawals -= amount
    else totals.transfers += amount
  }

  #totalsOfAsset(asset: string): AssetTotals {
    let totals = this.assetTotals.get(asset)
    if (totals === undefined) {
      totals = { deposits: 0n, withdrawals: 0n, transfers: 0n, trades: 0n, fees: 0n }
      this.assetTotals.set(asset, totals)
    }
    return totals
  }

  #totalsOfMarket(instrument: string): MarketTotals {
    let totals = this.marketTotals.get(instrument)
    if (totals === undefined) {
      totals = { orders: 0, rejected: 0, fills: 0, executedLots: 0n, executedQuote: 0n }
      this.marketTotals.set(instrument, totals)
    }
    return totals
  }
}

const afterOf = (balances: readonly BalanceAfter[], asset: string): [Value, Value] => {
  const found = balances.find(([name]) => name === asset)
  return found === undefined ? [null, null] : [found[1], found[2]]
}

/** A refused order can carry anything for a number. */
const whole = (value: number): number => (Number.isSafeInteger(value) ? value : 0)

/** Columns have a width and a character set; what does not fit is cut or replaced when it is written. */
const ascii = (value: string, width: number): string => value.slice(0, width).replace(/[^\x20-\x7e]/gu, '?')
const asciiOrNull = (value: string | undefined, width: number): Value =>
  value === undefined ? null : ascii(value, width)
const utf8 = (value: string, width: number): string => value.slice(0, width).toWellFormed()
