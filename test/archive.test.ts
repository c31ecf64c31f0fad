import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { Objm } from '@nats-io/obj'
import { pino } from 'pino'
import { Archive } from '#mesh/archive/archive.ts'
import { archiveStream } from '#mesh/archive/archiver.ts'
import { attachArchive } from '#mesh/archive/attached.ts'
import { type TrimOptions, trimStreams } from '#mesh/archive/trimmer.ts'
import { openBucket } from '#mesh/bus.ts'
import { SnapshotStore } from '#mesh/machine/snapshots/store.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Bucket, EVENTS_STREAM, Log, SNAPSHOTS_STORE, STREAM_OF_LOG, slotSnapshotSubject } from '#mesh/subjects.ts'
import { startMariadb } from '#mesh/testing/servers.ts'
import { type AuditResult, auditMesh } from '#services/audit/audit-mesh.ts'
import { readDefinitions } from '#services/audit/definitions.ts'
import { bookAsOf, memberAsOf } from '#services/audit/views.ts'
import { SHAPE, TestMachines } from './support/machines.ts'

const SLOTS: readonly (readonly [Log, number])[] = [Log.accounts, Log.markets].flatMap((log) =>
  [0, 1].map((slot) => [log, slot] as const),
)
const STREAMS = [...Object.values(STREAM_OF_LOG), EVENTS_STREAM]

/** Logs that were archived and trimmed under processes that run on: whoever needs their beginning reads it from the archive. */
describe('archive and trimming', function () {
  this.timeout(120_000)
  let machines: TestMachines
  let archive: Archive
  let directory: string

  before(async () => {
    machines = await TestMachines.start()
    directory = join(machines.directory, 'archive')
    archive = new Archive(directory)
    for (let round = 0; round < 2; round++) {
      await machines.trade(200)
      for (const [log, slot] of SLOTS) await callRpc(machines.nats, slotSnapshotSubject(log, slot), {}, 60_000)
    }
    await machines.trade(100)
  })
  after(async () => machines[Symbol.asyncDispose]())

  const archiveAll = async (): Promise<void> => {
    const limits = { afterSeconds: 0, segmentBytes: 60_000 }
    for (const stream of STREAMS) await archiveStream(machines.nats, archive, stream, limits)
  }
  const trim = async (options: Partial<TrimOptions> = {}): Promise<number> => {
    const logger = pino({ level: 'silent' })
    const { nats, snapshotDirectory } = machines
    const store = await SnapshotStore.open({ directory: snapshotDirectory, nats, replicas: 1, logger })
    let removed = 0
    await trimStreams({
      nats,
      archive,
      afterSeconds: 0,
      oldestSnapshot: async (log, slot) => (await store.listStored(log, slot)).at(-1)?.sequence,
      projections: async () => [],
      onTrimmed: (_subject, _limit, count) => {
        removed += count
      },
      ...options,
    })
    return removed
  }
  const countOf = async (stream: string): Promise<number> => {
    const { streams } = await jetstreamManager(machines.nats)
    return (await streams.info(stream)).state.messages
  }
  const subjectsOf = async (): Promise<Record<string, number>> => {
    const { streams } = await jetstreamManager(machines.nats)
    const infos = await Promise.all(STREAMS.map((name) => streams.info(name, { subjects_filter: '>' })))
    return Object.assign({}, ...infos.map(({ state }) => state.subjects)) as Record<string, number>
  }
  /** The server forgets a reader that has gone within five minutes; until then nothing is removed that it has not read. */
  const forgetGoneReaders = async (): Promise<void> => {
    const { consumers } = await jetstreamManager(machines.nats)
    for (const stream of STREAMS) {
      for await (const { name, num_pending, num_waiting } of consumers.list(stream)) {
        if (num_pending > 0 && num_waiting === 0) await consumers.delete(stream, name)
      }
    }
  }
  const audit = (archiveDirectory?: string, mysqlUrl?: string): Promise<AuditResult> =>
    auditMesh({ natsUrl: machines.bus.url, rate: 0, waitMs: 15_000, archiveDirectory, mysqlUrl })
  /** What `npm run replay` would print of every member and market, half-way and at the end. */
  const replays = async (archiveDirectory?: string): Promise<unknown> => {
    const nats = await connectNats(machines.bus.url, 'replay')
    if (archiveDirectory !== undefined) attachArchive(nats, archiveDirectory)
    const views: unknown[] = []
    for (const sequence of [40, 1_000_000]) {
      const source = { nats, shape: SHAPE, definitions: await readDefinitions(nats), until: { sequence } }
      for (const memberId of machines.trading.memberIds) {
        views.push((await memberAsOf(source, accountSlotOf(memberId, SHAPE.accountSlots), memberId)).json)
      }
      for (const [slot, name] of [[0, 'BTC-USDT'] as const, [1, 'ETH-USDT'] as const]) {
        views.push((await bookAsOf(source, slot, name, 50)).json)
      }
    }
    await nats.close()
    return views
  }

  it('holds every message of the streams, in segments with hashes that follow each other', async () => {
    await archiveAll()
    for (const stream of STREAMS) {
      const { streams } = await jetstreamManager(machines.nats)
      const { created, state } = await streams.info(stream)
      const entries = await archive.segments(stream, created)
      assert.equal(entries.at(-1)?.to, state.last_seq)
      for (const entry of entries) await archive.check(entry)
      let expected = 1
      for await (const message of archive.read(entries, '>', 1)) {
        const stored = await streams.getMessage(stream, { seq: expected++ })
        assert.deepEqual(
          [message.seq, message.subject, message.string()],
          [stored?.seq, stored?.subject, stored?.string()],
        )
      }
      assert.equal(expected - 1, state.messages)
    }
    const segments = readdirSync(join(directory, 'ACCOUNTS')).filter((name) => name.endsWith('.zst'))
    assert(segments.length > 1, 'there is more than one segment')
    // Nothing new: nothing is added.
    await archiveAll()
    assert.equal(
      readdirSync(join(directory, 'ACCOUNTS')).filter((name) => name.endsWith('.zst')).length,
      segments.length,
    )
  })

  it('removes nothing that a reader, a projection or a snapshot still needs, or that is too young', async () => {
    assert.equal(await trim({ afterSeconds: 3_600 }), 0)
    const frames = await countOf(EVENTS_STREAM)
    assert.equal(await trim({ oldestSnapshot: async () => undefined, projections: async () => behind }), 0)
    assert.equal(await countOf(EVENTS_STREAM), frames)
    const { consumers } = await jetstreamManager(machines.nats)
    for (const stream of STREAMS) {
      await consumers.add(stream, { durable_name: 'slow', ack_policy: 'none', deliver_policy: 'all' })
    }
    assert.equal(await trim(), 0)
    for (const stream of STREAMS) await consumers.delete(stream, 'slow')
  })
  const behind = [0, 1].map((slot) => ({ projection: 'orders', slot, frameSequence: 0 }))

  it('removes nothing where the archive is damaged', async () => {
    const [file = ''] = readdirSync(join(directory, 'ACCOUNTS')).filter((name) => name.endsWith('.zst'))
    const path = join(directory, 'ACCOUNTS', file)
    const whole = readFileSync(path)
    writeFileSync(path, whole.subarray(0, -1))
    await assert.rejects(trim({ archive: new Archive(directory) }), { code: 'archive_damaged' })
    writeFileSync(path, whole)
    assert.equal((await audit()).difference, undefined)
  })

  it('removes what nobody needs; audit, replay, reads and a restart give the same', async () => {
    const [before, views, reads, subjects] = [
      await audit(),
      await replays(),
      await machines.reads(),
      await subjectsOf(),
    ]
    const counts = await Promise.all(STREAMS.map(countOf))
    await forgetGoneReaders()
    const removed = await trim()
    const countsNow = await Promise.all(STREAMS.map(countOf))
    assert.equal(counts.reduce((a, b) => a + b, 0) - countsNow.reduce((a, b) => a + b, 0), removed)
    for (const [index, stream] of STREAMS.entries()) {
      const [was = 0, is = 0] = [counts[index], countsNow[index]]
      if (stream === STREAM_OF_LOG.definitions) assert.equal(is, was)
      else assert(is < was, `${is} of ${was} messages are left in ${stream}`)
    }
    assert.deepEqual(
      Object.keys(await subjectsOf()).sort(),
      Object.keys(subjects).sort(),
      'each subject has its last message',
    )

    const after = await audit(directory)
    assert.equal(after.difference, undefined)
    assert.deepEqual(after.logs, before.logs)
    assert.deepEqual(after.assets, before.assets)
    assert.match((await audit()).difference?.check ?? '', /^(input_missing|frame_missing|pair_gap)$/)
    assert.deepEqual(await replays(directory), views)

    assert.deepEqual(await machines.reads(), reads)
    await machines.restart('accounts', 'engine')
    assert.deepEqual(await machines.reads(), reads)
    await machines.trade(100)
    await archiveAll()
    await trim()
    await machines.trade(50)
    assert.equal((await audit(directory)).difference, undefined)
  })

  it('is what MySQL is rebuilt from', async () => {
    const mariadb = await startMariadb()
    try {
      await machines.add('orders', 'orders', { MYSQL_URL: mariadb.url, ARCHIVE_DIR: directory })
      const { difference, rows } = await audit(directory, mariadb.url)
      assert.equal(difference, undefined)
      assert((rows?.orders ?? 0) > 200)
    } finally {
      await machines.process('orders').kill()
      await mariadb.stop()
    }
  })

  it('is kept and the streams trimmed by the service, when and as far as it is told', async () => {
    for (let round = 0; round < 2; round++) {
      await machines.trade(60)
      for (const [log, slot] of SLOTS) await callRpc(machines.nats, slotSnapshotSubject(log, slot), {}, 60_000)
    }
    const { streams } = await jetstreamManager(machines.nats)
    const last = (await streams.info('ACCOUNTS')).state.last_seq
    const before = await countOf('ACCOUNTS')
    await machines.add('archive', 'archive', {
      ARCHIVE_DIR: directory,
      ARCHIVE_EVERY_SECONDS: '1',
      ARCHIVE_AFTER_SECONDS: '0',
      TRIM_STREAMS: 'on',
      TRIM_AFTER_SECONDS: '0',
    })
    while (!machines.logged('archive').some(({ msg, subject }) => msg === 'trimmed' && subject !== EVENTS_STREAM)) {
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    assert((await countOf('ACCOUNTS')) < before)
    const { created } = await streams.info('ACCOUNTS')
    assert(((await archive.segments('ACCOUNTS', created)).at(-1)?.to ?? 0) >= last)
    await machines.process('archive').kill()
    assert.equal((await audit(directory)).difference, undefined)
  })

  it('is what a slot without snapshots recovers from; without an archive it halts and says so', async () => {
    const reads = await machines.reads()
    const objects = await new Objm(jetstream(machines.nats)).open(SNAPSHOTS_STORE)
    for (const { name } of await objects.list()) await objects.delete(name)
    rmSync(machines.snapshotDirectory, { recursive: true })
    await machines.process('accounts').kill()
    await machines.process('accounts').start()
    const { checks } = await machines.health('accounts')
    assert.equal(checks['slot accounts-0']?.detail, 'halted')
    const halts = await openBucket(machines.nats, Bucket.slots)
    assert.equal((await halts.get('accounts.0'))?.json<{ code: string }>().code, 'log_trimmed')
    await machines.process('accounts').kill()
    for (const slot of [0, 1]) await halts.delete(`accounts.${slot}`)
    await machines.add('accounts', 'accounts-with-archive', { ARCHIVE_DIR: directory })
    assert.deepEqual(await machines.reads(), reads)
    await machines.trade(20)
    assert.equal((await audit(directory)).difference, undefined)
  })
})
