import type { Context } from '#mesh/machine/rules.ts'
import type { MarketStatus } from '#mesh/protocol/common.ts'
import type { DefinitionCommand, MarketDefinition } from '#mesh/protocol/definitions.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { DEFINITIONS_SLOT, Log } from '#mesh/subjects.ts'
import { createMarket, type EngineState } from './state.ts'

type OpenMarket = Extract<MarketItem, { type: 'OpenMarket' }>
type ChangeMarketStatus = Extract<MarketItem, { type: 'ChangeMarketStatus' }>

/** A market that is open already is confirmed again, if it is the same one. */
export function openMarket(state: EngineState, item: OpenMarket, context: Context<MarketEvent>): void {
  const { instrument } = item.market
  const known = state.markets.get(instrument)
  if (known !== undefined && !isSameMarket(known.definition, item.market)) {
    context.emit({ type: 'CommandIgnored', commandId: item.commandId, code: 'definition_conflict' })
    context.reply(item.replyTo, { kind: 'ledgerRefused', commandId: item.commandId, code: 'definition_conflict' })
    return
  }
  if (known === undefined) {
    state.markets.set(instrument, createMarket(item.market, state.execution))
    context.emit({ type: 'MarketOpened', instrument })
  }
  confirm(item, instrument, known?.status ?? item.market.status, context)
}

export function changeMarketStatus(state: EngineState, item: ChangeMarketStatus, context: Context<MarketEvent>): void {
  const { instrument, status } = item
  const market = state.markets.get(instrument)
  if (market === undefined) {
    context.emit({ type: 'CommandIgnored', commandId: item.commandId, code: 'market_unknown' })
    context.reply(item.replyTo, { kind: 'ledgerRefused', commandId: item.commandId, code: 'market_unknown' })
    return
  }
  if (market.status !== status) {
    market.status = status
    context.emit({ type: 'MarketStatusChanged', instrument, status })
  }
  confirm(item, instrument, status, context)
}

function confirm(
  { commandId, replyTo }: OpenMarket | ChangeMarketStatus,
  instrument: string,
  status: MarketStatus,
  context: Context<MarketEvent>,
): void {
  const applied: DefinitionCommand = { type: 'MarketApplied', instrument, status, commandId, replyTo }
  context.send(Log.definitions, DEFINITIONS_SLOT, applied)
}

/** Fees, minimum and slippage are not the engine's business and may differ. */
function isSameMarket(a: MarketDefinition, b: MarketDefinition): boolean {
  return (
    a.base === b.base &&
    a.quote === b.quote &&
    a.baseMinorPerLot === b.baseMinorPerLot &&
    a.quoteMinorPerTickLot === b.quoteMinorPerTickLot &&
    a.marketSlot === b.marketSlot
  )
}
