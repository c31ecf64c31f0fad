import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { openBucket } from '#mesh/buckets.ts'
import { haltedSlots } from '#mesh/machine/halts.ts'
import { type PairEnd, pairEndOf } from '#mesh/machine/wire.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import { decodeItem } from '#mesh/protocol/compact.ts'
import { createStore, StoreRefused } from '#mesh/store.ts'
import { Bucket, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { signal } from '../support/supervised.ts'
import { assertBrief, Ground, patiently } from './support/ground.ts'
import { SlowConsumer } from './support/slow-consumer.ts'

/** `MYSQL_AWAY_S=300 npm test -- test/fences/fences.test.ts --grep MySQL` has it away for five minutes. */
const MYSQL_AWAY_MS = Number(process.env.MYSQL_AWAY_S ?? 6) * 1_000

/**
 * The rules that keep the exchange right, each against what it protects from, on real processes with members who trade all the
 * time. After each everything that they were told is held against what is there.
 */
describe('fences and alarms, under load', function () {
  /** What an operator has removed from a log: its sequence. */
  let removed = 0
  this.timeout(400_000)
  let ground: Ground
  let manager: JetStreamManager

  const everything = (): readonly string[] => ground.crowd.parts
  before(async () => {
    ground = await Ground.start(['gateway', 'accounts', 'engine', 'orders'], 5)
    manager = await jetstreamManager(ground.crowd.nats)
    await ground.whileTrading(everything, () => sleep(500))
  })
  after(() => ground?.[Symbol.asyncDispose]())
  beforeEach(() => ground.untilWhole())

  for (const service of ['accounts', 'engine'] as const) {
    const part = service === 'accounts' ? 'accounts.0' : 'markets.0'

    it(`${service}: an owner that dies is replaced within two seconds`, async () => {
      let owner = ''
      const pause = await ground.whileTrading(
        () => {
          // Only now: it may have moved while all was calm.
          owner = ground.ownerOf(part)
          return ground.ownedBy(owner)
        },
        async () => {
          const epoch = ground.crowd.owners.epochOf(part)
          signal(ground.supervised.process(owner), 'SIGKILL')
          await patiently(async () => assert(ground.crowd.owners.epochOf(part) > epoch))
        },
      )
      assertBrief(pause)
    })

    it(`${service}: an owner that stood still, and wakes up after it was replaced, follows`, async () => {
      let owner = ''
      const said = ground.logs(service, `${service}-2`)
      const pause = await ground.whileTrading(
        () => {
          // Only now: it may have moved while all was calm.
          owner = ground.ownerOf(part)
          return ground.ownedBy(owner)
        },
        async () => {
          const epoch = ground.crowd.owners.epochOf(part)
          signal(ground.supervised.process(owner), 'SIGSTOP')
          await patiently(async () => assert(ground.crowd.owners.epochOf(part) > epoch))
          await sleep(1_000)
          signal(ground.supervised.process(owner), 'SIGCONT')
          await patiently(async () => assert.match(said(), /slot was taken by another instance/))
          assert.doesNotMatch(said(), /the process gives up/)
        },
      )
      assertBrief(pause)
    })
  }

  it('two owners: a bucket that lies about who owns what', async () => {
    const bucket = await openBucket(ground.crowd.nats, Bucket.leases)
    const pause = await ground.whileTrading(everything, async () => {
      for (const part of ground.crowd.parts) {
        const service = part.startsWith('accounts') ? 'accounts' : 'engine'
        const other = ground.ownerOf(part) === service ? `${service}-2` : `${service}-1`
        // Who is named takes it for his own from before a restart, at once; the true owner has yet to hear of it.
        await bucket.put(
          part,
          JSON.stringify({ instance: other, epoch: ground.crowd.owners.epochOf(part) + 1, state: 'held' }),
        )
      }
      await sleep(3_000)
      await ground.untilWhole()
    })
    assert(pause.ms < 15_000)
  })

  it('commands that come again, much later', async () => {
    await ground.whileTrading(everything, async () => {
      const store = createStore(ground.crowd.nats)
      let again = 0
      for (let slot = 0; slot < 4; slot++) {
        const subject = `accounts.${slot}.cmd`
        for (const text of await firstMessages(subject, 200)) {
          if (!text.split('\n').some(isOfAnOrder)) continue
          await store.append(subject, text)
          again++
        }
      }
      assert(again > 50, `${again} messages came again`)
    })
  })

  it('an old message between two slots that comes again: it is passed over, and its sender sends on', async () => {
    const subject = await busiestPair()
    const sender = ground.ownerOf(partOfSource(subject))
    const said = ground.logs(sender)
    await ground.whileTrading(everything, async () => {
      const [first] = await firstMessages(subject, 1)
      assert(first !== undefined)
      await createStore(ground.crowd.nats).append(subject, first)
      await patiently(async () => assert.match(said(), /has lost its tail; sending it again/))
      await ground.untilWhole()
    })
    assert.deepEqual(await haltedSlots(ground.crowd.nats), [])
  })

  it('nats-server is killed in full flow', async () => {
    const pause = await ground.whileTrading(everything, async () => {
      signal(ground.supervised.process('nats'), 'SIGKILL')
      await sleep(1_000)
      await ground.untilWhole()
    })
    assert(pause.ms < 15_000, `a pause of ${pause.ms} ms`)
  })

  it('MySQL is away: trading goes on, history says so and catches up', async function () {
    this.timeout(MYSQL_AWAY_MS * 2 + 400_000)
    ground.supervised.leaveAlone('mariadb')
    const pause = await ground.whileTrading(everything, async () => {
      signal(ground.supervised.process('mariadb'), 'SIGKILL')
      await sleep(MYSQL_AWAY_MS)
      await ground.supervised.process('mariadb').start()
      ground.supervised.lookAfter('mariadb')
    })
    assertBrief(pause)
    const told = [...pause.answers.keys()].filter((answer) => answer.startsWith('GET /orders 503'))
    if (process.env.MYSQL_AWAY_S) console.log(pause)
    assert.match(told.join(), /projection_behind|database_unavailable/)
  })

  it('Redis is gone: nobody notices', async () => {
    ground.supervised.leaveAlone('redis')
    const said = ground.logs('gateway', 'gateway-2')
    const pause = await ground.whileTrading(everything, async () => {
      signal(ground.supervised.process('redis'), 'SIGKILL')
      await patiently(async () => assert.match(said(), /[Rr]edis/))
      await sleep(1_000)
      await ground.supervised.process('redis').start()
      ground.supervised.lookAfter('redis')
    })
    assertBrief(pause)
  })

  it('a slow consumer is dropped by the bus, and nobody else notices', async () => {
    const { monitorUrl } = ground.supervised.mesh.servers.nats
    const dropped = async (): Promise<number> => {
      const response = await fetch(`${monitorUrl}/varz`)
      return ((await response.json()) as { slow_consumers: number }).slow_consumers
    }
    const pause = await ground.whileTrading(everything, async () => {
      using _slow = await SlowConsumer.connect(ground.supervised.mesh.natsUrl)
      const before = await dropped()
      const junk = new Uint8Array(1024 * 1024)
      for (let sent = 0; sent < 400 && (await dropped()) === before; sent += 10) {
        for (let each = 0; each < 10; each++) ground.crowd.nats.publish('noise', junk)
        await ground.crowd.nats.flush()
      }
      assert.equal(await dropped(), before + 1)
    })
    assert(pause.ms < 5_000, `a pause of ${pause.ms} ms`)
  })

  it('a projection that stood still: another instance writes its slots, and it steps down', async () => {
    await ground.whileTrading(everything, async () => {
      signal(ground.supervised.process('orders'), 'SIGSTOP')
      await sleep(5_000)
      signal(ground.supervised.process('orders'), 'SIGCONT')
      await sleep(500)
    })
  })

  it('and the audit finds nothing wrong so far', async () => assert.equal(await differenceFound(), undefined))

  it('a message between two slots that is stored after a gap: it changes nothing, and its sender stops', async () => {
    const subject = await busiestPair()
    const source = partOfSource(subject)
    const said = ground.logs('accounts', 'accounts-2')
    ground.crowd.start()
    await sleep(1_000)
    const forged = await forge(subject, ({ count }) => `{"first":${count + 3},"before":1}\n{"type":"Nothing"}`)
    await patiently(() => assert.match(said(), /"code":"pair_gap".*input passed over/))
    await patiently(async () => {
      const halted = await haltedSlots(ground.crowd.nats)
      assert.deepEqual(
        halted.map((one) => `${nameOf(one)} ${one.code}`),
        [`${source} sender_differs`],
      )
    })
    await manager.streams.deleteMessage(streamOf(subject), forged)
    removed = forged
    await clear(source)
    await sleep(8_000)
    await ground.untilWhole()
    await ground.crowd.stop()
    await ground.judge()
  })

  it('a message that nobody can read halts its two slots; others go on; cleared, all is as before', async () => {
    const subject = await busiestPair()
    const target = subject.split('.from.')[0] ?? ''
    const source = partOfSource(subject)
    ground.crowd.start()
    await sleep(1_000)
    const poisoned = await forge(subject, ({ count, hash }) => `{"first":${count + 1},"before":${hash}}\nnot JSON`)
    await patiently(async () =>
      assert.deepEqual((await haltedSlots(ground.crowd.nats)).map(nameOf).sort(), [target, source].sort()),
    )
    const codes = (await haltedSlots(ground.crowd.nats)).map(({ code }) => code)
    assert.deepEqual(codes.sort(), ['item_unreadable', 'sender_differs'])
    // The others trade on, and who is concerned is told at once.
    const before = ground.crowd.answers.get('POST /order 201') ?? 0
    await sleep(1_000)
    assert((ground.crowd.answers.get('POST /order 201') ?? 0) > before)
    assert((ground.crowd.answers.get('POST /order 503 slot_halted') ?? 0) > 0)

    await manager.streams.deleteMessage(streamOf(subject), poisoned)
    for (const part of [target, source]) assert.match(await clear(part), /Cleared/)
    await patiently(async () => assert.deepEqual(await haltedSlots(ground.crowd.nats), []))
    await sleep(8_000)
    await ground.untilWhole()
    await ground.crowd.stop()
    await ground.judge()
    await assert.rejects(ground.clearSlot('engine', 0), /is not halted/)
  })

  it('and the audit finds nothing wrong after all of it, but what was removed where a frame ends with it', async () => {
    const difference = await differenceFound()
    if (difference !== undefined) assert.match(difference, new RegExp(`^input_missing .* ${removed}-0\\. `))
  })

  async function differenceFound(): Promise<string | undefined> {
    const { natsUrl, mysqlUrl } = ground.supervised.mesh
    const { difference } = await auditMesh({ natsUrl, mysqlUrl, rate: 0, waitMs: 10_000 })
    return difference && `${difference.check} ${difference.slot} ${difference.message}`
  }

  /** Appends a message to a pair as if its sender had, so that it is the next one in line. Returns its sequence. */
  async function forge(subject: string, text: (end: PairEnd) => string): Promise<number> {
    for (let tries = 0; tries < 500; tries++) {
      const last = await manager.streams.getMessage(streamOf(subject), { last_by_subj: subject })
      assert(last !== null)
      try {
        return await createStore(ground.crowd.nats).append(subject, text(pairEndOf(last.string())), last.seq)
      } catch (error) {
        // The sender was faster.
        if (!(error instanceof StoreRefused)) throw error
      }
    }
    throw new Error(`${subject} is never quiet`)
  }
  function clear(part: string): Promise<string> {
    const [log = '', slot = ''] = part.split('.')
    return ground.clearSlot(log === 'markets' ? 'engine' : log, Number(slot))
  }
  const nameOf = ({ log, slot }: { log: string; slot: number }): string => `${log}.${slot}`
  const streamOf = (subject: string): string => STREAM_OF_LOG[subject.startsWith('accounts') ? 'accounts' : 'markets']
  /** `accounts.1.from.markets-2` is sent by `markets.2`. */
  const partOfSource = (subject: string): string => (subject.split('.from.')[1] ?? '').replace('-', '.')
  /** The pair from an engine slot on which most is sent. */
  async function busiestPair(): Promise<string> {
    const info = await manager.streams.info(STREAM_OF_LOG.accounts, { subjects_filter: 'accounts.*.from.*' })
    const pairs = Object.entries(info.state.subjects ?? {}).filter(([subject]) => subject.includes('.from.markets-'))
    const [busiest] = pairs.sort(([, a], [, b]) => b - a)
    assert(busiest !== undefined)
    return busiest[0]
  }
  async function firstMessages(subject: string, countMax: number): Promise<string[]> {
    const consumer = await jetstream(ground.crowd.nats).consumers.get(streamOf(subject), { filter_subjects: subject })
    const messages: string[] = []
    for await (const message of await consumer.fetch({ max_messages: countMax, expires: 1_000 })) {
      messages.push(message.string())
    }
    return messages
  }
})

function isOfAnOrder(line: string): boolean {
  const { type } = decodeItem(line) as AccountEdgeCommand
  return type === 'PlaceOrder' || type === 'CancelOrder'
}
