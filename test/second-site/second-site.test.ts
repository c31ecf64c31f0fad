import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type MariadbServer, startMariadbServer } from '#launcher/servers/mariadb.ts'
import { type NatsServer, startNatsServer } from '#launcher/servers/nats.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import { createPool, type Pool, type Row } from '#mesh/mysql.ts'
import { connectNats } from '#mesh/service.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { delayReplica } from '#services/second-site/database.ts'
import { detachMirrors, makeMirrors, mirrorStates } from '#services/second-site/mirror.ts'
import { cutStreams, FirstSiteLives, promote } from '#services/second-site/promote.ts'
import { takeOverDatabase } from '#services/second-site/take-over.ts'
import { Client } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from '../support/mesh.ts'
import { SteadyLoad } from '../support/steady-load.ts'

const ENV = { PASSWORD_COST_LOG2: '10', RATE_TRADE: '1000:1000', RATE_READ: '1000:1000' }
const DELAY_S = 4
/** Frames that are taken away at the end of a mirror, as if it had been that much behind. */
const BEHIND = 15
const PER_SECOND = 40

describe('a second site', function () {
  this.timeout(240_000)
  let scratch: string
  let leafPort: number
  let firstBus: NatsServer
  let secondBus: NatsServer
  let firstDatabase: MariadbServer
  let secondDatabase: MariadbServer
  let firstMesh: TestMesh
  let second: NatsConnection
  let pool: Pool
  let load: SteadyLoad
  let lostAtMs: number
  const stack = new AsyncDisposableStack()

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'exchange-sites-'))
    stack.defer(() => rmSync(scratch, { recursive: true, force: true }))
    leafPort = await freePort()
    firstBus = await startNatsServer({
      directory: join(scratch, 'first-nats'),
      domain: 'first',
      syncInterval: '2m',
      extraConfig: `server_name: first\nleafnodes { listen: "${loopback}:${leafPort}" }`,
    })
    stack.defer(() => firstBus.kill())
    secondBus = await startNatsServer({ ...secondNats(), extraConfig: `server_name: second\n${leafOf(leafPort)}` })
    stack.defer(() => secondBus.kill())
    const common = { user: 'root', logFileSize: '16M' }
    ;[firstDatabase, secondDatabase] = await Promise.all([
      startMariadbServer({
        ...common,
        directory: join(scratch, 'first-mariadb'),
        extraArgs: ['--server-id=1', '--log-bin'],
      }),
      startMariadbServer({
        ...common,
        directory: join(scratch, 'second-mariadb'),
        extraArgs: ['--server-id=2', '--log-bin', '--read-only'],
      }),
    ])
    stack.defer(() => Promise.all([firstDatabase.kill(), secondDatabase.kill()]).then(() => {}))
    pool = createPool(secondDatabase.url, { connectionsMax: 2 })
    stack.defer(() => pool.end())
    firstMesh = await startMesh({ natsUrl: firstBus.url, mysqlUrl: firstDatabase.url, env: ENV })
    stack.defer(() => firstMesh.stop())
    second = await connectNats(secondBus.url, 'second')
    stack.defer(() => second.close())
  })
  after(() => stack.disposeAsync())

  it('follows the first one: its streams at once, its database by a configured delay', async () => {
    await pool.query(
      `CHANGE MASTER TO MASTER_HOST = '${loopback}', MASTER_PORT = ${firstDatabase.port}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos`,
    )
    await delayReplica(pool, DELAY_S)
    await makeMirrors(second, { firstDomain: 'first', replicas: 1 })
    await makeMirrors(second, { firstDomain: 'first', replicas: 1 })

    const nats = await connectTo(firstMesh)
    try {
      load = await SteadyLoad.start(nats, new Client(firstMesh.urls), firstMesh.admin, PER_SECOND)
    } finally {
      await nats.close()
    }
    await eventually(async () => assert((await count(firstDatabase)) > 20, 'orders are in the first database'))
    await eventually(async () => {
      const states = await mirrorStates(second)
      assert.deepEqual(states.map(({ stream }) => stream).sort(), ['ACCOUNTS', 'DEFINITIONS', 'EVENTS', 'MARKETS'])
      for (const { stream, lag, heardMs } of states) assert(lag < 50 && heardMs >= 0 && heardMs < 10_000, stream)
      assert((states.find(({ stream }) => stream === 'EVENTS')?.messages ?? 0) > 50)
    })
    // What the first one has written last is not there yet, and comes.
    const [[status]] = await pool.query<Row[]>('SHOW SLAVE STATUS')
    assert.deepEqual(
      [status?.Slave_IO_Running, status?.Slave_SQL_Running, Number(status?.SQL_Delay)],
      ['Yes', 'Yes', DELAY_S],
    )
    const ahead = await count(firstDatabase)
    assert((await count(secondDatabase)) < ahead)
    await eventually(async () => assert((await count(secondDatabase)) >= ahead), 60_000)
  })

  it('does not take over while the first one answers', async () => {
    await assert.rejects(promote(second, 'first'), FirstSiteLives)
    assert.equal((await mirrorStates(second)).length, 4)
  })

  it('takes over when the first one is lost in full flow, from mirrors that are behind differently', async () => {
    // Received over there, and held back when the site is lost.
    await writeHeldBack(firstDatabase)
    lostAtMs = performance.now()
    await Promise.all([firstBus.kill(), firstDatabase.kill()])
    await firstMesh.stop()
    await load.stop()
    // The bus of the second site starts without the first one.
    await second.close()
    await secondBus.stop()
    secondBus = await startNatsServer({ ...secondNats(), extraConfig: 'server_name: second' })
    second = await connectNats(secondBus.url, 'second')

    await detachMirrors(second)
    const { streams } = await jetstreamManager(second)
    const { state } = await streams.info('ACCOUNTS')
    for (let behind = 0; behind < BEHIND; behind++) await streams.deleteMessage('ACCOUNTS', state.last_seq - behind)
    const { removed } = await promote(second, 'first')
    assert((removed.EVENTS ?? 0) > 0, `frames of what is lost: ${JSON.stringify(removed)}`)
    assert.deepEqual((await cutStreams(second)).removed, {}, 'nothing is left to be removed')

    const { commands } = await takeOverDatabase(pool, second, { replicas: 1 })
    assert(commands > 0)
    const [held] = await pool.query<Row[]>('SELECT n FROM held_back')
    assert.deepEqual(
      held.map(({ n }) => n),
      [1],
    )
    const again = await takeOverDatabase(pool, second, { replicas: 1 })
    assert.equal(again.historyDropped, false, 'nothing is dropped twice')
  })

  it('goes on there: what was accepted a moment before the loss is there, new orders are, and the books are in order', async () => {
    const mesh = await startMesh({ natsUrl: secondBus.url, mysqlUrl: secondDatabase.url, env: ENV })
    stack.use(mesh)
    const nats = await connectTo(mesh)
    stack.defer(() => nats.close())
    const fresh = await SteadyLoad.start(nats, new Client(mesh.urls), mesh.admin, PER_SECOND, 'fresh')
    await sleep(3_000)
    await fresh.stop()
    assert.deepEqual(fresh.failures(), [])
    const { accepted } = await fresh.check(mesh)
    assert(accepted > 30, `${accepted} orders were accepted`)

    const [rows] = await pool.query<Row[]>('SELECT client_order_id FROM orders')
    const stored = new Set(rows.map((row) => String(row.client_order_id)))
    const before = load.answered.filter(({ what, status }) => what === 'order' && status === 201)
    const lost = before.filter(({ clientOrderId = '' }) => !stored.has(clientOrderId))
    const oldestLostMs = Math.max(0, ...lost.map(({ answeredAtMs }) => lostAtMs - answeredAtMs))
    console.log(
      `      ${before.length - lost.length} of ${before.length} orders came along; the oldest one lost was ${Math.round(oldestLostMs)} ms old`,
    )
    assert(before.length - lost.length > 50)
    // What was taken from the mirror is less than a second's worth, and everything after it goes with it.
    assert(oldestLostMs < 10_000, `${oldestLostMs} ms`)
    const { difference } = await auditMesh({ natsUrl: mesh.natsUrl, mysqlUrl: mesh.mysqlUrl, rate: 0, waitMs: 10_000 })
    assert.equal(difference, undefined)
  })

  const secondNats = () => ({ directory: join(scratch, 'second-nats'), domain: 'second', syncInterval: '2m' })

  async function writeHeldBack(database: MariadbServer): Promise<void> {
    const one = createPool(database.url, { connectionsMax: 1 })
    try {
      await one.query('CREATE TABLE held_back (n INT)')
      await one.query('INSERT INTO held_back VALUES (1)')
      const [[written]] = await one.query<Row[]>('SELECT @@gtid_binlog_pos AS gtid')
      await eventually(async () => {
        const [[status]] = await pool.query<Row[]>('SHOW SLAVE STATUS')
        const [reached, wanted] = [status?.Gtid_IO_Pos, written?.gtid].map((gtid) => Number(String(gtid).split('-')[2]))
        assert((reached ?? 0) >= (wanted ?? 0))
      })
    } finally {
      await one.end()
    }
  }

  async function count(database: MariadbServer): Promise<number> {
    const one = createPool(database.url, { connectionsMax: 1 })
    try {
      const [rows] = await one.query<Row[]>('SELECT COUNT(*) AS n FROM orders')
      return Number(rows[0]?.n)
    } catch {
      return 0
    } finally {
      await one.end()
    }
  }
})

const leafOf = (port: number): string => `leafnodes { remotes: [{ url: "nats-leaf://${loopback}:${port}" }] }`
