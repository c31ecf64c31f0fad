import { withAsker } from '#mesh/domain/asked-by.ts'
import type { Context } from '#mesh/machine/rules.ts'
import type { OrderCommandRefused } from '#mesh/protocol/accounts.ts'
import type { MachineCode } from '#mesh/protocol/common.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'
import { Side as BookSide } from '../book/book.ts'
import { emitBookChanged, levelAt } from './book-changes.ts'
import { type Order, tell } from './conclude.ts'
import { type EngineState, holdOf, type Market } from './state.ts'

type CancelEntered = Extract<MarketItem, { type: 'CancelEntered' }>

/** Takes an order out of its book and gives back what it holds. */
export function cancelOrder(
  state: EngineState,
  item: CancelEntered,
  accountSlot: number,
  context: Context<MarketEvent>,
) {
  const market = state.markets.get(item.instrument)
  if (market === undefined) return refuse('cancelled', item, accountSlot, 'market_unknown', '0', context)
  if (market.status === 'halted') return refuse('cancelled', item, accountSlot, 'market_halted', '0', context)
  const place = placeOf(market, item, accountSlot)
  if (place < 0) return refuse('cancelled', item, accountSlot, 'order_not_open', '0', context)

  const { book, records, quoteMinorPerTickLot } = market
  const order = readOrder(market, item.orderId, place)
  const lots = book.remainingLotsAt(place)
  const releasedMinor = holdOf(market, order.side, lots, lots * order.priceTicks).toString()
  state.execution.begin()
  book.cancel(item.orderId)
  records.clear(place)
  const command = withAsker({ cause: 'cancelled', commandId: item.commandId, replyTo: item.replyTo } as const, item)
  const result = { status: 'cancelled', reason: undefined, fills: [], consumedMinor: '0', releasedMinor } as const
  tell(command, order, result, { quoteMinorPerTickLot, context })
  emitBookChanged(market, order.side, [levelAt(market, order.side, order.priceTicks)], state.execution, context)
}

/** Where the order rests, or −1; another member's order is none. */
export function placeOf(
  { book, records }: Market,
  { orderId, memberId }: { readonly orderId: number; readonly memberId: number },
  accountSlot: number,
): number {
  const place = book.slotOf(orderId)
  if (place < 0) return place
  return records.memberId(place) === memberId && records.accountSlot(place) === accountSlot ? place : -1
}

/** Only limit orders rest. */
export function readOrder({ definition, book, records }: Market, orderId: number, place: number): Order {
  return {
    ...records.read(place),
    orderId,
    instrument: definition.instrument,
    side: book.sideAt(place) === BookSide.buy ? 'buy' : 'sell',
    orderType: 'limit',
    priceTicks: book.priceTicksAt(place),
    amountLots: book.totalLotsAt(place),
  }
}

/** Nothing changed; what was reserved for an amendment goes back. */
export function refuse(
  cause: 'cancelled' | 'amended',
  item: Extract<MarketItem, { type: 'CancelEntered' | 'AmendEntered' }>,
  accountSlot: number,
  code: MachineCode,
  releasedMinor: string,
  context: Context<MarketEvent>,
): void {
  const { commandId, replyTo, orderId, memberId } = item
  const refused: OrderCommandRefused = {
    type: 'OrderCommandRefused',
    cause,
    commandId,
    orderId,
    memberId,
    code,
    releasedMinor,
  }
  const ticket = context.send(Log.accounts, accountSlot, withAsker(refused, item))
  context.reply(replyTo, { kind: 'refused', commandId, orderId, code }, ticket)
}
