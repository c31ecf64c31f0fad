import assert from 'node:assert/strict'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { openBucket } from '#mesh/buckets.ts'
import { createCommandPublisher } from '#mesh/commands.ts'
import { type Frame, followFrames } from '#mesh/frames.ts'
import { createReplyListener } from '#mesh/replies.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats, type Service } from '#mesh/service.ts'
import { Bucket, slotReadSubject } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import type { Rules } from './rules.ts'
import { type RunningSlots, runSlots } from './runtime.ts'

/**
 * Two small machines that pass numbers to each other: `accounts` forwards each number to `markets`,
 * which sends back its square; the sums on both sides show whether something was lost or came twice.
 */
type Item =
  | { type: 'Add'; commandId: number; replyTo: string; value: number }
  | { type: 'Square'; commandId: number; replyTo: string; value: number }
  | { type: 'Squared'; value: number }
  | { type: 'Fail' }
interface Sums {
  count: number
  sum: number
}
type Said = { type: 'Added' | 'Squared'; value: number }

const adder: Rules<Sums, Item, Said> = {
  log: 'accounts',
  initialState: () => ({ count: 0, sum: 0 }),
  stateHash: (state) => `${state.count}/${state.sum}`,
  apply: (state, item, context) => {
    if (item.type === 'Fail') throw new Error('on purpose')
    if (item.type === 'Add') {
      context.send('markets', 0, { ...item, type: 'Square' })
      context.emit({ type: 'Added', value: item.value })
    } else if (item.type === 'Squared') {
      state.count++
      state.sum += item.value
      context.emit({ type: 'Squared', value: item.value })
    }
  },
}
const squarer: Rules<Sums, Item, Said> = {
  log: 'markets',
  initialState: () => ({ count: 0, sum: 0 }),
  stateHash: (state) => `${state.count}/${state.sum}`,
  apply: (state, item, context) => {
    if (item.type !== 'Square') return
    state.count++
    state.sum += item.value
    const ticket = context.send('accounts', 0, { type: 'Squared', value: item.value ** 2 })
    context.emit({ type: 'Squared', value: item.value ** 2 })
    context.reply(item.replyTo, { kind: 'account', commandId: item.commandId, memberId: item.value ** 2 }, ticket)
  },
}

const shape = { accountSlots: 1, marketSlots: 1 }

interface Running {
  readonly slots: RunningSlots
  readonly nats: NatsConnection
  /** What the process has given up for. */
  readonly failures: readonly unknown[]
  /** Cuts the connection in the middle of whatever is under way, as a crash would. */
  crash(): Promise<void>
  stop(): Promise<void>
}

async function run(url: string, rules: Rules<Sums, Item, Said>, instanceId: string = rules.log): Promise<Running> {
  const nats = await connectNats(url, instanceId)
  const stops: (() => Promise<void> | void)[] = []
  const failures: unknown[] = []
  let observed = 0
  const service: Service = {
    name: instanceId,
    instanceId,
    env: {},
    log: pino({ level: 'silent' }),
    nats,
    shutdown: new AbortController().signal,
    onStop: (fn) => stops.push(fn),
    ready: () => {},
    onScrape: () => {},
    health: { isReady: () => true, report: () => ({ ready: true, checks: {} }) },
    fail: (error) => failures.push(error),
  }
  const slots = await runSlots({
    service,
    rules,
    shape,
    slots: [0],
    readBarrier: true,
    observe: () => observed++,
    memory: {
      version: 1,
      pack: () => {},
      unpack: () => {
        observed = 0
      },
    },
    answerRead: (_slot, state) => ({ ...state, observed }),
  })
  return {
    slots,
    nats,
    failures,
    crash: async () => {
      await nats.close()
      for (const stop of stops.reverse()) void Promise.resolve(stop()).catch(() => {})
    },
    stop: async () => {
      for (const stop of stops.reverse()) await stop()
      await nats.close()
    },
  }
}

describe('machine runtime on a real nats-server', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection

  beforeEach(async () => {
    server = await startNats({ syncInterval: '2m' })
    nats = await connectNats(server.url, 'test')
  })
  afterEach(async () => {
    await nats.close()
    await server.stop()
  })

  it('answers when everything is stored, with the position in the asking slot', async () => {
    const accounts = await run(server.url, adder)
    const markets = await run(server.url, squarer)
    const publisher = createCommandPublisher(nats)
    const replies = createReplyListener(nats, 'test')
    const answers = [1, 2, 3].map((value) => {
      const answer = replies.expect(value, 5_000)
      void publisher.append('accounts', 0, { type: 'Add', commandId: value, replyTo: 'test', value })
      return answer
    })
    const told = await Promise.all(answers)
    assert.deepEqual(
      told.map((reply) => (reply.kind === 'account' ? reply.memberId : undefined)),
      [1, 4, 9],
    )
    // The three went as one message; their outcomes were the accounts log's second message.
    assert.deepEqual(
      told.map((reply) => ('position' in reply ? reply.position : undefined)),
      ['2-0-0', '2-1-0', '2-2-0'],
    )
    assert.deepEqual(await callRpc(nats, slotReadSubject('accounts', 0), {}, 2_000), { count: 3, sum: 14, observed: 6 })
    await accounts.stop()
    await markets.stop()
  })

  it('loses nothing and doubles nothing when owners crash in the middle, again and again', async () => {
    let accounts = await run(server.url, adder)
    let markets = await run(server.url, squarer)
    const publisher = createCommandPublisher(nats)
    const total = 3_000
    let sent = 0
    for (let round = 0; round < 10; round++) {
      const stored: Promise<unknown>[] = []
      for (let index = 0; index < total / 10; index++) {
        const value = ++sent
        stored.push(publisher.append('accounts', 0, { type: 'Add', commandId: value, replyTo: '', value }))
        if (index % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      if (round % 2 === 0) {
        await accounts.crash()
        accounts = await run(server.url, adder)
      } else {
        await markets.crash()
        markets = await run(server.url, squarer)
      }
      await Promise.all(stored)
    }
    const expected = { count: total, sum: (total * (total + 1) * (2 * total + 1)) / 6, observed: 2 * total }
    let found: unknown
    for (let tries = 0; tries < 100; tries++) {
      found = await callRpc(nats, slotReadSubject('accounts', 0), {}, 2_000)
      if ((found as Sums).count >= total) break
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.deepEqual(found, expected)

    // A third owner that replays everything from the beginning stands at the same bytes, and the events are there once.
    const before = accounts.slots.status()[0]?.hash
    await accounts.stop()
    accounts = await run(server.url, adder)
    assert.equal(accounts.slots.status()[0]?.hash, before)
    const values: number[] = []
    let sequence = 0
    const reader = await followFrames<Said>(nats, 'accounts', 0, 0, (frame: Frame<Said>) => {
      assert(frame.header.inFrom[0] >= sequence)
      sequence = frame.header.inTo[0]
      for (const event of frame.events) if (event.type === 'Squared') values.push(event.value)
    })
    while (values.length < total) await new Promise((resolve) => setTimeout(resolve, 20))
    await reader.stop()
    assert.deepEqual(
      values.sort((a, b) => a - b),
      Array.from({ length: total }, (_, index) => (index + 1) ** 2),
    )
    await accounts.stop()
    await markets.stop()
  })

  it('goes on after the server was killed and started again', async () => {
    const accounts = await run(server.url, adder)
    const markets = await run(server.url, squarer)
    const publisher = createCommandPublisher(nats)
    await publisher.append('accounts', 0, { type: 'Add', commandId: 1, replyTo: '', value: 1 })
    await server.restart()
    for (let tries = 0; ; tries++) {
      try {
        await publisher.append('accounts', 0, { type: 'Add', commandId: 2, replyTo: '', value: 2 })
        break
      } catch (error) {
        if (tries > 20) throw error
      }
    }
    let found: Sums = { count: 0, sum: 0 }
    for (let tries = 0; tries < 100 && found.count < 2; tries++) {
      // Nobody may have reconnected yet.
      found = await callRpc<Sums>(nats, slotReadSubject('accounts', 0), {}, 4_000).catch(() => found)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.equal(found.count >= 2, true)
    await accounts.stop()
    await markets.stop()
  })

  /** Sends numbers without a pause until told to stop; says how long the longest wait for an answer was. */
  function sendWithoutPause(first: number) {
    const publisher = createCommandPublisher(nats)
    const replies = createReplyListener(nats, `load-${first}`)
    let value = first
    let stopped = false
    let longestMs = 0
    const done = (async () => {
      while (!stopped) {
        const id = value++
        const startedMs = performance.now()
        const reply = replies.expect(id, 20_000)
        await publisher.append('accounts', 0, { type: 'Add', commandId: id, replyTo: `load-${first}`, value: 1 })
        await reply
        longestMs = Math.max(longestMs, performance.now() - startedMs)
      }
      return { count: value - first, longestMs }
    })()
    return {
      stop: () => {
        stopped = true
        return done
      },
    }
  }
  const stateOf = ({ slots }: Running) => slots.status()[0]?.state
  const until = async (what: () => boolean): Promise<void> => {
    for (let tries = 0; !what(); tries++) {
      if (tries > 300) throw new Error('it did not come to that')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const total = async (count: number): Promise<void> => {
    let found: Sums = { count: 0, sum: 0 }
    for (let tries = 0; tries < 100 && found.count < count; tries++) {
      // Nobody owns the slot while it is recovered.
      found = await callRpc<Sums>(nats, slotReadSubject('accounts', 0), {}, 4_000).catch(() => found)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.deepEqual(found, { count, sum: count, observed: 2 * count })
  }

  it('has a standby that takes over within two seconds when the owner dies, and loses nothing', async () => {
    const first = await run(server.url, adder, 'a-first')
    const markets = await run(server.url, squarer)
    await until(() => stateOf(first) === 'running')
    const second = await run(server.url, adder, 'b-second')
    assert.equal(stateOf(second), 'following')
    const load = sendWithoutPause(1)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await first.crash()
    await until(() => stateOf(second) === 'running')
    await new Promise((resolve) => setTimeout(resolve, 300))
    const { count, longestMs } = await load.stop()
    assert(longestMs < 2_000, `the longest wait was ${longestMs} ms`)
    await total(count)
    await second.stop()
    await markets.stop()
  })

  it('follows when another instance has taken its slot, and owns it again when it is its turn; forgets nothing meanwhile', async () => {
    const first = await run(server.url, adder, 'a-first')
    const markets = await run(server.url, squarer)
    const second = await run(server.url, adder, 'b-second')
    const load = sendWithoutPause(1)
    const leases = await openBucket(nats, Bucket.leases)
    const ownedSince = (epoch: number) => () =>
      stateOf(first) === 'running' && (first.slots.status()[0]?.epoch ?? 0) >= epoch
    for (let round = 0; round < 10; round++) {
      const epoch = (first.slots.status()[0]?.epoch ?? 0) + 1
      await leases.put('accounts.0', JSON.stringify({ instance: 'b-second', epoch, state: 'held' }))
      await until(ownedSince(epoch + 2))
    }
    await until(() => stateOf(second) === 'following')
    const { count } = await load.stop()
    await total(count)
    assert.deepEqual([...first.failures, ...second.failures], [])
    assert.equal(first.slots.status()[0]?.hash, second.slots.status()[0]?.hash)
    for (const each of [second, first, markets]) await each.stop()
  })

  it('recovers a slot alone when the end of what it has sent is not what it knows', async () => {
    const accounts = await run(server.url, adder)
    const markets = await run(server.url, squarer)
    const load = sendWithoutPause(1)
    const js = jetstream(nats)
    const manager = await jetstreamManager(nats)
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      const first = await manager.streams.getMessage('MARKETS', { seq: 1 })
      assert(first !== null)
      const epoch = accounts.slots.status()[0]?.epoch ?? 0
      await js.publish(first.subject, first.data)
      await until(() => stateOf(accounts) === 'running' && (accounts.slots.status()[0]?.epoch ?? 0) > epoch)
    }
    const { count } = await load.stop()
    await total(count)
    assert.deepEqual([...accounts.failures, ...markets.failures], [])
    await accounts.stop()
    await markets.stop()
  })

  it('has a standby that keeps out when its rules say something else than the owner has stored', async () => {
    const first = await run(server.url, adder, 'a-first')
    const other: typeof adder = {
      ...adder,
      apply: (state, item, context) => {
        adder.apply(state, item, context)
        if (item.type === 'Add') context.emit({ type: 'Added', value: -1 })
      },
    }
    const second = await run(server.url, other, 'b-second')
    const publisher = createCommandPublisher(nats)
    await publisher.append('accounts', 0, { type: 'Add', commandId: 1, replyTo: '', value: 1 })
    await until(() => stateOf(second) === 'differs')
    assert.equal(stateOf(first), 'running')
    await second.crash()
    await first.stop()
  })

  it('hands a slot over to a newcomer whose turn it is, and back when that one stops, without a pause', async () => {
    // The name decides whose turn it is: slot 0 is the first one's.
    const second = await run(server.url, adder, 'b-second')
    const markets = await run(server.url, squarer)
    await until(() => stateOf(second) === 'running')
    const load = sendWithoutPause(1)
    const first = await run(server.url, adder, 'a-first')
    await until(() => stateOf(first) === 'running' && stateOf(second) === 'following')
    await new Promise((resolve) => setTimeout(resolve, 200))
    await first.stop()
    await until(() => stateOf(second) === 'running')
    await new Promise((resolve) => setTimeout(resolve, 200))
    const { count, longestMs } = await load.stop()
    // Less than the silence after which an owner is taken for dead: nobody waited for that.
    assert(longestMs < 1_200, `the longest wait was ${longestMs} ms`)
    await total(count)
    assert.equal(second.slots.status()[0]?.epoch, 3)
    await second.stop()
    await markets.stop()
  })

  it('halts a slot whose rules fail, for every owner, and says where', async () => {
    const accounts = await run(server.url, adder)
    const publisher = createCommandPublisher(nats)
    await publisher.append('accounts', 0, { type: 'Fail' })
    for (let tries = 0; tries < 100 && accounts.slots.status()[0]?.state !== 'halted'; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(accounts.slots.status()[0]?.state, 'halted')
    await accounts.crash()
    const next = await run(server.url, adder, 'next')
    assert.equal(next.slots.status()[0]?.state, 'halted')
    await next.crash()
  })

  it('refuses a log that ends before its frames do', async () => {
    const accounts = await run(server.url, adder)
    const publisher = createCommandPublisher(nats)
    for (let value = 1; value <= 5; value++) {
      await publisher.append('accounts', 0, { type: 'Add', commandId: value, replyTo: '', value })
    }
    await callRpc(nats, slotReadSubject('accounts', 0), {}, 2_000)
    await accounts.stop()
    const manager = await jetstreamManager(nats)
    await manager.streams.deleteMessage('ACCOUNTS', 5)
    const next = await run(server.url, adder, 'next')
    assert.equal(next.slots.status()[0]?.state, 'halted')
    await next.crash()
  })

  it('passes over a message that was stored after a gap, and takes a run that overlaps', async () => {
    const markets = await run(server.url, squarer)
    const js = jetstream(nats)
    const { chainHash } = await import('#mesh/domain/chain.ts')
    const items = [1, 2, 3].map((value) => JSON.stringify({ type: 'Square', commandId: value, replyTo: '', value }))
    const hashes = [0]
    for (const item of items) hashes.push(chainHash(hashes.at(-1) ?? 0, item))
    const send = (first: number, last: number) =>
      js.publish(
        'markets.0.from.accounts-0',
        `${JSON.stringify({ first, before: hashes[first - 1] })}\n${items.slice(first - 1, last).join('\n')}`,
      )
    await send(2, 3) // a gap: nothing happens
    await send(1, 2)
    await send(1, 3) // overlaps
    await send(1, 1) // old
    assert.deepEqual(await callRpc(nats, slotReadSubject('markets', 0), {}, 2_000), { count: 3, sum: 6, observed: 3 })
    await markets.stop()
  })
})
