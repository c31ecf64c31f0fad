import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { connectNats } from './service.ts'
import { createStore } from './store.ts'
import { openReader } from './stream-reader.ts'
import { startNats } from './testing/servers.ts'

describe('a reader of a stream', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection
  let manager: JetStreamManager

  before(async () => {
    server = await startNats()
    nats = await connectNats(server.url, 'test')
    manager = await jetstreamManager(nats)
    await manager.streams.add({ name: 'S', subjects: ['s.>'] })
  })
  after(async () => {
    await nats.close()
    await server.stop()
  })

  const consumers = async (): Promise<string[]> => {
    const names: string[] = []
    for await (const { name } of manager.consumers.list('S')) names.push(name)
    return names
  }

  it('keeps its one consumer while it has nothing to read and others have; reads on when that is lost, and a server is', async () => {
    const store = createStore(nats)
    const reader = await openReader(nats, jetstream(nats), { stream: 'S', subject: 's.mine', fromSequence: 1 })
    const read: string[] = []
    const reading = (async () => {
      for await (const message of reader) read.push(message.string())
    })()
    const first = await consumers()
    assert.equal(first.length, 1)
    for (let count = 0; count < 50; count++) {
      await store.append('s.other', 'x')
      await sleep(100)
    }
    assert.deepEqual(await consumers(), first)

    await store.append('s.mine', 'one')
    await until(() => read.length === 1)
    await manager.consumers.delete('S', first[0] ?? '')
    await store.append('s.mine', 'two')
    await until(() => read.length === 2)
    await server.kill()
    await server.restart()
    await until(async () => {
      await store.append('s.mine', 'three').catch(() => {})
      return read.includes('three')
    })
    reader.stop()
    await reading
    assert.deepEqual(read.slice(0, 3), ['one', 'two', 'three'])
  })
})

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 30_000
  while (!(await condition())) {
    assert(performance.now() < deadlineMs, String(condition))
    await sleep(50)
  }
}
