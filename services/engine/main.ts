import { runSlots } from '#mesh/machine/runtime.ts'
import { openSnapshots } from '#mesh/machine/snapshots/keeper.ts'
import { runService } from '#mesh/service.ts'
import { envToConfig } from './config.ts'
import { createMachine } from './machine.ts'

await runService('engine', async (service) => {
  const { shape, slots, snapshots: config } = envToConfig(service.env)
  const { machine, reads } = createMachine()
  const worker = new URL('snapshot-worker.ts', import.meta.url)
  await runSlots({
    service,
    ...machine,
    slots,
    shape,
    answerRead: reads.answer,
    snapshots: await openSnapshots({ service, config, shape, machine, slots, worker }),
  })
})
