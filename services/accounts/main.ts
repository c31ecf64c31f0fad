import { runSlots } from '#mesh/machine/runtime.ts'
import { SnapshotHelper } from '#mesh/machine/snapshots/helper.ts'
import { openSnapshots } from '#mesh/machine/snapshots/keeper.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { DEFINITIONS_SLOT } from '#mesh/subjects.ts'
import { envToConfig } from './config.ts'
import { appendFirstDefinitions } from './first-definitions.ts'
import { createMachines } from './machines.ts'

await runService('accounts', async (service) => {
  const { snapshots: config, slots, ...settings } = envToConfig(service.env)
  const { shape } = settings
  const worker = new URL('snapshot-worker.ts', import.meta.url)
  const snapshots = config && { config, helper: new SnapshotHelper(worker, service.shutdown) }
  await ensureStreams(service.nats, shape)
  await appendFirstDefinitions(service.nats)
  const { accounts, definitions, reads } = createMachines(settings)
  const definitionSlots = [DEFINITIONS_SLOT]
  await Promise.all([
    runSlots({
      service,
      shape,
      ...definitions,
      slots: definitionSlots,
      snapshots:
        snapshots &&
        (await openSnapshots({ service, shape, machine: definitions, slots: definitionSlots, ...snapshots })),
    }),
    runSlots({
      service,
      shape,
      ...accounts,
      slots,
      answerRead: reads.answer,
      readBarrier: true,
      snapshots: snapshots && (await openSnapshots({ service, shape, machine: accounts, slots, ...snapshots })),
    }),
  ])
})
