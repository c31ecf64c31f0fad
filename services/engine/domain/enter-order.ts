import { LOTS_MAX, PRICE_TICKS_MAX, TICK_LOTS_MAX } from '#mesh/domain/money.ts'
import type { Context } from '#mesh/machine/rules.ts'
import type { MachineCode } from '#mesh/protocol/common.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import type { Book, BookRejectCode } from '../book/book.ts'
import { bookSideOf, emitBookChanged, levelAt } from './book-changes.ts'
import { type Command, conclude, type Order, tell } from './conclude.ts'
import { settleFills } from './settle-fills.ts'
import { type EngineState, holdOf, type Market } from './state.ts'

type EnterOrder = Extract<MarketItem, { type: 'EnterOrder' }>

/** Matches a new order; what a limit order has left rests. Refused: everything that it holds goes back. */
export function enterOrder(state: EngineState, item: EnterOrder, accountSlot: number, context: Context<MarketEvent>) {
  const { instrument, side } = item
  const market = state.markets.get(instrument)
  const holdMinor = BigInt(item.holdMinor)
  const order = orderOf(item, accountSlot, context.timeUs)
  const command: Command = { cause: 'placed', commandId: item.commandId, replyTo: item.replyTo }
  if (market === undefined) return reject(command, order, holdMinor, 'market_unknown', context)
  const code = whyNot(market, item, holdMinor)
  if (code !== undefined) return reject(command, order, holdMinor, code, context)
  const { execution } = state
  execution.begin()
  const verdict = place(market.book, item)
  if (verdict !== 'accepted') return reject(command, order, holdMinor, CODE_OF_REFUSAL[verdict], context)

  const taker = { commandId: item.commandId, side, takerFeePpm: item.takerFeePpm }
  const sums = settleFills(market, taker, execution, context)
  conclude(market, command, order, holdMinor, sums, execution, context)
  const own = execution.restingPlace < 0 ? [] : [levelAt(market, side, item.priceTicks)]
  emitBookChanged(market, side, own, execution, context)
}

/** What the book refuses, beyond what is checked before it is asked because a hold hangs on it. */
export const CODE_OF_REFUSAL: Record<BookRejectCode, MachineCode> = {
  order_id_invalid: 'id_conflict',
  side_invalid: 'id_conflict',
  order_id_known: 'order_id_known',
  order_not_found: 'order_not_open',
  price_out_of_range: 'price_invalid',
  amount_out_of_range: 'amount_invalid',
  quote_out_of_range: 'amount_invalid',
  amount_not_above_executed: 'amount_not_above_executed',
  book_full: 'book_full',
}

/** Why a new order is refused; the first that holds. */
function whyNot(market: Market, item: EnterOrder, holdMinor: bigint): MachineCode | undefined {
  const { side, orderType, priceTicks, quoteTickLots } = item
  if (market.status === 'halted') return 'market_halted'
  if (market.status === 'cancel_only') return 'market_cancel_only'
  const isByQuote = quoteTickLots !== undefined
  if (!isWhole(priceTicks, PRICE_TICKS_MAX)) return 'price_invalid'
  if (isByQuote && (orderType === 'limit' || !isWhole(quoteTickLots, TICK_LOTS_MAX))) return 'amount_invalid'
  // A market order by quote says how much base it may sell at most, which follows from its total.
  const lots = isByQuote ? Math.floor(quoteTickLots / priceTicks) : item.amountLots
  if (!isByQuote && !isWhole(lots, LOTS_MAX)) return 'amount_invalid'
  if (lots * priceTicks > TICK_LOTS_MAX) return 'order_value_too_large'
  if (orderType === 'limit' && !levelHasRoom(market, item, lots)) return 'amount_invalid'
  if (holdMinor < holdOf(market, side, lots, quoteTickLots ?? lots * priceTicks)) return 'hold_too_small'
  return undefined
}

/** What rests at one price stays within what a number counts, so that the public depth is exact. */
export function levelHasRoom(
  market: Market,
  { side, priceTicks }: { readonly side: 'buy' | 'sell'; readonly priceTicks: number },
  moreLots: number,
): boolean {
  return market.book.lotsAtPrice(bookSideOf(side), priceTicks) <= LOTS_MAX - moreLots
}

export const isWhole = (value: number, max: number): boolean => Number.isSafeInteger(value) && value > 0 && value <= max

function place(book: Book, item: EnterOrder): 'accepted' | BookRejectCode {
  const { orderId, priceTicks, amountLots, quoteTickLots } = item
  const side = bookSideOf(item.side)
  if (item.orderType === 'limit') return book.placeLimit(orderId, side, priceTicks, amountLots)
  if (quoteTickLots === undefined) return book.placeMarket(orderId, side, amountLots, priceTicks)
  return book.placeMarketByQuote(orderId, side, quoteTickLots, priceTicks)
}

function reject(
  command: Command,
  order: Order,
  holdMinor: bigint,
  reason: MachineCode,
  context: Context<MarketEvent>,
): void {
  const result = { status: 'rejected', reason, fills: [], consumedMinor: '0', releasedMinor: holdMinor.toString() }
  tell(command, order, { ...result, status: 'rejected' }, { quoteMinorPerTickLot: 0n, context })
}

function orderOf(item: EnterOrder, accountSlot: number, receivedAtUs: number): Order {
  return {
    orderId: item.orderId,
    memberId: item.memberId,
    accountSlot,
    clientOrderId: item.clientOrderId,
    instrument: item.instrument,
    side: item.side,
    orderType: item.orderType,
    priceTicks: item.priceTicks,
    amountLots: item.amountLots,
    quoteTickLots: item.quoteTickLots,
    makerFeePpm: item.makerFeePpm,
    takerFeePpm: item.takerFeePpm,
    executedLots: 0,
    executedTickLots: 0n,
    feeMinor: 0n,
    createdAtUs: item.createdAtUs,
    receivedAtUs,
  }
}
