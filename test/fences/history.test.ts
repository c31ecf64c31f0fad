import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { aptInstall, canApt } from '#launcher/servers/apt.ts'
import { OwnedProcess } from '#launcher/servers/child-process.ts'
import { freePort } from '#launcher/servers/ports.ts'
import { haltedSlots } from '#mesh/machine/halts.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { signal } from '../support/supervised.ts'
import { assertBrief, Ground, healthOf, patiently } from './support/ground.ts'

/** Rules of another version, a bus that has forgotten, clocks that jump: nobody takes another past for the true one. */
describe('fences around the past', function () {
  this.timeout(400_000)
  let ground: Ground

  before(async () => {
    ground = await Ground.start(['gateway', 'guid', 'accounts', 'engine', 'orders'], 6)
  })
  after(() => ground?.[Symbol.asyncDispose]())
  beforeEach(() => ground.untilWhole())
  const everything = (): readonly string[] => ground.crowd.parts

  describe('two code versions', () => {
    let other: OwnedProcess

    it('one that makes something else of the log keeps out of it, and says so; the others go on', async () => {
      await ground.whileTrading(everything, () => sleep(500))
      other = await otherEngine()
      const pause = await ground.whileTrading(everything, async () => {
        ground.supervised.adopt('engine-9', other)
        other.spawn()
        ground.supervised.lookAfter('engine-9')
        await patiently(async () => assert.match(await healthOf(other), /"detail":"differs"/))
        await sleep(2_000)
      })
      assertBrief(pause)
      assert.deepEqual(await haltedSlots(ground.crowd.nats), [])
    })

    it('left alone, it halts its slots; with the right version back and the slots cleared all goes on', async () => {
      const engines = ['engine', 'engine-2']
      for (const name of engines) {
        ground.supervised.leaveAlone(name)
        await ground.supervised.process(name).kill()
      }
      await patiently(async () => {
        const halted = await haltedSlots(ground.crowd.nats)
        assert.deepEqual([halted.length, ...new Set(halted.map(({ code }) => code))], [3, 'replay_differs'])
      })
      ground.crowd.start()
      await patiently(() => assert((ground.crowd.answers.get('POST /order 503 slot_halted') ?? 0) > 0))
      ground.supervised.leaveAlone('engine-9')
      await other.kill()
      for (const name of engines) {
        await ground.supervised.process(name).start()
        ground.supervised.lookAfter(name)
      }
      for (const { slot } of await haltedSlots(ground.crowd.nats)) await ground.clearSlot('engine', slot)
      // One after the other they start anew.
      await sleep(8_000)
      await ground.untilWhole()
      await sleep(1_000)
      await ground.crowd.stop()
      await ground.judge()
    })
  })

  describe('a bus that has lost its tail', () => {
    let backup: string
    before(() => {
      backup = mkdtempSync(join(tmpdir(), 'exchange-backup-'))
    })
    after(() => rmSync(backup, { recursive: true, force: true }))

    it('while its readers run on: every slot halts before it says anything; with the tail back all is as before', async () => {
      const store = await natsStore()
      await whileNatsIsDown(() => cpSync(store, join(backup, 'old'), { recursive: true }))
      await ground.untilWhole()
      await ground.whileTrading(everything, () => sleep(1_000))

      await whileNatsIsDown(() => {
        renameSync(store, join(backup, 'true'))
        cpSync(join(backup, 'old'), store, { recursive: true })
      })
      await patiently(async () => {
        const halted = await haltedSlots(ground.crowd.nats)
        assert.deepEqual([...new Set(halted.map(({ code }) => code))], ['log_went_backwards'])
        for (const { reason } of halted) assert.match(reason, /Restore it/)
      })
      const before = new Map(ground.crowd.answers)
      ground.crowd.start()
      await sleep(4_000)
      const told = (answer: string): number => (ground.crowd.answers.get(answer) ?? 0) - (before.get(answer) ?? 0)
      assert.equal(told('POST /order 201'), 0)
      assert(told('POST /order 503 slot_halted') > 0, [...ground.crowd.answers].join(' '))

      await whileNatsIsDown(() => {
        rmSync(store, { recursive: true })
        renameSync(join(backup, 'true'), store)
      })
      // What was halted stands in the bus that is gone again: there is nothing to clear.
      assert.deepEqual(await haltedSlots(ground.crowd.nats), [])
      await sleep(8_000)
      await ground.untilWhole()
      await sleep(1_000)
      await ground.crowd.stop()
      await ground.judge()
    })

    it('a whole bus from a backup, everything started anew: MySQL knows better, and says so', async () => {
      const store = await natsStore()
      const services = [...ground.supervised.processes.keys()].filter((name) =>
        /^(accounts|engine|orders|guid)(-2)?$/.test(name),
      )
      for (const name of services) {
        ground.supervised.leaveAlone(name)
        await ground.supervised.process(name).kill()
      }
      await whileNatsIsDown(() => {
        renameSync(store, join(backup, 'true'))
        cpSync(join(backup, 'old'), store, { recursive: true })
      })
      for (const name of services) {
        ground.supervised.process(name).spawn()
        ground.supervised.lookAfter(name)
      }
      await patiently(async () => {
        const halted = (await haltedSlots(ground.crowd.nats)).map(({ log, slot, code }) => `${log}.${slot} ${code}`)
        assert.deepEqual(
          halted,
          [0, 1, 2, 3].map((slot) => `accounts.${slot} log_went_backwards`),
        )
      })
      const orders = ['orders', 'orders-2'].map((name) => healthOf(ground.supervised.process(name)))
      assert.match((await Promise.all(orders)).join(), /log_went_backwards/)
      const before = new Map(ground.crowd.answers)
      ground.crowd.start()
      await sleep(3_000)
      await ground.crowd.stop()
      const told = (answer: string): number => (ground.crowd.answers.get(answer) ?? 0) - (before.get(answer) ?? 0)
      assert.equal(told('POST /order 201'), 0)
      assert(told('POST /order 503 slot_halted') > 0)
      for (const name of services) {
        ground.supervised.leaveAlone(name)
        await ground.supervised.process(name).kill()
      }
      await whileNatsIsDown(() => {
        rmSync(store, { recursive: true })
        renameSync(join(backup, 'true'), store)
      })
      for (const name of services) {
        ground.supervised.process(name).spawn()
        ground.supervised.lookAfter(name)
      }
      await ground.untilWhole()
      assert.deepEqual(await haltedSlots(ground.crowd.nats), [])
      await ground.whileTrading(everything, () => sleep(500))
    })
  })

  it('clocks that jump: an hour ahead, an hour back, each time in one of two instances', async function () {
    const library = await fakeTime()
    if (library === undefined) {
      console.log('      skipped: there is no libfaketime, and it cannot be installed here')
      return this.skip()
    }
    const clock = join(mkdtempSync(join(tmpdir(), 'exchange-clock-')), 'offset')
    writeFileSync(clock, '+0')
    const jumping = ['gateway-2', 'guid-2', 'accounts-2', 'engine-2', 'orders-2']
    for (const name of jumping) {
      const owned = ground.supervised.process(name)
      Object.assign(owned.spec.env ?? {}, {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        DONT_FAKE_MONOTONIC: '1',
      })
      signal(owned, 'SIGKILL')
      await sleep(500)
      await ground.untilWhole()
    }
    const pause = await ground.whileTrading(everything, async () => {
      for (const offset of ['+3600', '-3600', '+0']) {
        writeFileSync(clock, offset)
        await sleep(1_500)
      }
    })
    rmSync(dirname(clock), { recursive: true })
    assertBrief(pause)
    assert.deepEqual(await haltedSlots(ground.crowd.nats), [])
  })

  it('and the audit finds nothing wrong after all of it', async () => {
    const { natsUrl, mysqlUrl } = ground.supervised.mesh
    const { difference } = await auditMesh({ natsUrl, mysqlUrl, rate: 0, waitMs: 10_000 })
    assert.equal(difference, undefined, `${difference?.check} ${difference?.slot} ${difference?.message}`)
  })

  /** Not started yet. */
  async function otherEngine(): Promise<OwnedProcess> {
    const { spec } = ground.supervised.process('engine-2')
    const port = String(await freePort())
    assert('file' in spec.output)
    return new OwnedProcess({
      ...spec,
      name: 'engine-9',
      args: [join(import.meta.dirname, 'fixtures/other-engine.ts')],
      env: { ...spec.env, INSTANCE_ID: 'engine-9', HEALTH_PORT: port },
      output: { file: join(dirname(spec.output.file), 'engine-9.log') },
      isReady: () =>
        fetch(`http://127.0.0.1:${port}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
    })
  }

  /** Where nats-server keeps its streams. */
  async function natsStore(): Promise<string> {
    const [, config = ''] = ground.supervised.process('nats').spec.args
    const store = join(dirname(config), 'data')
    assert(existsSync(store) && readdirSync(store).length > 0, store)
    return store
  }

  async function whileNatsIsDown(change: () => void): Promise<void> {
    const nats = ground.supervised.process('nats')
    ground.supervised.leaveAlone('nats')
    await nats.kill()
    change()
    await nats.start()
    ground.supervised.lookAfter('nats')
  }
})

/** Debian's libfaketime, for processes that ask the C library for the time. */
async function fakeTime(): Promise<string | undefined> {
  const find = (): string | undefined =>
    ['x86_64-linux-gnu', 'aarch64-linux-gnu']
      .map((triple) => `/usr/lib/${triple}/faketime/libfaketime.so.1`)
      .find((path) => existsSync(path))
  if (find() === undefined && canApt()) await aptInstall([['libfaketime']], () => {}).catch(() => {})
  return find()
}
