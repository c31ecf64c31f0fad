import { feeOf } from '#mesh/domain/money.ts'
import type { Context } from '#mesh/machine/rules.ts'
import type { OrderOutcome } from '#mesh/protocol/accounts.ts'
import type { Fill, Side } from '#mesh/protocol/common.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'
import type { Execution } from './execution.ts'
import type { Market } from './state.ts'

/** What the fills of one command come to for the order that met the others. */
export interface TakerSums {
  readonly fills: readonly Fill[]
  readonly lots: number
  readonly tickLots: bigint
  /** Of the held asset. */
  readonly consumedMinor: bigint
  readonly feeMinor: bigint
}

const NO_FILLS: TakerSums = { fills: [], lots: 0, tickLots: 0n, consumedMinor: 0n, feeMinor: 0n }

/**
 * Books the command's fills: numbers the trades, tells them to the public, charges the makers' fees and tells the makers.
 * Price-time priority meets no order twice in one command, so each fill is one maker's outcome.
 */
export function settleFills(
  market: Market,
  taker: { readonly commandId: number; readonly side: Side; readonly takerFeePpm: number },
  execution: Execution,
  context: Context<MarketEvent>,
): TakerSums {
  const count = execution.fillsCount
  if (count === 0) return NO_FILLS
  const { records, baseMinorPerLot, quoteMinorPerTickLot } = market
  const { instrument } = market.definition
  const { commandId, side, takerFeePpm } = taker
  const { timeUs } = context
  const takerBuys = side === 'buy'
  const fills: Fill[] = []
  let sumLots = 0
  let sumTickLots = 0n
  let sumFeeMinor = 0n
  for (let index = 0; index < count; index++) {
    const makerId = execution.makerIds[index] ?? 0
    const place = execution.makerPlaces[index] ?? 0
    const remainingLots = execution.makerRemainingLots[index] ?? 0
    const priceTicks = execution.pricesTicks[index] ?? 0
    const lots = execution.lots[index] ?? 0
    // At most the maker's price × amount, so it is exact.
    const tickLots = priceTicks * lots
    const tradeId = ++market.tradesCount
    const quote = BigInt(tickLots) * quoteMinorPerTickLot
    const base = BigInt(lots) * baseMinorPerLot
    const quoteMinor = quote.toString()

    const takerFee = feeOf(takerBuys ? base : quote, takerFeePpm)
    fills.push({ tradeId, priceTicks, lots, quoteMinor, feeMinor: takerFee.toString(), liquidity: 'taker' })
    sumLots += lots
    sumTickLots += BigInt(tickLots)
    sumFeeMinor += takerFee

    const makerFee = feeOf(takerBuys ? quote : base, records.makerFeePpm(place))
    records.addFill(place, lots, tickLots, makerFee)
    const executedLots = records.executedLots(place)
    const outcome: OrderOutcome = {
      type: 'OrderOutcome',
      cause: 'matched',
      commandId,
      orderId: makerId,
      memberId: records.memberId(place),
      status: remainingLots === 0 ? 'executed' : 'partially_filled',
      fills: [{ tradeId, priceTicks, lots, quoteMinor, feeMinor: makerFee.toString(), liquidity: 'maker' }],
      consumedMinor: takerBuys ? base.toString() : quoteMinor,
      // It trades at its own price, so its hold is just what it needs.
      releasedMinor: '0',
      priceTicks,
      amountLots: executedLots + remainingLots,
      executedLots,
      timeUs,
    }
    context.send(Log.accounts, records.accountSlot(place), outcome)
    if (remainingLots === 0) records.clear(place)
    context.emit({ type: 'Traded', instrument, tradeId, priceTicks, lots, takerSide: side, timeUs })
  }
  return {
    fills,
    lots: sumLots,
    tickLots: sumTickLots,
    consumedMinor: takerBuys ? sumTickLots * quoteMinorPerTickLot : BigInt(sumLots) * baseMinorPerLot,
    feeMinor: sumFeeMinor,
  }
}
