import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Launched, privateEnv } from './fixtures/launched.ts'

describe('npm start -- --cluster', function () {
  this.timeout(240_000)
  let directory: string
  let env: NodeJS.ProcessEnv

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'exchange-cluster-'))
    env = await privateEnv(directory)
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const launch = (...args: string[]) => new Launched(['launcher/fixtures/main.ts', ...args], env)
  const natsServers = (): string[] => {
    const processes = JSON.parse(readFileSync(join(directory, 'run/processes.json'), 'utf8')) as { name: string }[]
    return processes.map(({ name }) => name).filter((name) => name.startsWith('nats'))
  }

  it('starts three nats-servers, tells the services of all, and goes on with them the next time', async () => {
    for (const args of [['--cluster'], []]) {
      await using mesh = launch(...args)
      await mesh.started()
      assert.deepEqual(natsServers().sort(), ['nats-1', 'nats-2', 'nats-3'])
      const { natsUrl } = JSON.parse(readFileSync(join(directory, 'run/mesh.json'), 'utf8'))
      assert.equal(natsUrl.split(',').length, 3)
      assert.equal(await mesh.end('SIGINT'), 0)
    }
    assert(!existsSync(join(directory, 'nats')))
  })

  it('refuses the data of a single server, and servers of others', async () => {
    await using single = launch()
    await single.started()
    assert.deepEqual(natsServers(), ['nats'])
    assert.equal(await single.end('SIGINT'), 0)
    const refusedBy = async (more: NodeJS.ProcessEnv): Promise<string> => {
      const launched = new Launched(['launcher/fixtures/main.ts', '--cluster'], { ...env, ...more })
      assert.equal(await launched.ended, 1, launched.output())
      return launched.output()
    }
    assert.match(await refusedBy({}), /--cluster: the data in .+ belongs to a single nats-server/)
    assert.match(await refusedBy({ NATS_URL: 'nats://127.0.0.1:1' }), /--cluster starts servers of its own/)
  })
})
