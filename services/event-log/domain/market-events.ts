import { formatSteps } from '#mesh/edge/decimal.ts'
import type { Market } from '#mesh/edge/market.ts'
import { formatTime } from '#mesh/edge/time.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { marketOf, type Scales, type WrittenEvent } from './records.ts'
import { Topic } from './topics.ts'

/** An event of an engine slot, for everybody. */
export function marketEvent(event: MarketEvent, scales: Scales): WrittenEvent[] {
  const book = (key: string, members: string): WrittenEvent[] => [
    { topic: Topic.books, key, type: event.type, members },
  ]
  switch (event.type) {
    case 'Traded': {
      const { instrument, tradeId, priceTicks, lots, takerSide, timeUs } = event
      const { tick, lot } = marketOf(scales, instrument)
      const what = `"instrument":"${instrument}","tradeId":"${tradeId}","price":"${formatSteps(priceTicks, tick)}","amount":"${formatSteps(lots, lot)}"`
      const members = `${what},"takerSide":"${takerSide}","tradedAt":"${formatTime(timeUs)}"`
      return [{ topic: Topic.deals, key: instrument, type: event.type, members }]
    }
    case 'BookChanged': {
      const { instrument, sequence, bids, asks } = event
      const market = marketOf(scales, instrument)
      const levels = `"bids":${levelsJson(bids, market)},"asks":${levelsJson(asks, market)}`
      return book(instrument, `"instrument":"${instrument}","sequence":"${sequence}",${levels}`)
    }
    case 'MarketOpened':
      return book(event.instrument, `"instrument":"${event.instrument}"`)
    case 'MarketStatusChanged':
      return book(event.instrument, `"instrument":"${event.instrument}","status":"${event.status}"`)
    case 'CommandIgnored':
      return book('', `"commandId":"${event.commandId}","code":"${event.code}"`)
    default:
      return event satisfies never
  }
}

function levelsJson(levels: readonly (readonly [priceTicks: number, lots: number])[], { tick, lot }: Market): string {
  return `[${levels.map(([ticks, lots]) => `["${formatSteps(ticks, tick)}","${formatSteps(lots, lot)}"]`).join()}]`
}
