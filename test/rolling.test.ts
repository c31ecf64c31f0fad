import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { openBucket } from '#mesh/buckets.ts'
import { createPool, type Pool, type Row } from '#mesh/mysql.ts'
import { Bucket } from '#mesh/subjects.ts'
import { startTraefik } from '#mesh/testing/servers.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'
import { SteadyLoad } from './support/steady-load.ts'

/** What a machine gets that is too busy to run anything for a while: no fault of an instance that was stopped. */
const LATE: ReadonlySet<string> = new Set([
  'slot_unavailable',
  'outcome_unknown',
  'projection_behind',
  'service_timeout',
  'ids_unavailable',
])
/** Held up for longer than this, a process may miss what it has to do in time. */
const HELD_UP_MS = 300

/** Starts and moves take as long as a busy machine makes them; that nothing fails meanwhile is what counts. */
describe('instances that come and go on purpose, under load and behind Traefik', function () {
  this.timeout(180_000)
  const PER_SECOND = 40
  let mesh: TestMesh
  let traefik: Awaited<ReturnType<typeof startTraefik>>
  let nats: NatsConnection
  let pool: Pool
  let load: SteadyLoad
  const delay = monitorEventLoopDelay()

  before(async () => {
    mesh = await startMesh({
      scale: { gateway: 2, auth: 2, guid: 2, accounts: 2, engine: 2, orders: 2 },
      env: { PASSWORD_COST_LOG2: '10', RATE_TRADE: '1000:1000', RATE_READ: '1000:1000', RESULT_MS_MAX: '20000' },
    })
    traefik = await startTraefik(mesh.urls)
    nats = await connectTo(mesh)
    pool = createPool(mesh.mysqlUrl, { connectionsMax: 1 })
    load = await SteadyLoad.start(nats, new Client([traefik.url]), mesh.admin, PER_SECOND)
    delay.enable()
    await sleep(1_000)
  })
  after(async () => {
    await load?.stop()
    await pool?.end()
    await nats?.close()
    await traefik?.stop()
    await mesh?.stop()
  })

  for (const services of [['gateway'], ['accounts'], ['engine'], ['auth', 'guid', 'orders']]) {
    it(`nothing fails while each ${services.join(', ')} is told to stop and starts again`, async () => {
      for (const number of ['', '-2']) await Promise.all(services.map((service) => restart(service + number)))
      assertNothingFailed()
    })
  }

  it('slots go round the instances that come, evenly, and nothing fails while they move', async () => {
    for (const service of ['engine', 'accounts', 'orders'] as const) await mesh.add(service)
    await eventually(async () => {
      assert.deepEqual(await slotsOf('markets'), [1, 1, 2])
      assert.deepEqual(await slotsOf('accounts'), [1, 1, 2])
      assert.deepEqual(await projectionsOf('orders'), [1, 1, 2])
    }, 60_000)
    assertNothingFailed()
  })

  it('and back when they go', async () => {
    for (const name of ['engine-3', 'accounts-3', 'orders-3']) await mesh.process(name).stop()
    await eventually(async () => {
      assert.deepEqual(await slotsOf('markets'), [2, 2])
      assert.deepEqual(await slotsOf('accounts'), [2, 2])
      assert.deepEqual(await projectionsOf('orders'), [2, 2])
    }, 40_000)
    await sleep(500)
    assertNothingFailed()
  })

  it('every order is there once, and the books are in order', async () => {
    await load.stop()
    assertNothingFailed()
    const { accepted } = await load.check(mesh)
    assert(accepted > 200, `${accepted} orders were accepted`)
  })

  async function restart(name: string): Promise<void> {
    const stopping = mesh.process(name)
    await stopping.stop()
    assert.deepEqual(await stopping.exited, { code: 0, signal: null }, name)
    await stopping.start()
  }

  function assertNothingFailed(): void {
    const heldUpMs = delay.max / 1e6
    const isBusy = heldUpMs > HELD_UP_MS
    const isLate = ({ code }: { code: string }): boolean => isBusy && LATE.has(code)
    const late = load.failed().filter(isLate)
    if (late.length > 0) {
      console.log(
        `      ${late.length} late answers are not judged: even the test was held up for ${heldUpMs.toFixed(0)} ms`,
      )
    }
    assert.deepEqual(
      load.failed().filter((one) => !isLate(one)),
      [],
    )
  }

  /** How many slots each owner holds, from few to many. */
  async function slotsOf(log: string): Promise<number[]> {
    const leases = await openBucket(nats, Bucket.leases)
    const owners: string[] = []
    for (let slot = 0; slot < 4; slot++) {
      const entry = (await leases.get(`${log}.${slot}`))?.json<{ instance: string; state: string }>()
      assert.equal(entry?.state, 'held', `${log}.${slot}`)
      owners.push(entry.instance)
    }
    return countEach(owners)
  }

  async function projectionsOf(projection: string): Promise<number[]> {
    const [rows] = await pool.query<Row[]>(
      'SELECT owner FROM projection_slots WHERE projection = ? AND owned_until > NOW(3)',
      [projection],
    )
    return countEach(rows.map(({ owner }) => String(owner)))
  }

  function countEach(owners: readonly string[]): number[] {
    const counts = new Map<string, number>()
    for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1)
    return [...counts.values()].sort((a, b) => a - b)
  }
})
