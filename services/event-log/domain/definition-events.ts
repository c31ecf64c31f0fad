import type { DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { WrittenEvent } from './records.ts'
import { Topic } from './topics.ts'

export function definitionEvent(event: DefinitionEvent): WrittenEvent[] {
  const written = (key: string, content: object): WrittenEvent[] => [
    { topic: Topic.definitions, key, type: event.type, members: JSON.stringify(content).slice(1, -1) },
  ]
  switch (event.type) {
    case 'AssetDefined':
      return written(event.asset.asset, event.asset)
    case 'MarketDefined': {
      const { instrument, base, quote, tick, lot, makerFeePpm, takerFeePpm, slippagePpm, status } = event.market
      return written(instrument, { instrument, base, quote, tick, lot, makerFeePpm, takerFeePpm, slippagePpm, status })
    }
    case 'DefinitionRefused':
      return written('', { commandId: String(event.commandId), code: event.code })
    default:
      return event satisfies never
  }
}
