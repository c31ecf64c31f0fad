import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import { Objm } from '@nats-io/obj'
import { readSnapshotFile } from '#mesh/machine/snapshots/file.ts'
import { callRpc } from '#mesh/rpc.ts'
import { Log, SNAPSHOTS_STORE, slotSnapshotSubject } from '#mesh/subjects.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { eventually } from './support/eventually.ts'
import { SHAPE, TestMachines } from './support/machines.ts'

interface Taken {
  readonly name: string
  readonly sequence: number
}

interface ShownSnapshots {
  readonly [slot: string]: {
    readonly last?: { readonly name: string }
    readonly skipped?: { name: string; code: string }[]
  }
}

const SLOTS: readonly (readonly [Log, number])[] = [
  [Log.definitions, 0],
  ...[0, 1].map((slot) => [Log.accounts, slot] as const),
  ...[0, 1].map((slot) => [Log.markets, slot] as const),
]

/** Accounts and engine as processes on a real bus: killed, and back from their snapshots. */
describe('snapshots', function () {
  this.timeout(120_000)
  let machines: TestMachines

  before(async () => {
    machines = await TestMachines.start()
    await machines.trade(300)
  })
  after(async () => machines[Symbol.asyncDispose]())

  const take = (log: Log, slot: number, waitMs = 60_000): Promise<Taken> =>
    callRpc<Taken>(machines.nats, slotSnapshotSubject(log, slot), {}, waitMs)
  const shown = async (name: 'accounts' | 'engine'): Promise<ShownSnapshots> => {
    const { checks } = await machines.health(name)
    return checks[`snapshots ${name === 'engine' ? Log.markets : Log.accounts}`]?.detail as ShownSnapshots
  }
  const files = (): string[] => readdirSync(machines.snapshotDirectory).sort()
  const pathOf = (name: string): string => join(machines.snapshotDirectory, `${name}.snapshot`)
  const damage = (name: string): void => {
    const bytes = readFileSync(pathOf(name))
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    writeFileSync(pathOf(name), bytes)
  }
  const objects = () => new Objm(jetstream(machines.nats)).open(SNAPSHOTS_STORE)
  /** kill -9 of both; what they answer afterwards must be what they answered before. */
  const restartAndCompare = async (): Promise<void> => {
    const before = await machines.reads()
    await machines.restart('accounts', 'engine')
    assert.deepEqual(await machines.reads(), before)
  }

  it('are taken on request; processes that were killed go on from them', async () => {
    for (const [log, slot] of SLOTS) {
      const { name } = await take(log, slot)
      const { header } = await readSnapshotFile(pathOf(name))
      assert.deepEqual([header.log, header.slot], [log, slot])
    }
    const again = take(Log.definitions, 0)
    await assert.rejects(again, { code: 'snapshot_nothing_new' })
    await machines.trade(300)
    await restartAndCompare()
    for (const service of ['accounts', 'engine'] as const) {
      for (const slot of [0, 1]) assert.match((await shown(service))[slot]?.last?.name ?? '', /\.s[0-9]+\.i[0-9]+$/)
      const recovered = machines.logged(service).filter(({ msg }) => msg === 'slot recovered from its log')
      assert(recovered.slice(-2).every(({ snapshot }) => typeof snapshot === 'string'))
    }
    await machines.trade(100)
  })

  it('are kept, the newest two of each slot, as files and in the object store', async () => {
    const taken: Taken[] = []
    for (let round = 0; round < 3; round++) {
      await machines.trade(60)
      taken.push(await take(Log.accounts, 1))
    }
    const kept = taken.slice(1).map(({ name }) => name)
    assert.deepEqual(
      files().filter((file) => file.startsWith('accounts-1.')),
      kept.map((name) => `${name}.snapshot`).sort(),
    )
    const stored = (await (await objects()).list()).map(({ name }) => name)
    assert.deepEqual(stored.filter((name) => name.startsWith('accounts-1.')).sort(), [...kept].sort())
  })

  it('are fetched from the object store where the file is damaged or missing', async () => {
    await machines.trade(60)
    const [first, second] = [await take(Log.accounts, 0), await take(Log.markets, 0)]
    damage(first.name)
    rmSync(pathOf(second.name))
    await restartAndCompare()
    assert.equal((await shown('accounts'))[0]?.last?.name, first.name)
    assert.equal((await shown('engine'))[0]?.last?.name, second.name)
    await readSnapshotFile(pathOf(first.name))
  })

  it('are passed over, and shown, where they are broken everywhere: the one before is used', async () => {
    const before = await take(Log.accounts, 0).catch(() => undefined)
    await machines.trade(60)
    const { name } = await take(Log.accounts, 0)
    damage(name)
    const store = await objects()
    await store.putBlob({ name }, readFileSync(pathOf(name)))
    await restartAndCompare()
    const { last, skipped = [] } = (await shown('accounts'))[0] ?? {}
    assert.deepEqual(skipped, [{ name, code: 'snapshot_damaged' }])
    assert(last !== undefined && last.name !== name && (before === undefined || last.name === before.name))
    assert(machines.logged('accounts').some(({ msg, level }) => msg === 'a snapshot is passed over' && level === 50))
    // The next one begins with the good one, and pushes the broken one out in time.
    await machines.trade(30)
    await take(Log.accounts, 0)
    await machines.trade(30)
    await take(Log.accounts, 0)
    assert(!files().includes(`${name}.snapshot`))
  })

  it('are whole or not there when the process is killed while it writes one', async () => {
    for (let round = 0; round < 3; round++) {
      await machines.trade(40)
      const before = await machines.reads()
      const seen = Promise.withResolvers<void>()
      const watcher = watch(machines.snapshotDirectory, (_event, file) => {
        if (file?.endsWith('.part')) seen.resolve()
      })
      // The process dies before it answers.
      const asked = assert.rejects(take(Log.accounts, round % 2, 10_000))
      await seen.promise
      watcher.close()
      await machines.process('accounts').kill()
      for (const file of files()) {
        if (file.endsWith('.snapshot')) await readSnapshotFile(join(machines.snapshotDirectory, file))
      }
      await machines.process('accounts').start()
      assert.deepEqual(await machines.reads(), before)
      await asked
    }
  })

  it('lead to what the audit, from the beginning of the logs, finds right', async () => {
    await machines.trade(50)
    const { difference, logs } = await auditMesh({ natsUrl: machines.bus.url, rate: 0, waitMs: 10_000 })
    assert.equal(difference, undefined)
    assert(logs.items > 1_000)
    assert.equal(SHAPE.accountSlots, 2)
  })
})

describe('snapshots that nobody asks for', function () {
  this.timeout(120_000)

  it('are taken of every slot in its turn, with a rest between two', async () => {
    await using machines = await TestMachines.start({ SNAPSHOT_ITEMS: '50' })
    // In several frames: a snapshot stands before the last one, and where a slot has no other there is none to take.
    for (let round = 0; round < 4; round++) await machines.trade(100)
    await eventually(() => {
      for (const [service, log] of [
        ['accounts', Log.accounts],
        ['engine', Log.markets],
      ] as const) {
        const taken = machines.logged(service).filter(({ msg }) => msg === 'snapshot taken')
        const said = machines.logged(service).filter(({ msg }) => /snapshot/.test(String(msg)))
        for (const slot of [0, 1])
          assert(
            taken.some((one) => one.slot === `${log}-${slot}`),
            JSON.stringify(said),
          )
        const [first, second] = taken
        const restMs = Number(second?.time) - Number(second?.ms) - Number(first?.time)
        assert(restMs > 10 * Number(first?.ms), `${restMs} ms after one of ${String(first?.ms)} ms`)
      }
    }, 100_000)
  })

  it('are left by a recovery that had much to replay, for the next one', async () => {
    await using machines = await TestMachines.start()
    await machines.trade(400)
    const before = await machines.reads()
    const logged = (what: string, service: 'accounts' | 'engine') =>
      machines.logged(service).filter(({ msg, slot }) => msg === what && !String(slot).startsWith('definitions'))
    for (const service of ['accounts', 'engine'] as const) {
      const { env } = machines.process(service).spec
      assert(env !== undefined)
      env.SNAPSHOT_ITEMS = '20'
    }
    await machines.restart('accounts', 'engine')
    assert.deepEqual(await machines.reads(), before)
    await machines.restart('accounts', 'engine')
    assert.deepEqual(await machines.reads(), before)
    for (const service of ['accounts', 'engine'] as const) {
      const taken = logged('snapshot taken', service)
      const recovered = logged('slot recovered from its log', service)
      const slots = recovered.slice(-2).map(({ slot, snapshot }) => [slot, snapshot])
      assert.deepEqual(taken.map(({ slot, name }) => [slot, name]).sort(), slots.sort())
    }
    const { difference } = await auditMesh({ natsUrl: machines.bus.url, rate: 0, waitMs: 10_000 })
    assert.equal(difference, undefined)
  })
})
