import { runService } from '#mesh/service.ts'
import { startAuth } from './auth.ts'
import { envToConfig } from './config.ts'

await runService('auth', async (service) => {
  await startAuth(service, envToConfig(service.env))
})
