import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { runPusher } from '#mesh/push/runtime.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { Log } from '#mesh/subjects.ts'
import { envToConfig } from './config.ts'
import { MarketSlot } from './market-slot.ts'
import { seedFromEngine } from './seed.ts'
import { type Checkpoint, CheckpointStore } from './stored.ts'

await runService('push-market', async (service) => {
  const config = envToConfig(service.env)
  const { nats, log } = service
  await ensureStreams(nats, config)
  const store = await CheckpointStore.open(nats, config.replicas)
  /** By slot, where its markets come from next: what failed once is not tried again. */
  const next = new Map<number, (slot: number) => Promise<Checkpoint>>()
  const fromFirstFrame = async (): Promise<Checkpoint> => ({ frameSequence: 0, markets: new Map() })
  const fromEngine = (slot: number): Promise<Checkpoint> => seedFromEngine(nats, slot)
  await runPusher<MarketEvent>({
    service,
    name: 'push-market',
    source: Log.markets,
    slots: config.marketSlots,
    replicas: config.replicas,
    open: async (slot) => {
      const from = await (next.get(slot) ?? ((stored: number) => store.load(stored)))(slot)
      log.info({ slot, frameSequence: from.frameSequence, markets: from.markets.size }, 'reading frames')
      return new MarketSlot({
        slot,
        from,
        store,
        tell: (subject, payload) => nats.publish(subject, payload),
        saveMs: config.saveMs,
        nowMs: () => performance.now(),
        // The log's beginning may have been trimmed.
        onBroken: () => next.set(slot, from.frameSequence === 0 ? fromEngine : fromFirstFrame),
      })
    },
  })
})
