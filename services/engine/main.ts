import { runSlots } from '#mesh/machine/runtime.ts'
import { runService } from '#mesh/service.ts'
import { envToConfig } from './config.ts'
import { engineRules } from './domain/rules.ts'
import { createReads } from './reads.ts'

await runService('engine', async (service) => {
  const { shape, slots } = envToConfig(service.env)
  const reads = createReads()
  await runSlots({
    service,
    rules: engineRules,
    slots,
    shape,
    observe: reads.observe,
    answerRead: reads.answer,
  })
})
