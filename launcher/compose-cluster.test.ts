import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectDirectory } from './servers/directories.ts'

describe('docker-compose.cluster.yml', () => {
  const cluster = readFileSync(join(projectDirectory, 'docker-compose.cluster.yml'), 'utf8')

  it('tells every service of all servers, and keeps as many copies as there are servers', () => {
    const base = readFileSync(join(projectDirectory, 'docker-compose.yml'), 'utf8')
    const services = [...base.matchAll(/^ {2}([a-z-]+):\n {4}<<: \*service$/gm)].map(([, name = '']) => name)
    assert(services.length >= 7)
    for (const name of services.filter((one) => one !== 'migrate')) {
      assert.match(cluster, new RegExp(`^  ${name}: [&*]on-cluster$`, 'm'), name)
    }
    const urls = /NATS_URL: (\S+)/.exec(cluster)?.[1]?.split(',') ?? []
    assert.deepEqual(urls, ['nats://nats:4222', 'nats://nats-2:4222', 'nats://nats-3:4222'])
    assert.match(cluster, new RegExp(`NATS_REPLICAS: "${urls.length}"`))
    const routes = readFileSync(join(projectDirectory, 'launcher/compose-nats-cluster.conf'), 'utf8')
    for (const url of urls) assert(routes.includes(`"nats-route://${new URL(url).hostname}:6222"`), url)
  })
})
