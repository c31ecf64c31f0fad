import { type Bus, streamsOf, timeOf } from '#mesh/bus.ts'
import { followFrames } from '#mesh/frames.ts'
import type { AssetDefinition, DefinitionEvent } from '#mesh/protocol/definitions.ts'
import { DEFINITIONS_SLOT, EVENTS_STREAM, framesSubject, Log } from '#mesh/subjects.ts'
import { sleep } from '#mesh/time.ts'
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
  nats: Bus,
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

async function lastFrame(nats: Bus): Promise<number> {
  for (;;) {
    try {
      const last = await streamsOf(nats).last(EVENTS_STREAM, framesSubject(Log.definitions, DEFINITIONS_SLOT))
      return last?.seq ?? 0
    } catch {
      await sleep(timeOf(nats), RETRY_MS)
    }
  }
}

function byName<Value>(map: ReadonlyMap<string, Value>): Value[] {
  return [...map.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}
