import type { Rules } from '#mesh/machine/rules.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { DEFINITIONS_SLOT, Log, sourceName } from '#mesh/subjects.ts'
import { amendOrder } from './amend-order.ts'
import { cancelOrder } from './cancel-order.ts'
import { changeMarketStatus, openMarket } from './definitions.ts'
import { enterOrder } from './enter-order.ts'
import { packEngine, unpackEngine } from './packed-state.ts'
import { type EngineState, initialState } from './state.ts'
import { stateHash } from './state-hash.ts'

const ACCOUNTS_PREFIX = `${Log.accounts}-`
const DEFINITIONS_SOURCE = sourceName(Log.definitions, DEFINITIONS_SLOT)

/** Matches the orders of all markets of a slot, and tells every order's account slot what became of it. */
export const engineRules: Rules<EngineState, MarketItem, MarketEvent> = {
  log: Log.markets,
  initialState,
  apply: (state, item, context) => {
    const { source } = context
    // Nobody else may write here; what comes from the edge all the same, forged, must not halt the slot.
    const fromDefinitions = item.type === 'OpenMarket' || item.type === 'ChangeMarketStatus'
    if (fromDefinitions ? source !== DEFINITIONS_SOURCE : !source.startsWith(ACCOUNTS_PREFIX)) {
      context.emit({ type: 'CommandIgnored', commandId: item.commandId, code: 'not_accepted' })
      return
    }
    switch (item.type) {
      case 'EnterOrder':
        return enterOrder(state, item, accountSlotOf(source), context)
      case 'CancelEntered':
        return cancelOrder(state, item, accountSlotOf(source), context)
      case 'AmendEntered':
        return amendOrder(state, item, accountSlotOf(source), context)
      case 'OpenMarket':
        return openMarket(state, item, context)
      case 'ChangeMarketStatus':
        return changeMarketStatus(state, item, context)
    }
  },
  stateHash,
  snapshots: { version: 1, pack: packEngine, unpack: unpackEngine },
}

const accountSlotOf = (source: string): number => Number(source.slice(ACCOUNTS_PREFIX.length))
