import { withAsker } from '#mesh/domain/asked-by.ts'
import { LOTS_MAX, PRICE_TICKS_MAX, TICK_LOTS_MAX } from '#mesh/domain/money.ts'
import type { Context } from '#mesh/machine/rules.ts'
import type { MachineCode } from '#mesh/protocol/common.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { bookSideOf, emitBookChanged, levelAt } from './book-changes.ts'
import { placeOf, readOrder, refuse } from './cancel-order.ts'
import { conclude, type Order } from './conclude.ts'
import { CODE_OF_REFUSAL, isWhole, levelHasRoom } from './enter-order.ts'
import { settleFills } from './settle-fills.ts'
import { type EngineState, holdOf, type Market } from './state.ts'

type AmendEntered = Extract<MarketItem, { type: 'AmendEntered' }>

/**
 * Changes an order's price or total amount (executed part included). What the change needs was reserved beforehand, as far
 * as accounts knew the order; here it is known, the surplus goes back, and what is not covered is refused.
 */
export function amendOrder(state: EngineState, item: AmendEntered, accountSlot: number, context: Context<MarketEvent>) {
  const { addedHoldMinor } = item
  const no = (code: MachineCode): void => refuse('amended', item, accountSlot, code, addedHoldMinor, context)
  const market = state.markets.get(item.instrument)
  if (market === undefined) return no('market_unknown')
  if (market.status === 'halted') return no('market_halted')
  if (market.status === 'cancel_only') return no('market_cancel_only')
  const place = placeOf(market, item, accountSlot)
  if (place < 0) return no('order_not_open')

  const { book } = market
  const before = readOrder(market, item.orderId, place)
  const after: Order = {
    ...before,
    priceTicks: item.priceTicks ?? before.priceTicks,
    amountLots: item.amountLots ?? before.amountLots,
  }
  const lots = book.remainingLotsAt(place)
  const holdMinor = holdOf(market, before.side, lots, lots * before.priceTicks) + BigInt(addedHoldMinor)
  const code = whyNot(market, before, after, holdMinor)
  if (code !== undefined) return no(code)
  const { execution } = state
  execution.begin()
  const lotsBefore = [lotsAt(market, before), lotsAt(market, after)]
  const verdict = book.amend(item.orderId, after.priceTicks, after.amountLots)
  if (verdict !== 'accepted') return no(CODE_OF_REFUSAL[verdict])

  const { commandId, replyTo } = item
  const taker = { commandId, side: after.side, takerFeePpm: after.takerFeePpm }
  const sums = settleFills(market, taker, execution, context)
  if (execution.restingPlace < 0) market.records.clear(place)
  const command = withAsker({ cause: 'amended', commandId, replyTo } as const, item)
  conclude(market, command, after, holdMinor, sums, execution, context)
  const touched = before.priceTicks === after.priceTicks ? [after] : inBookOrder(before, after)
  const own = touched
    .filter((order) => lotsAt(market, order) !== lotsBefore[order === before ? 0 : 1])
    .map((order) => levelAt(market, order.side, order.priceTicks))
  emitBookChanged(market, after.side, own, execution, context)
}

/** Why an amendment is refused; the first that holds. */
function whyNot(market: Market, before: Order, after: Order, holdMinor: bigint): MachineCode | undefined {
  const { side, priceTicks, amountLots, executedLots } = after
  if (!isWhole(priceTicks, PRICE_TICKS_MAX)) return 'price_invalid'
  if (!isWhole(amountLots, LOTS_MAX)) return 'amount_invalid'
  if (amountLots * priceTicks > TICK_LOTS_MAX) return 'order_value_too_large'
  if (amountLots <= executedLots) return 'amount_not_above_executed'
  const lots = amountLots - executedLots
  const ownLots = priceTicks === before.priceTicks ? before.amountLots - executedLots : 0
  if (!levelHasRoom(market, after, lots - ownLots)) return 'amount_invalid'
  if (holdMinor < holdOf(market, side, lots, lots * priceTicks)) return 'hold_too_small'
  return undefined
}

const lotsAt = ({ book }: Market, { side, priceTicks }: Order): number => book.lotsAtPrice(bookSideOf(side), priceTicks)

/** The better price first. */
const inBookOrder = (a: Order, b: Order): Order[] =>
  (a.side === 'buy' ? a.priceTicks > b.priceTicks : a.priceTicks < b.priceTicks) ? [a, b] : [b, a]
