import type { NatsConnection } from '@nats-io/transport-node'
import { parseFrame } from '#mesh/frames.ts'
import { Bell } from '#mesh/projection/bell.ts'
import type { AssetDefinition, DefinitionEvent, MarketDefinition } from '#mesh/protocol/definitions.ts'
import { DEFINITIONS_SLOT, EVENTS_STREAM, framesSubject, Log } from '#mesh/subjects.ts'
import { StreamCursor } from './stream-cursor.ts'

const WAIT_MS = 10_000

export interface Definitions {
  readonly assets: ReadonlyMap<string, AssetDefinition>
  readonly markets: ReadonlyMap<string, MarketDefinition>
}

/** The assets and markets as they are now. Scales, ticks and lots never change, so they are right for every time before. */
export async function readDefinitions(nats: NatsConnection): Promise<Definitions> {
  const assets = new Map<string, AssetDefinition>()
  const markets = new Map<string, MarketDefinition>()
  const arrived = new Bell()
  await using cursor = await StreamCursor.open(
    nats,
    EVENTS_STREAM,
    arrived,
    framesSubject(Log.definitions, DEFINITIONS_SLOT),
  )
  for (let pending = cursor.pendingAtStart; pending > 0; ) {
    const taken = cursor.take()
    if (taken === undefined) {
      cursor.check()
      await arrived.wait(WAIT_MS)
      if (cursor.head === undefined) throw new Error(`${EVENTS_STREAM} does not answer.`)
      continue
    }
    pending = taken.info.pending
    for (const event of parseFrame<DefinitionEvent>(taken.data).events) {
      if (event.type === 'AssetDefined') assets.set(event.asset.asset, event.asset)
      else if (event.type === 'MarketDefined') markets.set(event.market.instrument, event.market)
    }
  }
  return { assets, markets }
}
