import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { metricsText } from '../metrics.ts'
import { connectNats } from '../service.ts'
import { ensureStreams } from '../streams.ts'
import { commandSubject, Log } from '../subjects.ts'
import { startNats } from '../testing/servers.ts'
import { slotCollector } from './metrics.ts'
import type { SlotStatus } from './runtime.ts'

describe('the lag of a slot', () => {
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection
  before(async function () {
    this.timeout(60_000)
    server = await startNats()
    nats = await connectNats(server.url, 'test')
    await ensureStreams(nats, { accountSlots: 1, marketSlots: 1 })
  })
  after(async () => {
    await nats.close()
    await server.stop()
  })

  it('grows while what is stored is not applied, whatever the reader has heard of it, and is 0 again then', async () => {
    let appliedSequence = 0
    const status = (): SlotStatus[] => [
      {
        log: Log.accounts,
        slot: 0,
        state: 'running',
        epoch: 3,
        appliedSequence,
        itemsCount: 0,
        queuedCount: 0,
        hash: 0,
      },
    ]
    const collect = slotCollector(nats, Log.accounts, status)
    const lag = async (): Promise<number> => {
      await collect()
      const found = /^exchange_slot_lag_seconds\{log="accounts",slot="0"\} (.+)$/m.exec(await metricsText())
      return Number(found?.[1])
    }
    assert.equal(await lag(), 0)
    const first = await jetstream(nats).publish(commandSubject(Log.accounts, 0), 'one')
    await lag()
    await sleep(120)
    const lagged = await lag()
    assert(lagged >= 0.1, String(lagged))
    await jetstream(nats).publish(commandSubject(Log.accounts, 0), 'two')
    assert((await lag()) >= lagged)
    appliedSequence = first.seq
    // The second one is younger.
    assert((await lag()) < lagged)
    appliedSequence = first.seq + 1
    assert.equal(await lag(), 0)
    assert.match(await metricsText(), /^exchange_slot_epoch\{log="accounts",slot="0"\} 3$/m)
  })
})
