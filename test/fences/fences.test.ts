import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type OwnedProcess, run } from '#launcher/servers/child-process.ts'
import { openBucket } from '#mesh/buckets.ts'
import { haltedSlots } from '#mesh/machine/halts.ts'
import { pairEndOf } from '#mesh/machine/wire.ts'
import { createStore } from '#mesh/store.ts'
import { Bucket, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { Crowd } from '../chaos/crowd.ts'
import { eventually } from '../support/eventually.ts'
import { type SupervisedMesh, signal, startSupervised } from '../support/supervised.ts'
import { SlowConsumer } from './support/slow-consumer.ts'

/**
 * The rules that keep the exchange right, each against what it protects from, on real processes with members who trade all the
 * time. After each everything that they were told is held against what is there.
 */
describe('fences and alarms, under load', function () {
  this.timeout(180_000)
  let supervised: SupervisedMesh
  let crowd: Crowd
  let manager: JetStreamManager

  before(async () => {
    supervised = await startSupervised({
      scale: { gateway: 2, accounts: 2, engine: 2, orders: 2 },
      env: { RATE_LOGIN: '1000:1000' },
    })
    crowd = await Crowd.gather(supervised, { members: 150, rate: 100, seed: 5 })
    manager = await jetstreamManager(crowd.nats)
  })
  after(async () => {
    await crowd?.[Symbol.asyncDispose]()
    await supervised?.[Symbol.asyncDispose]()
  })

  /** Breaks something while members trade; returns the longest time that these parts answered nobody. */
  async function whileTrading(parts: () => readonly string[], breakIt: () => Promise<void>): Promise<Pause> {
    crowd.start()
    await sleep(1_500)
    const calmMs = crowd.pauses.longest(crowd.parts, 0, performance.now())
    const concerned = parts()
    const answersBefore = new Map(crowd.answers)
    const beganMs = performance.now()
    await breakIt()
    await sleep(500)
    const endMs = performance.now()
    await crowd.stop()
    assert.equal(await crowd.settle(), 0, 'everybody finds out what became of his order')
    const { counts, differences } = await crowd.judge()
    assert.deepEqual(differences.slice(0, 5), [])
    assert(counts.acknowledged > 100)
    const answers = [...crowd.answers].map(
      ([answer, count]) => [answer, count - (answersBefore.get(answer) ?? 0)] as const,
    )
    return {
      ms: crowd.pauses.longest(concerned, beganMs, endMs),
      calmMs,
      answers: new Map(answers.filter(([, count]) => count > 0)),
    }
  }
  interface Pause {
    readonly ms: number
    /** The same before anything broke: on a busy machine nobody is answered at once. */
    readonly calmMs: number
    /** What members were answered meanwhile. */
    readonly answers: ReadonlyMap<string, number>
  }
  const isBrief = ({ ms, calmMs, answers }: Pause): void =>
    assert(ms <= 2_000 + 2 * calmMs, `a pause of ${ms} ms, and of ${calmMs} ms before: ${[...answers].join(' ')}`)

  const everything = (): readonly string[] => crowd.parts
  const ownerOf = (part: string): string => {
    const owner = crowd.owners.ownerOf(part)
    assert(owner !== undefined, `${part} has no owner`)
    return owner.replace(/-1$/, '')
  }
  const ownedBy = (name: string): string[] =>
    crowd.parts.filter((part) => crowd.owners.ownerOf(part) && ownerOf(part) === name)
  /** What a process has logged since. */
  const logOf = (name: string): (() => string) => {
    const { output } = supervised.process(name).spec
    assert('file' in output)
    const from = readFileSync(output.file).length
    return () => readFileSync(output.file).subarray(from).toString()
  }
  const logs = (...names: string[]): (() => string) => {
    const each = names.map(logOf)
    return () => each.map((one) => one()).join('\n')
  }
  const untilReady = (name: string) =>
    eventually(async () => {
      const owned = supervised.process(name)
      assert(await isReady(owned), `${name} is not ready: ${await healthOf(owned)}`)
    }, 60_000)
  /** Every slot has an owner, and every instance follows. */
  const untilWhole = async (): Promise<void> => {
    for (const name of ['accounts', 'accounts-2', 'engine', 'engine-2', 'orders', 'orders-2', 'gateway', 'gateway-2'])
      await untilReady(name)
    await eventually(async () => {
      for (const part of crowd.parts) ownerOf(part)
    })
  }
  beforeEach(() => untilWhole())

  for (const service of ['accounts', 'engine'] as const) {
    const part = service === 'accounts' ? 'accounts.0' : 'markets.0'

    it(`${service}: an owner that dies is replaced within two seconds`, async () => {
      const owner = ownerOf(part)
      const pause = await whileTrading(
        () => ownedBy(owner),
        async () => {
          const epoch = crowd.owners.epochOf(part)
          signal(supervised.process(owner), 'SIGKILL')
          await eventually(async () => assert(crowd.owners.epochOf(part) > epoch))
        },
      )
      isBrief(pause)
    })

    it(`${service}: an owner that stood still, and wakes up after it was replaced, gives up`, async () => {
      const owner = ownerOf(part)
      const said = logOf(owner)
      const pause = await whileTrading(
        () => ownedBy(owner),
        async () => {
          const epoch = crowd.owners.epochOf(part)
          signal(supervised.process(owner), 'SIGSTOP')
          await eventually(async () => assert(crowd.owners.epochOf(part) > epoch))
          await sleep(1_000)
          signal(supervised.process(owner), 'SIGCONT')
          await eventually(async () => assert.match(said(), /the process gives up and starts anew/))
        },
      )
      isBrief(pause)
    })
  }

  it('two owners: a bucket that lies about who owns what', async () => {
    const bucket = await openBucket(crowd.nats, Bucket.leases)
    const pause = await whileTrading(everything, async () => {
      for (const part of crowd.parts) {
        const service = part.startsWith('accounts') ? 'accounts' : 'engine'
        const other = ownerOf(part) === service ? `${service}-2` : `${service}-1`
        // Who is named takes it for his own from before a restart, at once; the true owner has yet to hear of it.
        await bucket.put(
          part,
          JSON.stringify({ instance: other, epoch: crowd.owners.epochOf(part) + 1, state: 'held' }),
        )
      }
      await sleep(3_000)
      await untilWhole()
    })
    assert(pause.ms < 15_000)
  })

  it('commands that come again, much later', async () => {
    await whileTrading(everything, async () => {
      const store = createStore(crowd.nats)
      let again = 0
      for (let slot = 0; slot < 4; slot++) {
        const subject = `accounts.${slot}.cmd`
        for (const text of await firstMessages(subject, 200)) {
          if (!text.includes('PlaceOrder') && !text.includes('CancelOrder')) continue
          await store.append(subject, text)
          again++
        }
      }
      assert(again > 50, `${again} messages came again`)
    })
  })

  it('an old message between two slots that comes again: it is passed over, and its sender sends on', async () => {
    const subject = await busiestPair()
    const sender = ownerOf(partOfSource(subject))
    const said = logs(sender)
    await whileTrading(everything, async () => {
      const [first] = await firstMessages(subject, 1)
      assert(first !== undefined)
      await createStore(crowd.nats).append(subject, first)
      await eventually(async () => assert.match(said(), /has lost its tail; sending it again/))
      await untilWhole()
    })
    assert.deepEqual(await haltedSlots(crowd.nats), [])
  })

  it('nats-server is killed in full flow', async () => {
    const pause = await whileTrading(everything, async () => {
      signal(supervised.process('nats'), 'SIGKILL')
      await sleep(1_000)
      await untilWhole()
    })
    assert(pause.ms < 15_000, `a pause of ${pause.ms} ms`)
  })

  it('MySQL is away: trading goes on, history says so and catches up', async () => {
    supervised.leaveAlone('mariadb')
    const pause = await whileTrading(everything, async () => {
      signal(supervised.process('mariadb'), 'SIGKILL')
      await sleep(6_000)
      await supervised.process('mariadb').start()
      supervised.lookAfter('mariadb')
    })
    isBrief(pause)
    const told = [...pause.answers.keys()].filter((answer) => answer.startsWith('GET /orders 503'))
    assert.match(told.join(), /projection_behind|database_unavailable/)
  })

  it('Redis is gone: nobody notices', async () => {
    supervised.leaveAlone('redis')
    const said = logs('gateway', 'gateway-2')
    const pause = await whileTrading(everything, async () => {
      signal(supervised.process('redis'), 'SIGKILL')
      await eventually(async () => assert.match(said(), /[Rr]edis/))
      await sleep(1_000)
      await supervised.process('redis').start()
      supervised.lookAfter('redis')
    })
    isBrief(pause)
  })

  it('a slow consumer is dropped by the bus, and nobody else notices', async () => {
    const { monitorUrl } = supervised.mesh.servers.nats
    const dropped = async (): Promise<number> => {
      const response = await fetch(`${monitorUrl}/varz`)
      return ((await response.json()) as { slow_consumers: number }).slow_consumers
    }
    const pause = await whileTrading(everything, async () => {
      using _slow = await SlowConsumer.connect(supervised.mesh.natsUrl)
      const before = await dropped()
      const junk = new Uint8Array(1024 * 1024)
      for (let sent = 0; sent < 400 && (await dropped()) === before; sent += 10) {
        for (let each = 0; each < 10; each++) crowd.nats.publish('noise', junk)
        await crowd.nats.flush()
      }
      assert.equal(await dropped(), before + 1)
    })
    assert(pause.ms < 5_000, `a pause of ${pause.ms} ms`)
  })

  it('a projection that stood still: another instance writes its slots, and it steps down', async () => {
    await whileTrading(everything, async () => {
      signal(supervised.process('orders'), 'SIGSTOP')
      await sleep(5_000)
      signal(supervised.process('orders'), 'SIGCONT')
      await sleep(500)
    })
  })

  it('a message that nobody can read halts its two slots; others go on; cleared, all is as before', async () => {
    const subject = await busiestPair()
    const target = subject.split('.from.')[0] ?? ''
    const source = partOfSource(subject)
    let poisoned = 0
    crowd.start()
    await sleep(1_000)
    // As if the sender had said it, so that it is the next one in line.
    for (let tries = 0; poisoned === 0 && tries < 200; tries++) {
      const last = await manager.streams.getMessage(streamOf(subject), { last_by_subj: subject })
      assert(last !== null)
      const { count, hash } = pairEndOf(last.string())
      const header = JSON.stringify({ first: count + 1, before: hash })
      poisoned = await createStore(crowd.nats)
        .append(subject, `${header}\nnot JSON`, last.seq)
        .catch(() => 0)
    }
    await eventually(async () =>
      assert.deepEqual((await haltedSlots(crowd.nats)).map(nameOf).sort(), [target, source].sort()),
    )
    const codes = (await haltedSlots(crowd.nats)).map(({ code }) => code)
    assert.deepEqual(codes.sort(), ['item_unreadable', 'sender_differs'])
    const listed = await clearSlot()
    assert.match(listed, /item_unreadable at message/)
    // The others trade on, and who is concerned is told at once.
    const before = crowd.answers.get('POST /order 201') ?? 0
    await sleep(1_000)
    assert((crowd.answers.get('POST /order 201') ?? 0) > before)
    assert((crowd.answers.get('POST /order 503 slot_halted') ?? 0) > 0)

    await manager.streams.deleteMessage(streamOf(subject), poisoned)
    for (const part of [target, source]) {
      const [log = '', slot = ''] = part.split('.')
      assert.match(await clearSlot(log === 'markets' ? 'engine' : log, slot), /Cleared/)
    }
    await eventually(async () => assert.deepEqual(await haltedSlots(crowd.nats), []))
    await sleep(8_000)
    await untilWhole()
    await crowd.stop()
    assert.equal(await crowd.settle(), 0)
    assert.deepEqual((await crowd.judge()).differences.slice(0, 5), [])
    await assert.rejects(clearSlot('engine', '0'), /is not halted/)
  })

  it('and the audit finds nothing wrong after all of it', async () => {
    const { natsUrl, mysqlUrl } = supervised.mesh
    const { difference } = await auditMesh({ natsUrl, mysqlUrl, rate: 0, waitMs: 10_000 })
    assert.equal(difference, undefined, `${difference?.check} ${difference?.slot} ${difference?.message}`)
  })

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
    const consumer = await jetstream(crowd.nats).consumers.get(streamOf(subject), { filter_subjects: subject })
    const messages: string[] = []
    for await (const message of await consumer.fetch({ max_messages: countMax, expires: 1_000 })) {
      messages.push(message.string())
    }
    return messages
  }
  /** The operators' command, in a process of its own. */
  const clearSlot = (...args: string[]): Promise<string> =>
    run(process.execPath, [join(import.meta.dirname, '../../launcher/clear-slot.ts'), ...args], {
      NATS_URL: supervised.mesh.natsUrl,
    })
})

const isReady = (owned: OwnedProcess): Promise<boolean> =>
  owned.isRunning ? owned.spec.isReady() : Promise.resolve(false)

async function healthOf({ spec, isRunning }: OwnedProcess): Promise<string> {
  const port = spec.env?.HEALTH_PORT ?? spec.env?.GATEWAY_PORT
  const response = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined)
  return `${isRunning ? 'it runs' : 'it does not run'}, ${response === undefined ? 'and does not answer' : await response.text()}`
}
