import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { followFrames } from '#mesh/frames.ts'
import type { AssetDefinition, DefinitionEvent } from '#mesh/protocol/definitions.ts'
import { DEFINITIONS_SLOT, EVENTS_STREAM, framesSubject, Log } from '#mesh/subjects.ts'
import { type Market, marketOf } from './market.ts'

/** Assets and markets as the definitions machine has told them. */
export interface Definitions {
  market(instrument: string): Market | undefined
  asset(asset: string): AssetDefinition | undefined
  /** By name. */
  markets(): readonly Market[]
  /** By name. */
  assets(): readonly AssetDefinition[]
  stop(): Promise<void>
}

const RETRY_MS = 200

/** Follows the definitions' frames. `onReady` is called once everything that was there at the start is known, and that is not nothing. */
export async function followDefinitions(
  nats: NatsConnection,
  onReady: () => void,
  onFailure: (error: unknown) => void,
): Promise<Definitions> {
  const assets = new Map<string, AssetDefinition>()
  const markets = new Map<string, Market>()
  const take = (event: DefinitionEvent): void => {
    if (event.type === 'AssetDefined') assets.set(event.asset.asset, event.asset)
    if (event.type !== 'MarketDefined') return
    const base = assets.get(event.market.base)
    const quote = assets.get(event.market.quote)
    if (base === undefined || quote === undefined) throw new Error(`${event.market.instrument} came before its assets`)
    markets.set(event.market.instrument, marketOf(event.market, base, quote))
  }

  const end = await lastFrame(nats)
  const reader = await followFrames<DefinitionEvent>(nats, Log.definitions, DEFINITIONS_SLOT, 0, (frame, sequence) => {
    for (const event of frame.events) take(event)
    if (sequence >= end && markets.size > 0) onReady()
  })
  reader.done.catch(onFailure)

  return {
    market: (instrument) => markets.get(instrument),
    asset: (asset) => assets.get(asset),
    markets: () => byName(markets),
    assets: () => byName(assets),
    stop: () => reader.stop(),
  }
}

async function lastFrame(nats: NatsConnection): Promise<number> {
  const manager = await jetstreamManager(nats)
  for (;;) {
    try {
      const last = await manager.streams.getMessage(EVENTS_STREAM, {
        last_by_subj: framesSubject(Log.definitions, DEFINITIONS_SLOT),
      })
      return last?.seq ?? 0
    } catch (error) {
      if (error instanceof JetStreamApiError && error.status === 404) return 0
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

function byName<Value>(map: ReadonlyMap<string, Value>): Value[] {
  return [...map.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}
