import { Archive } from '#mesh/archive/archive.ts'
import { runService } from '#mesh/service.ts'
import { envToConfig } from './config.ts'
import { keepArchive } from './keep-archive.ts'

await runService('archive', async (service) => {
  const config = envToConfig(service.env)
  keepArchive(service, config, new Archive(config.directory))
})
