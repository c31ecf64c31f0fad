import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { startMariadbServer } from '#launcher/servers/mariadb.ts'
import { startNatsServer } from '#launcher/servers/nats.ts'
import { healWhenThereIsRoom } from '#launcher/servers/nats-heal.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { createStore } from '#mesh/store.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { connectTo, startMesh } from './support/mesh.ts'
import { SteadyLoad } from './support/steady-load.ts'

const MB = 1024 ** 2
const ENV = { PASSWORD_COST_LOG2: '10', RATE_TRADE: '1000:1000', RATE_READ: '1000:1000' }

describe('disks', function () {
  this.timeout(180_000)

  it('a store that is nearly full takes no new orders, but cancels, and heals by itself', async () => {
    await using stack = new AsyncDisposableStack()
    const bus = await startNats({ fileBytesMax: 100 * MB })
    stack.defer(() => bus.stop())
    const env = { ...ENV, NATS_MONITOR_URL: bus.monitorUrl, DISK_FREE_MB_MIN: '60' }
    const mesh = stack.use(await startMesh({ natsUrl: bus.url, env }))
    const nats = await connectTo(mesh)
    stack.defer(() => nats.close())
    const anyone = new Client(mesh.urls)
    const admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
    const [{ memberId, accessToken } = assert.fail('there is a member')] = await seedMembers(nats, { count: 1 })
    const member = anyone.as(accessToken)
    const gift = { reference: 'gift', memberId: String(memberId), asset: 'USDT', amount: '1000' }
    await admin.ok('POST', '/admin/deposits', gift)
    const order = { instrument: 'BTC-USDT', side: 'buy', price: '100', amount: '1' }
    const { id } = await member.ok('POST', '/order', order)

    const { streams } = await jetstreamManager(nats)
    await streams.add({ name: 'FILLER', subjects: ['filler'] })
    const store = createStore(nats)
    for (let count = 0; count < 50; count++) await store.append('filler', 'x'.repeat(MB))
    const refused = await eventually(() => member.refused([503, 'disk_full'], 'POST', '/order', 'not JSON'))
    assert.equal(refused.headers.get('retry-after'), '1')
    assert.equal((await member.ok('DELETE', `/order/${id}`)).status, 'cancelled')
    assert.equal((await member.ok('GET', '/accounts')).accounts[0].available, '1000')

    await streams.delete('FILLER')
    await eventually(() => member.ok('POST', '/order', order))
  })

  it('a disk that is really full loses nothing that was acknowledged, and it goes on when there is room', async function () {
    const scratch = mkdtempSync(join(tmpdir(), 'exchange-full-'))
    const disk = join(scratch, 'disk')
    mkdirSync(disk)
    if (!mountSmallDisk(disk)) {
      rmSync(scratch, { recursive: true })
      console.log('      SKIPPED: a small disk cannot be mounted here; that needs root on Linux')
      return this.skip()
    }
    await using stack = new AsyncDisposableStack()
    stack.defer(() => {
      execFileSync('umount', ['--lazy', disk])
      rmSync(scratch, { recursive: true, force: true })
    })
    const [bus, mariadb] = await Promise.all([
      startNatsServer({ directory: join(disk, 'nats'), log: join(scratch, 'nats.log'), syncInterval: '2m' }),
      startMariadbServer({ directory: join(disk, 'mariadb'), user: 'root', logFileSize: '16M' }),
    ])
    stack.defer(() => Promise.all([bus.kill(), mariadb.kill()]).then(() => {}))
    const mesh = stack.use(
      await startMesh({ natsUrl: bus.url, mysqlUrl: mariadb.url, env: { ...ENV, DISK_FREE_MB_MIN: '0' } }),
    )
    const nats = await connectTo(mesh)
    stack.defer(() => nats.close())
    const load = await SteadyLoad.start(nats, new Client(mesh.urls), mesh.admin, 40)
    stack.defer(() => load.stop())
    await sleep(1_000)

    const filler = join(disk, 'filler')
    writeFileSync(filler, Buffer.alloc(Math.max(0, roomIn(disk) - 64 * 1024)))
    await eventually(() => {
      const failed = load.answered.filter(({ what, status }) => what === 'order' && status >= 500)
      assert(failed.length > 20, `${failed.length} orders were refused`)
    }, 60_000)
    rmSync(filler)
    // As the launcher does it.
    const said: string[] = []
    stack.defer(healWhenThereIsRoom(bus, disk, (line) => said.push(line)))
    await bus.exited
    assert.match(said.join(), /there is room again/)
    await bus.start()

    const healedAtMs = performance.now()
    await eventually(() => {
      const taken = load.answered.filter(({ status, sentAtMs }) => status === 201 && sentAtMs > healedAtMs)
      assert(taken.length > 20, `${taken.length} orders were taken since; ${load.failures().join('; ')}`)
    }, 60_000)
    await load.stop()
    const { accepted } = await load.check(mesh)
    assert(accepted > 50, `${accepted} orders were accepted`)
  })
})

function mountSmallDisk(directory: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400m', 'none', directory], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function roomIn(directory: string): number {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize
}
