import assert from 'node:assert/strict'
import { RequestError, TimeoutError } from '@nats-io/transport-node'
import { type Bus, type BusMessage, type StreamReader, streamsOf, timeOf } from '#mesh/bus.ts'
import { createStore, StoreRefused, StoreUnknown } from '#mesh/store.ts'
import { sleep } from '#mesh/time.ts'

/** A server with two connections to it. */
export interface BusUnderTest {
  readonly bus: Bus
  readonly other: Bus
  /** Ends at once, and keeps what is stored. */
  kill(): Promise<void>
  start(): Promise<void>
  purge(stream: string, subject: string): Promise<void>
}

/** Runs a test on a server of its own. */
export type WithBus = (test: (under: BusUnderTest) => Promise<void>) => Promise<void>

const SHAPE = { accountSlots: 2, marketSlots: 2 } as const
const BUCKET = 'contract'

/** What the mesh relies on, of the real server and of the simulated one. */
export function itKeepsTheContract(withBus: WithBus): void {
  const it_ = (what: string, test: (under: BusUnderTest) => Promise<void>): void => {
    it(what, () => withBus(test))
  }

  it_('appends in one order per stream, and tells the sequence', async ({ bus, other }) => {
    await streamsOf(bus).ensure(SHAPE)
    const one = createStore(bus)
    const two = createStore(other)
    assert.equal(await one.append('accounts.0.cmd', 'a'), 1)
    assert.equal(await two.append('accounts.1.cmd', 'b'), 2)
    assert.equal(await one.append('markets.0.from.accounts-0', 'c'), 1)
    // Of one connection, without waiting.
    assert.deepEqual(await Promise.all(['d', 'e', 'f'].map((text) => one.append('accounts.0.cmd', text))), [3, 4, 5])
  })

  it_('stores by compare-and-set on the last sequence of a subject, and refuses without storing', async ({ bus }) => {
    await streamsOf(bus).ensure(SHAPE)
    const store = createStore(bus)
    const subject = 'events.accounts.0'
    assert.equal(await store.append(subject, 'first', 0), 1)
    await assert.rejects(store.append(subject, 'again', 0), (error) => refusedWith(error, 10_071))
    assert.equal(await store.append('events.accounts.1', 'of another', 0), 2)
    assert.equal(await store.append(subject, 'second', 1), 3)
    await assert.rejects(store.append(subject, 'stale', 1), (error) => refusedWith(error, 10_071))
    assert.equal((await streamsOf(bus).last('EVENTS', subject))?.string(), 'second')
    await assert.rejects(store.append('nobody.takes.this', 'x'), StoreRefused)
  })

  it_('finds the last message of subjects, one by its sequence, and what subjects there are', async ({ bus }) => {
    const streams = streamsOf(bus)
    assert.equal(await streams.info('ACCOUNTS'), undefined)
    await streams.ensure(SHAPE)
    const store = createStore(bus)
    assert.equal(await streams.last('ACCOUNTS', 'accounts.0.>'), undefined)
    assert.equal(await streams.at('ACCOUNTS', 1), undefined)
    await store.append('accounts.0.cmd', 'one')
    await store.append('accounts.0.from.markets-0', 'two')
    await store.append('accounts.1.from.markets-0', 'three')
    const last = await streams.last('ACCOUNTS', 'accounts.0.>')
    assert.deepEqual([last?.seq, last?.subject, last?.string()], [2, 'accounts.0.from.markets-0', 'two'])
    assert.equal((await streams.last('ACCOUNTS', 'accounts.0.cmd'))?.seq, 1)
    const first = await streams.at('ACCOUNTS', 1)
    assert.deepEqual([first?.subject, Buffer.from(first?.data ?? []).toString()], ['accounts.0.cmd', 'one'])
    const info = await streams.info('ACCOUNTS', 'accounts.*.from.markets-0')
    assert.deepEqual(info?.state.subjects, { 'accounts.0.from.markets-0': 1, 'accounts.1.from.markets-0': 1 })
    assert.equal(info?.state.last_seq, 3)
    assert.equal(info?.created, (await streams.info('ACCOUNTS'))?.created)
  })

  it_('reads in order from a sequence on, what is there and what comes', async ({ bus, other }) => {
    const streams = streamsOf(bus)
    await streams.ensure(SHAPE)
    const store = createStore(other)
    for (let number = 1; number <= 120; number++) await store.append(`accounts.${number % 2}.cmd`, String(number))
    const reader = await streams.read('ACCOUNTS', 'accounts.0.>', 51)
    const texts = take(reader, 45)
    for (let number = 121; number <= 140; number++)
      await store.append(`accounts.${number % 2}.cmd`, String(number), number - 2)
    const expected = Array.from({ length: 45 }, (_, index) => String(52 + index * 2))
    assert.deepEqual(
      (await texts).map((message) => message.string()),
      expected,
    )
    const [message] = await take(await streams.read('ACCOUNTS', 'accounts.1.>', 139), 1)
    assert.deepEqual([message?.seq, message?.headers?.get('Nats-Expected-Last-Subject-Sequence')], [139, '137'])
    assert((message?.info.timestampNanos ?? 0) > 1.6e18, 'the time of storing is told')
  })

  it_('keeps what is stored when the server is killed; readers go on where they were', async (under) => {
    const { bus, other } = under
    const streams = streamsOf(bus)
    await streams.ensure(SHAPE)
    const reconnected = heard(bus, 'reconnect')
    const store = createStore(other)
    await store.append('accounts.0.cmd', 'before')
    const texts = take(await streams.read('ACCOUNTS', 'accounts.0.>', 1), 3)
    await under.kill()
    await under.start()
    await reconnected
    assert.equal((await untilAnswered(bus, () => streams.last('ACCOUNTS', 'accounts.0.cmd')))?.string(), 'before')
    const sequence = await untilAnswered(bus, () => store.append('accounts.0.cmd', 'after', 1))
    await store.append('accounts.0.cmd', 'and on', sequence)
    assert.deepEqual(
      (await texts).map((message) => message.string()),
      ['before', 'after', 'and on'],
    )
  })

  it_('does not know what became of a message whose ack stays away', async (under) => {
    await streamsOf(under.bus).ensure(SHAPE)
    const store = createStore(under.bus, 300)
    await under.kill()
    await assert.rejects(store.append('accounts.0.cmd', 'x'), StoreUnknown)
    await under.start()
  })

  it_('counts a subject from zero again when its last message was purged; sequences go on', async ({ bus, purge }) => {
    await streamsOf(bus).ensure(SHAPE)
    const store = createStore(bus)
    await store.append('events.accounts.0', 'a', 0)
    await store.append('events.accounts.1', 'b', 0)
    await purge('EVENTS', 'events.accounts.0')
    assert.equal(await streamsOf(bus).last('EVENTS', 'events.accounts.0'), undefined)
    assert.equal(await streamsOf(bus).at('EVENTS', 1), undefined)
    await assert.rejects(store.append('events.accounts.0', 'c', 1), (error) => refusedWith(error, 10_071))
    assert.equal(await store.append('events.accounts.0', 'c', 0), 3)
  })

  it_('keeps one value per key, written by compare-and-set', async ({ bus, other }) => {
    const bucket = await streamsOf(bus).bucket(BUCKET)
    const theirs = await streamsOf(other).bucket(BUCKET)
    assert.equal(await bucket.get('a.1'), null)
    const first = await bucket.put('a.1', 'one', { previousSeq: 0 })
    await assert.rejects(theirs.put('a.1', 'two', { previousSeq: 0 }))
    const entry = await theirs.get('a.1')
    assert.deepEqual([entry?.key, entry?.operation, entry?.revision, entry?.string()], ['a.1', 'PUT', first, 'one'])
    const second = await theirs.put('a.1', 'two', { previousSeq: first })
    await assert.rejects(bucket.put('a.1', 'three', { previousSeq: first }))
    assert.equal((await streamsOf(bus).info(`KV_${BUCKET}`))?.state.last_seq, second)
    await bucket.delete('a.1')
    assert.equal((await theirs.get('a.1'))?.operation, 'DEL')
  })

  it_('tells who watches a bucket what is there, and then what changes', async ({ bus, other }) => {
    const bucket = await streamsOf(bus).bucket(BUCKET)
    await bucket.put('a', '1')
    await bucket.put('b', '2')
    await bucket.put('a', '3')
    const watch = await (await streamsOf(other).bucket(BUCKET)).watch()
    const seen: (string | number | undefined)[][] = []
    for await (const { key, operation, delta } of watch) {
      seen.push(seen.length < 2 ? [key, operation, delta] : [key, operation])
      if (seen.length === 2) {
        await bucket.put('c', '4')
        await bucket.delete('b')
      }
      if (seen.length === 4) break
    }
    watch.stop()
    assert.deepEqual(seen, [
      ['b', 'PUT', 1],
      ['a', 'PUT', 0],
      ['c', 'PUT'],
      ['b', 'DEL'],
    ])
  })

  it_(
    'carries messages to all who listen, of a queue group to one, and requests to who answers',
    async ({ bus, other }) => {
      const heardBy: string[] = []
      const listen = (by: string, on: Bus, subject: string, queue?: string) =>
        on.subscribe(subject, {
          ...(queue === undefined ? {} : { queue }),
          callback: (_, message) => {
            heardBy.push(`${by} ${message.subject} ${message.string()}`)
            message.respond(`from ${by}`)
          },
        })
      listen('all', bus, 'alive.>')
      const one = listen('one', other, 'alive.*')
      listen('worker', bus, 'work', 'workers')
      listen('worker', other, 'work', 'workers')
      await settled(bus, other)
      bus.publish('alive.markets', 'x')
      const reply = await other.request('work', 'y', { timeout: 2_000 })
      assert.equal(reply.string(), 'from worker')
      await settled(bus, other)
      assert.deepEqual(heardBy.sort(), ['all alive.markets x', 'one alive.markets x', 'worker work y'])
      one.unsubscribe()
      await settled(bus, other)
      bus.publish('alive.markets', 'z')
      await settled(bus, other)
      assert.equal(heardBy.filter((line) => line.startsWith('one')).length, 1)

      await assert.rejects(bus.request('nobody', '', { timeout: 2_000 }), (error) => {
        assert(error instanceof RequestError && error.isNoResponders())
        return true
      })
      other.subscribe('mute', { callback: () => {} })
      await settled(bus, other)
      await assert.rejects(bus.request('mute', '', { timeout: 50 }), (error) => {
        assert(error instanceof TimeoutError || (error instanceof RequestError && error.cause instanceof TimeoutError))
        return true
      })
    },
  )
}

function refusedWith(error: unknown, code: number): true {
  assert(error instanceof StoreRefused)
  assert.equal(error.code, code)
  return true
}

type Read = StreamReader extends AsyncIterable<infer Message> ? Message : never

async function take(reader: StreamReader, count: number): Promise<Read[]> {
  const messages: Read[] = []
  for await (const message of reader) {
    messages.push(message)
    if (messages.length === count) break
  }
  reader.stop()
  return messages
}

async function heard(bus: Bus, type: string): Promise<void> {
  for await (const status of bus.status()) if (status.type === type) return
}

/** Everything that both have sent has arrived: each has heard a message of the other's. */
async function settled(bus: Bus, other: Bus): Promise<void> {
  for (const [from, to] of [
    [bus, other],
    [other, bus],
  ] as const) {
    const subject = `settled.${Math.random().toString(36).slice(2)}`
    const answer = (_: unknown, message: BusMessage): void => message.respond('')
    const subscription = to.subscribe(subject, { callback: answer })
    await untilAnswered(from, () => from.request(subject, '', { timeout: 1_000 }))
    subscription.unsubscribe()
  }
}

async function untilAnswered<Answer>(bus: Bus, ask: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (tries > 20) throw error
      await sleep(timeOf(bus), 50)
    }
  }
}
