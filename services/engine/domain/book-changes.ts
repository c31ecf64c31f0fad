import type { Context } from '#mesh/machine/rules.ts'
import type { Side } from '#mesh/protocol/common.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { Side as BookSide } from '../book/book.ts'
import type { Execution } from './execution.ts'
import type { Market } from './state.ts'

type Level = readonly [priceTicks: number, lots: number]

const NO_LEVELS: readonly Level[] = []

export const bookSideOf = (side: Side): BookSide => (side === 'buy' ? BookSide.buy : BookSide.sell)

/** What the command changed on the side of its order, and on the other side by its fills. Nothing changed: nothing is said. */
export function emitBookChanged(
  market: Market,
  side: Side,
  own: readonly Level[],
  execution: Execution,
  context: Context<MarketEvent>,
): void {
  const met = metLevels(market, side, execution)
  if (own.length === 0 && met.length === 0) return
  market.sequence++
  context.emit({
    type: 'BookChanged',
    instrument: market.definition.instrument,
    sequence: market.sequence,
    bids: side === 'buy' ? own : met,
    asks: side === 'buy' ? met : own,
  })
}

/** A level as it is now. */
export const levelAt = (market: Market, side: Side, priceTicks: number): Level => [
  priceTicks,
  market.book.lotsAtPrice(bookSideOf(side), priceTicks),
]

/** The fills went through these levels from the best on; each of them has less now. */
function metLevels(market: Market, side: Side, { fillsCount, pricesTicks }: Execution): readonly Level[] {
  if (fillsCount === 0) return NO_LEVELS
  const other = side === 'buy' ? 'sell' : 'buy'
  const levels: Level[] = []
  let last = 0
  for (let index = 0; index < fillsCount; index++) {
    const priceTicks = pricesTicks[index] ?? 0
    if (priceTicks === last) continue
    last = priceTicks
    levels.push(levelAt(market, other, priceTicks))
  }
  return levels
}
