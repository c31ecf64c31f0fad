import { runService } from '#mesh/service.ts'
import { startAlerts } from './alerts.ts'
import { envToConfig } from './config.ts'

await runService('alerts', async (service) => startAlerts(service, envToConfig(service.env)))
