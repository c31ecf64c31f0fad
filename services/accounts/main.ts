import { runSlots } from '#mesh/machine/runtime.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { DEFINITIONS_SLOT } from '#mesh/subjects.ts'
import { envToConfig } from './config.ts'
import { createAccountsRules } from './domain/accounts-rules.ts'
import { createDefinitionsRules } from './domain/definitions-rules.ts'
import { appendFirstDefinitions } from './first-definitions.ts'
import { createReads } from './reads.ts'

await runService('accounts', async (service) => {
  const { shape, slots, recentOrdersMax } = envToConfig(service.env)
  await ensureStreams(service.nats, shape)
  await appendFirstDefinitions(service.nats)
  const reads = createReads({ recentOrdersMax })
  await Promise.all([
    runSlots({ service, shape, rules: createDefinitionsRules(shape), slots: [DEFINITIONS_SLOT] }),
    runSlots({
      service,
      shape,
      rules: createAccountsRules(shape),
      slots,
      observe: reads.observe,
      answerRead: reads.answer,
      readBarrier: true,
    }),
  ])
})
