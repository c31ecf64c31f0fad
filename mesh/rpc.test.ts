import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { createCommandPublisher } from './commands.ts'
import { callRpc, callRpcPatiently, drainRpc, serveRpc } from './rpc.ts'
import { connectNats } from './service.ts'
import { startNats } from './testing/servers.ts'

describe('requests, while instances come and go', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let client: NatsConnection
  const connections: NatsConnection[] = []
  const connect = async (): Promise<NatsConnection> => {
    const nats = await connectNats(server.url, 'test')
    connections.push(nats)
    return nats
  }

  before(async () => {
    server = await startNats()
    client = await connect()
  })
  after(async () => {
    for (const nats of connections) await nats.close()
    await server.stop()
  })

  it('that came to one that is told to stop are answered, and later ones go to another', async () => {
    const [one, other] = [await connect(), await connect()]
    serveRpc(one, 'rpc.slow', 'slow', async () => {
      await sleep(300)
      return { by: 'one' }
    })
    await one.flush()
    const asked = Array.from({ length: 5 }, () => callRpc<{ by: string }>(client, 'rpc.slow', {}, 5_000))
    await client.flush()
    serveRpc(other, 'rpc.slow', 'slow', async () => ({ by: 'other' }))
    await other.flush()
    await drainRpc(one)
    assert.deepEqual(new Set((await Promise.all(asked)).map(({ by }) => by)), new Set(['one']))
    for (let count = 0; count < 20; count++) {
      assert.deepEqual(await callRpc(client, 'rpc.slow', {}, 5_000), { by: 'other' })
    }
  })

  it('wait a moment for somebody who serves them, and no longer', async () => {
    const nats = await connect()
    setTimeout(() => serveRpc(nats, 'rpc.later', undefined, async () => ({ late: true })), 300)
    assert.deepEqual(await callRpcPatiently(client, 'rpc.later', {}, 1_000), { late: true })
    const beganMs = performance.now()
    await assert.rejects(callRpcPatiently(client, 'rpc.never', {}, 1_000), { code: 'service_unavailable' })
    assert(performance.now() - beganMs >= 2_000)
  })

  it('are not sent again when somebody has them', async () => {
    const nats = await connect()
    let count = 0
    serveRpc(nats, 'rpc.mute', undefined, () => {
      count++
      return new Promise(() => {})
    })
    await nats.flush()
    await assert.rejects(callRpcPatiently(client, 'rpc.mute', {}, 200), { code: 'service_timeout' })
    assert.equal(count, 1)
  })

  it('a command that no stream takes is refused: it is not stored, and never will be', async () => {
    await assert.rejects(createCommandPublisher(client).append('accounts', 0, {}), { code: 'publish_refused' })
  })
})
