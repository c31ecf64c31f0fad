import { runSlots } from '#mesh/machine/runtime.ts'
import { SnapshotHelper } from '#mesh/machine/snapshots/helper.ts'
import { openSnapshots } from '#mesh/machine/snapshots/keeper.ts'
import { runService } from '#mesh/service.ts'
import { envToConfig } from './config.ts'
import { createMachine } from './machine.ts'

await runService('engine', async (service) => {
  const { shape, slots, snapshots: config } = envToConfig(service.env)
  const worker = new URL('snapshot-worker.ts', import.meta.url)
  const snapshots = config && { config, helper: new SnapshotHelper(worker, service.shutdown) }
  const { machine, reads } = createMachine()
  await runSlots({
    service,
    ...machine,
    slots,
    shape,
    answerRead: reads.answer,
    snapshots: snapshots && (await openSnapshots({ service, shape, machine, slots, ...snapshots })),
  })
})
