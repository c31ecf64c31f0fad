import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { createIds } from '#mesh/ids.ts'
import type { Block } from '#mesh/protocol/guid.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { Rpc } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { type Allocator, createAllocator, risingClock } from './allocator.ts'
import { timeOf } from './domain/timeline.ts'

const log = pino({ level: 'silent' })

describe('guid on a real nats-server', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  const connections: NatsConnection[] = []
  const children: ChildProcess[] = []
  const connection = async (): Promise<NatsConnection> => {
    const nats = await connectNats(server.url, 'test')
    connections.push(nats)
    return nats
  }
  const instance = async (clock: () => number = risingClock()): Promise<Allocator> => {
    const salt = Math.random()
    return createAllocator({ nats: await connection(), log, replicas: 1, clock, salt })
  }
  const startService = (): ChildProcess => {
    const main = new URL('main.ts', import.meta.url).pathname
    const env = { ...process.env, NATS_URL: server.url, LOG_LEVEL: 'warn' }
    const child = spawn(process.execPath, [main], { env, stdio: 'inherit' })
    children.push(child)
    return child
  }

  beforeEach(async () => {
    server = await startNats()
  })
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    for (const nats of connections.splice(0)) await nats.close()
    await server.stop()
  })

  it('two instances at once give out no id twice, in order to about a second', async () => {
    const instances = [await instance(), await instance()]
    const blocks: (Block & { atMs: number })[] = []
    await Promise.all(
      instances.map(async (allocator) => {
        for (let turn = 0; turn < 300; turn++) {
          blocks.push({ ...(await allocator.block(2000)), atMs: Date.now() })
          if (turn % 50 === 0) await sleep(100)
        }
      }),
    )
    checkUnique(blocks)
    for (const { first, count, atMs } of blocks) {
      assert.ok(timeOf(first) > atMs - 1000 && timeOf(first + count) < atMs + 1100, `${timeOf(first) - atMs} ms away`)
    }
  })

  it('goes on above the bound, without a long wait, when the clock was set back an hour between two starts', async () => {
    const before = await (await instance()).block(10)
    const real = risingClock()
    const started = performance.now()
    const after = await (await instance(() => real() - 3_600_000)).block(10)
    assert.ok(after.first >= before.first + before.count)
    assert.ok(performance.now() - started < 10_000)
  })

  it('leaps over what was given out when the bound lost its last writes', async () => {
    const allocators = [await instance(), await instance()]
    const blocks: Block[] = []
    const askAll = async (turns: number) => {
      for (let turn = 0; turn < turns; turn++) {
        for (const allocator of allocators) blocks.push(await allocator.block(65_536))
      }
    }
    const manager = await jetstreamManager(await connection())
    await askAll(10)
    await manager.streams.purge('KV_guid')
    await askAll(10)
    await manager.streams.delete('KV_guid')
    await askAll(10)
    allocators.push(await instance())
    await askAll(5)
    checkUnique(blocks)
  })

  it('gives out no id twice when the server loses its unsynced tail in a crash', async () => {
    const directory = dirname(server.spec.args[1] ?? '')
    const allocators = [await instance(), await instance()]
    const blocks: Block[] = []
    const askAll = async (turns: number) => {
      for (let turn = 0; turn < turns; turn++) {
        for (const allocator of allocators) blocks.push(await allocator.block(20_000))
      }
    }
    await askAll(5)
    await server.kill()
    cpSync(join(directory, 'data'), join(directory, 'old'), { recursive: true })
    await server.restart()
    await askAll(50)
    await server.kill()
    rmSync(join(directory, 'data'), { recursive: true })
    cpSync(join(directory, 'old'), join(directory, 'data'), { recursive: true })
    await server.restart()
    allocators.push(await instance())
    await askAll(50)
    checkUnique(blocks)
  })

  it('two processes behind one subject serve a client without a gap while one of them is killed', async () => {
    const doomed = startService()
    startService()
    const nats = await connection()
    const ids = createIds(nats)
    const given: number[] = await ids.nextMany(1000)
    let asked = 0
    for (let turn = 0; turn < 200; turn++) {
      if (turn === 100) doomed.kill('SIGKILL')
      for (let index = 0; index < 500; index++) {
        const id = ids.next()
        if (typeof id !== 'number') asked += 1
        given.push(typeof id === 'number' ? id : await id)
      }
      await sleep(5)
    }
    assert.equal(new Set(given).size, 101_000)
    assert.ok(given.every((id) => Number.isSafeInteger(id) && id > 0))
    assert.ok(asked < 100, `${asked} ids of 100 000 had to be waited for`)
    const block = await callRpc<Block>(nats, Rpc.guidBlock, { count: 3 }, 2000)
    assert.equal(block.count, 3)
    for (const request of [
      {},
      { count: 0 },
      { count: 65_537 },
      { count: 1.5 },
      { count: '3' },
      { count: 1, more: 1 },
    ]) {
      await assert.rejects(callRpc(nats, Rpc.guidBlock, request, 2000), { code: 'request_invalid' })
    }
  })

  it('a client says so when nobody gives out ids', async () => {
    const ids = createIds(await connection())
    await assert.rejects(async () => await ids.next(), { code: 'ids_unavailable' })
  })

  it('many wait at once for ids of their own, and old blocks are dropped', async () => {
    startService()
    const ids = createIds(await connection())
    const first = await Promise.all(Array.from({ length: 5000 }, () => ids.next()))
    assert.equal(new Set(first).size, 5000)
    await sleep(1500)
    const later = await ids.next()
    assert.ok(timeOf(later) > Date.now() - 700)
  })
})

function checkUnique(blocks: readonly Block[]): void {
  let end = 0
  for (const { first, count } of [...blocks].sort((a, b) => a.first - b.first)) {
    assert.ok(count > 0 && first >= end, `${first} was given out twice`)
    end = first + count
  }
}
