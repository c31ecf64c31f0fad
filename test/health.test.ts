import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type OwnedProcess, startProcess } from '#launcher/servers/child-process.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import { openBucket } from '#mesh/buckets.ts'
import type { Health } from '#mesh/service.ts'
import { Bucket } from '#mesh/subjects.ts'
import { eventually } from './support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'

type Report = ReturnType<Health['report']>

describe('health', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  before(async function () {
    this.timeout(120_000)
    mesh = await startMesh({ scale: { engine: 2 } })
  })
  after(() => mesh?.stop())

  const ask = async (address: string, what: 'live' | 'ready'): Promise<[status: number, report: Report]> => {
    const response = await fetch(`${address}/health/${what}`, { signal: AbortSignal.timeout(2_000) })
    return [response.status, (await response.json()) as Report]
  }
  const addressOf = (name: string): string => `http://${mesh.metricsAddresses.get(name)}`
  const readyOf = (name: string) => ask(addressOf(name), 'ready')
  const engineSlots = (report: Report): string[] =>
    Object.entries(report.checks).flatMap(([name, { detail }]) =>
      name.startsWith('slot markets') ? [String(detail)] : [],
    )

  it('of a gateway that has never found NATS: alive, not ready, and says why', async () => {
    const port = await freePort()
    const url = `http://${loopback}:${port}`
    const gateway = await startProcess({
      name: 'gateway',
      command: process.execPath,
      args: [join(import.meta.dirname, '../gateway/main.ts')],
      env: {
        ...process.env,
        NATS_URL: `nats://${loopback}:${await freePort()}`,
        GATEWAY_PORT: String(await freePort()),
        HEALTH_PORT: String(port),
      },
      output: { onLine: () => {} },
      isReady: async () => (await fetch(`${url}/health/live`).catch(() => undefined))?.status === 200,
      readyTimeoutMs: 30_000,
      stopTimeoutMs: 5_000,
    })
    const [status, report] = await ask(url, 'ready')
    await gateway.kill()
    assert.equal(status, 503)
    assert.deepEqual(report, { ready: false, checks: { started: { ok: false }, nats: { ok: false } } })
  })

  it('of every service while NATS is away: alive and not ready, on the public port of the gateway too; and then ready', async () => {
    const [gatewayUrl = ''] = mesh.urls
    const addresses = [...[...mesh.metricsAddresses.keys()].map(addressOf), gatewayUrl]
    await mesh.servers.nats.kill()
    await eventually(async () => {
      for (const address of addresses) {
        assert.equal((await ask(address, 'live'))[0], 200)
        const [status, { ready, checks }] = await ask(address, 'ready')
        assert.deepEqual([status, ready, checks.nats?.ok], [503, false, false], address)
      }
    })
    await mesh.servers.nats.start()
    await eventually(async () => {
      for (const address of addresses) assert.equal((await ask(address, 'ready'))[0], 200, address)
    }, 30_000)
  })

  it('of orders while MySQL is away: not ready; the gateways, which trade without it, are', async () => {
    await mesh.servers.mariadb.kill()
    await eventually(async () => {
      const [status, { checks }] = await readyOf('orders')
      assert.deepEqual([status, checks['projection orders']?.ok], [503, false])
    })
    assert.equal((await readyOf('gateway'))[0], 200)
    await mesh.servers.mariadb.start()
    await eventually(async () => assert.equal((await readyOf('orders'))[0], 200), 30_000)
  })

  it('of an engine that was fenced off while it was paused: it follows, in the same process', async () => {
    const owner = mesh.process('engine')
    await eventually(async () => {
      const [, report] = await readyOf('engine')
      assert.deepEqual(engineSlots(report).sort(), ['following', 'following', 'running', 'running'])
    })
    pause(owner)
    await eventually(async () => {
      const [, report] = await readyOf('engine-2')
      assert.deepEqual(engineSlots(report), ['running', 'running', 'running', 'running'])
    })
    resume(owner)
    const { pid } = owner
    await eventually(async () => {
      const [status, report] = await readyOf('engine')
      assert.equal(status, 200)
      assert(engineSlots(report).includes('following'), JSON.stringify(report))
    })
    // And has its share again.
    await eventually(async () => {
      const [, report] = await readyOf('engine')
      assert.deepEqual(engineSlots(report).sort(), ['following', 'following', 'running', 'running'])
    })
    assert.equal(owner.pid, pid, 'it has not started anew')
  })

  it('of an engine with a halted slot: ready for the others, and shows it', async () => {
    const nats = await connectTo(mesh)
    const bucket = await openBucket(nats, Bucket.slots)
    const halt = { state: 'halted', code: 'rules_failed', reason: 'a test', sequence: 1, instance: 'test' }
    await bucket.put('markets.3', JSON.stringify({ ...halt, at: new Date().toISOString() }))
    await mesh.restart('engine')
    const [status, { checks }] = await readyOf('engine')
    assert.deepEqual([status, checks['slot markets-3']?.detail], [200, 'halted'])
    const metrics = await (await fetch(`${addressOf('engine')}/metrics`)).text()
    assert.match(metrics, /^exchange_slot_halted\{log="markets",slot="3"\} 1$/m)
    assert.match(metrics, /^exchange_slot_halted\{log="markets",slot="0"\} 0$/m)
    await bucket.delete('markets.3')
    await nats.close()
  })
})

function pause({ pid }: OwnedProcess): void {
  assert(pid !== undefined)
  process.kill(pid, 'SIGSTOP')
}

function resume({ pid }: OwnedProcess): void {
  assert(pid !== undefined)
  process.kill(pid, 'SIGCONT')
}
