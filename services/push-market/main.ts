import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { runPusher } from '#mesh/push/runtime.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { Log } from '#mesh/subjects.ts'
import { envToConfig } from './config.ts'
import { MarketSlot } from './market-slot.ts'
import { CheckpointStore } from './stored.ts'

await runService('push-market', async (service) => {
  const config = envToConfig(service.env)
  const { nats, log } = service
  await ensureStreams(nats, config)
  const store = await CheckpointStore.open(nats, config.replicas)
  /** Slots whose stored markets are of no use. */
  const broken = new Set<number>()
  await runPusher<MarketEvent>({
    service,
    name: 'push-market',
    source: Log.markets,
    slots: config.marketSlots,
    replicas: config.replicas,
    open: async (slot) => {
      const from = broken.delete(slot) ? { frameSequence: 0, markets: new Map() } : await store.load(slot)
      log.info({ slot, frameSequence: from.frameSequence, markets: from.markets.size }, 'reading frames')
      return new MarketSlot({
        slot,
        from,
        store,
        tell: (subject, payload) => nats.publish(subject, payload),
        saveMs: config.saveMs,
        nowUs: () => Date.now() * 1_000,
        nowMs: () => performance.now(),
        onBroken: () => broken.add(slot),
      })
    },
  })
})
