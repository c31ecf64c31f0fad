import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { encodeFrame, FRAME_VERSION } from '#mesh/frames.ts'
import { connectNats } from '#mesh/service.ts'
import { createStore } from '#mesh/store.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { framesSubject, Log } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { type Feed, feedPositions, runFeed } from './feed.ts'

const SLOTS = 2
const UNTIL_MS_MAX = 15_000

describe('a feed of results, on a real nats-server', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection
  let manager: JetStreamManager
  let feeds: Feed[]
  let names = 0
  let name: string

  before(async () => {
    server = await startNats({ syncInterval: 'always' })
    nats = await connectNats(server.url, 'test')
    await ensureStreams(nats, { accountSlots: SLOTS, marketSlots: 1 })
    manager = await jetstreamManager(nats)
  })
  after(async () => {
    await nats.close()
    await server.stop()
  })
  beforeEach(async () => {
    await manager.streams.purge('EVENTS')
    feeds = []
    name = `test-${++names}`
  })
  afterEach(() => Promise.all(feeds.map((feed) => feed.stop())))

  /** Frames of a slot, whose hashes are their numbers; every third has something to tell. */
  const write = async (slot: number, from: number, count: number): Promise<void> => {
    const store = createStore(nats)
    for (let n = from; n < from + count; n++) {
      const header = {
        inFrom: [n, 0],
        inTo: [n, 0],
        complete: true,
        hash: n,
        timeUs: n,
        version: FRAME_VERSION,
      } as const
      await store.append(framesSubject(Log.accounts, slot), encodeFrame(header, n % 3 === 0 ? [`{"told":${n}}`] : []))
    }
  }
  const toldIn = (frame: Uint8Array): number | undefined => {
    const line = Buffer.from(frame).toString().split('\n')[1]
    return line === undefined ? undefined : JSON.parse(line).told
  }
  /** Keeps what it is handed, by slot. */
  const start = async (
    instanceId: string,
    told: Map<number, number[]>,
    confirm: (n: number) => Promise<void> = () => sleep(1),
  ): Promise<Feed> => {
    const feed = await runFeed({
      bus: nats,
      log: pino({ level: 'silent' }),
      instanceId,
      name,
      source: Log.accounts,
      slots: SLOTS,
      handle: (slot, frame) => {
        const n = toldIn(frame)
        if (n === undefined) return undefined
        told.set(slot, [...(told.get(slot) ?? []), n])
        return confirm(n)
      },
    })
    feeds.push(feed)
    return feed
  }
  const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
    const deadlineMs = performance.now() + UNTIL_MS_MAX
    while (!(await holds())) {
      assert(performance.now() < deadlineMs, `not in time: ${holds}`)
      await sleep(20)
    }
  }
  const numbers = (count: number, from = 0): number[] =>
    Array.from({ length: count }, (_, index) => from + index).filter((n) => n % 3 === 0)

  it('hands on everything in order, and goes on after the stored position', async () => {
    const first = new Map<number, number[]>()
    await write(0, 0, 30)
    await write(1, 0, 9)
    const feed = await start('a', first)
    await until(() => first.get(0)?.length === 10 && first.get(1)?.length === 3)
    await write(0, 30, 6)
    await until(() => first.get(0)?.length === 12)
    assert.deepEqual(first.get(0), numbers(36))
    await feed.stop()

    await write(0, 36, 6)
    const second = new Map<number, number[]>()
    await start('b', second)
    await until(() => second.get(0)?.at(-1) === 39)
    assert.deepEqual(second.get(0), numbers(6, 36))
    assert.equal(second.get(1), undefined)
  })

  it('hands on again what was not confirmed, in order, and nothing before it', async () => {
    const told = new Map<number, number[]>()
    let isAway = false
    const feed = await start('a', told, async (n) => {
      await sleep(1)
      if (isAway && n >= 60) throw new Error('the broker is away')
    })
    await write(0, 0, 60)
    await until(() => told.get(0)?.at(-1) === 57)
    isAway = true
    await write(0, 60, 30)
    await until(() => feed.faults()[0] === 'internal_error')
    isAway = false
    await until(() => told.get(0)?.at(-1) === 87 && feed.faults()[0] === undefined)
    const all = told.get(0) ?? []
    assert.deepEqual(all.slice(0, 20), numbers(60))
    const again = all.slice(20)
    assert.deepEqual(
      [...new Set(again)].sort((a, b) => a - b),
      numbers(30, 60),
    )
    assert.deepEqual(again.slice(-10), numbers(30, 60))
  })

  it('stores no position beyond what is confirmed', async () => {
    const told = new Map<number, number[]>()
    let confirmFirst: () => void = () => {}
    const first = new Promise<void>((resolve) => {
      confirmFirst = resolve
    })
    const feed = await start('a', told, (n) => (n === 0 ? first : Promise.resolve()))
    await write(0, 0, 12)
    await until(() => told.get(0)?.length === 4)
    await sleep(600)
    const positions = async () =>
      (await manager.streams.info('KV_feeds', { subjects_filter: `$KV.feeds.${name}.0` })).state.subjects
    assert.deepEqual(await positions(), undefined)
    confirmFirst()
    await until(async () => (await positions()) !== undefined)
    await feed.stop()
  })

  it('is shared by two instances, and taken over from one that stops', async () => {
    const [a, b] = [new Map<number, number[]>(), new Map<number, number[]>()]
    const first = await start('a', a)
    await start('b', b)
    await write(0, 0, 3)
    await write(1, 0, 3)
    await until(() => (a.get(0) ?? b.get(0)) !== undefined && (a.get(1) ?? b.get(1)) !== undefined)
    // Once both are settled each has one.
    await sleep(2_500)
    await write(0, 3, 3)
    await write(1, 3, 3)
    const last = (told: Map<number, number[]>, slot: number) => told.get(slot)?.at(-1)
    await until(() => [a, b].some((told) => last(told, 0) === 3) && [a, b].some((told) => last(told, 1) === 3))
    const ofA = [0, 1].filter((slot) => last(a, slot) === 3)
    assert.equal(ofA.length, 1)
    await first.stop()
    await write(0, 6, 3)
    await write(1, 6, 3)
    await until(() => last(b, 0) === 6 && last(b, 1) === 6)
  })

  it('refuses a log in which a frame is missing, and tells how far it has come', async () => {
    const told = new Map<number, number[]>()
    const feed = await start('a', told)
    await write(0, 0, 3)
    await until(() => told.get(0)?.length === 1)
    await feed.stop()
    const subject = framesSubject(Log.accounts, 0)
    const last = (await manager.streams.info('EVENTS')).state.last_seq
    assert.deepEqual(
      (await feedPositions(nats)).filter(({ projection }) => projection === name),
      [{ projection: name, slot: 0, frameSequence: last }],
    )
    const store = createStore(nats)
    const frame = (n: number) =>
      encodeFrame({ inFrom: [n, 0], inTo: [n, 0], complete: true, hash: n, timeUs: n, version: FRAME_VERSION }, [
        `{"told":${n}}`,
      ])
    const missing = await store.append(subject, frame(3), last)
    const end = await store.append(subject, frame(4), missing)
    await manager.streams.deleteMessage('EVENTS', missing)
    const again = await start('b', told)
    await until(() => again.faults()[0] === 'frame_missing')
    assert.deepEqual([told.get(0), end], [[0], missing + 1])
  })

  it('refuses a log that is not the one it has read', async () => {
    const told = new Map<number, number[]>()
    const feed = await start('a', told)
    await write(0, 0, 9)
    await until(() => told.get(0)?.length === 3)
    await feed.stop()
    const last = (await manager.streams.info('EVENTS')).state.last_seq
    await manager.streams.delete('EVENTS')
    await ensureStreams(nats, { accountSlots: SLOTS, marketSlots: 1 })
    await write(0, 100, last)
    const again = await start('b', told)
    await until(() => again.faults()[0] === 'log_went_backwards')
    assert.equal(told.get(0)?.length, 3)
  })
})
