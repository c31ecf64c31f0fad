import { startIngest } from '#mesh/ingest/start.ts'
import { runService } from '#mesh/service.ts'
import { envToConfig } from './config.ts'
import { keepSessions } from './sessions.ts'

await runService('ingest-rabbitmq', async (service) => {
  const config = envToConfig(service.env)
  const started = await startIngest(service, 'rabbitmq', config)
  keepSessions(service, config, started)
})
