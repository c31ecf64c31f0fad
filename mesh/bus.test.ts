import assert from 'node:assert/strict'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { streamsOf } from './bus.ts'
import { createCommandPublisher } from './commands.ts'
import type { Reply } from './protocol/replies.ts'
import { createReplyListener } from './replies.ts'
import { callRpc, RpcError, serveRpc } from './rpc.ts'
import { connectNats } from './service.ts'
import { createStore, StoreRefused, StoreUnknown } from './store.ts'
import { ensureStreams, StreamMismatch } from './streams.ts'
import { replySubject } from './subjects.ts'
import { startNats } from './testing/servers.ts'

describe('the bus, on a real nats-server', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection

  before(async () => {
    server = await startNats()
    nats = await connectNats(server.url, 'test')
    await ensureStreams(nats, { accountSlots: 2, marketSlots: 2 })
  })
  after(async () => {
    await nats.close()
    await server.stop()
  })

  it('makes the streams once, and refuses another number of slots', async () => {
    await ensureStreams(nats, { accountSlots: 2, marketSlots: 2 })
    await assert.rejects(ensureStreams(nats, { accountSlots: 3, marketSlots: 2 }), StreamMismatch)
    await assert.rejects(ensureStreams(nats, { accountSlots: 2, marketSlots: 1 }), StreamMismatch)
  })

  it('carries what is appended in one turn as one message, in order', async () => {
    const publisher = createCommandPublisher(nats)
    const stored = await Promise.all([1, 2, 3].map((n) => publisher.append('accounts', 0, { n })))
    assert.deepEqual(
      stored.map(({ index }) => index),
      [0, 1, 2],
    )
    assert.equal(new Set(stored.map(({ sequence }) => sequence)).size, 1)
    const later = await publisher.append('accounts', 0, { n: 4 })
    assert.equal(later.sequence, (stored[0]?.sequence ?? 0) + 1)
    const manager = await jetstreamManager(nats)
    const message = await manager.streams.getMessage('ACCOUNTS', { seq: stored[0]?.sequence ?? 0 })
    assert.equal(message?.string(), '{"n":1}\n{"n":2}\n{"n":3}')
  })

  it('splits what is larger than a message, and sends a single larger item alone', async () => {
    const publisher = createCommandPublisher(nats)
    const big = 'x'.repeat(200_000)
    const stored = await Promise.all([1, 2, 3].map((n) => publisher.append('accounts', 1, { n, big })))
    assert.equal(new Set(stored.map(({ sequence }) => sequence)).size, 3)
    await publisher.append('accounts', 1, { big: 'x'.repeat(1_000_000) })
  })

  it('refuses a failed compare-and-set, and stores nothing by it', async () => {
    const store = createStore(nats)
    const first = await store.append('accounts.0.from.test-0', 'one', 0)
    await assert.rejects(store.append('accounts.0.from.test-0', 'again', 0), (error) => {
      assert(error instanceof StoreRefused)
      assert.equal(error.code, 10071)
      return true
    })
    assert.equal(await store.append('accounts.0.from.test-0', 'two', first), first + 1)
    await assert.rejects(store.append('nobody.takes.this', 'x'), StoreRefused)
  })

  it('does not know what became of a message whose ack stays away', async () => {
    const away = await startNats()
    const lonely = await connectNats(away.url, 'lonely')
    await ensureStreams(lonely, { accountSlots: 1, marketSlots: 1 })
    const store = createStore(lonely, 300)
    const publisher = createCommandPublisher(lonely, 300)
    await away.kill()
    await assert.rejects(store.append('accounts.0.cmd', 'x'), StoreUnknown)
    await assert.rejects(publisher.append('accounts', 0, {}), { code: 'publish_unknown' })
    await lonely.close()
    await away.stop()
  })

  it('passes codes and values through requests', async () => {
    const failures: unknown[] = []
    serveRpc(nats, 'rpc.test.echo', 'test', async (request) => ({ request }))
    serveRpc(nats, 'rpc.test.refuse', 'test', async () => {
      throw new RpcError('too_bad', 'No.', { field: 'x' })
    })
    serveRpc(
      nats,
      'rpc.test.bug',
      'test',
      async () => {
        throw new TypeError('bug')
      },
      (error) => failures.push(error),
    )
    serveRpc(nats, 'rpc.test.slow', 'test', () => new Promise(() => {}))
    assert.deepEqual(await callRpc(nats, 'rpc.test.echo', { a: 1 }, 1_000), { request: { a: 1 } })
    await assert.rejects(callRpc(nats, 'rpc.test.refuse', {}, 1_000), { code: 'too_bad', details: { field: 'x' } })
    await assert.rejects(callRpc(nats, 'rpc.test.bug', {}, 1_000), { code: 'internal_error' })
    assert.equal(failures.length, 1)
    await assert.rejects(callRpc(nats, 'rpc.test.slow', {}, 50), { code: 'service_timeout' })
    await assert.rejects(callRpc(nats, 'rpc.test.nobody', {}, 1_000), { code: 'service_unavailable' })
  })

  it('hands replies to who waits, by command, and gives up in time', async () => {
    const listener = createReplyListener(nats, 'gateway-test')
    const first = listener.expect(1, 1_000)
    const many: Reply[] = []
    listener.on(2, (reply) => many.push(reply))
    const account = (commandId: number, memberId: number): Reply => ({ kind: 'account', commandId, memberId })
    nats.publish(
      replySubject('gateway-test'),
      JSON.stringify([account(2, 1), account(1, 7), account(1, 8), account(2, 2), account(3, 3)]),
    )
    assert.deepEqual(await first, account(1, 7))
    assert.deepEqual(many, [account(2, 1), account(2, 2)])
    await assert.rejects(listener.expect(9, 50), { code: 'reply_timeout' })
  })

  it('asks again at once when the connection broke before the answer came', async () => {
    const streams = streamsOf(nats, 10_000)
    const before = await streams.info('ACCOUNTS')
    const { pid } = server
    assert(pid !== undefined)
    process.kill(pid, 'SIGSTOP')
    const asked = streams.info('ACCOUNTS')
    // It is on its way to a server that will not read it.
    await new Promise((resolve) => setTimeout(resolve, 50))
    await server.kill()
    await server.restart()
    const restartedMs = performance.now()
    assert.equal((await asked)?.created, before?.created)
    const waitedMs = performance.now() - restartedMs
    assert(waitedMs < 1_000, `answered after ${waitedMs} ms`)
  })
})
