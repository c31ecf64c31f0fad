import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { SnapshotHelper } from './helper.ts'
import type { SnapshotTask } from './worker.ts'

/** A worker that tells its process, refuses slot 1, dies at slot 2, and is at slot 3 for a long time. */
const WORKER = `import { setTimeout as sleep } from 'node:timers/promises'
export async function take({ slot }) {
  if (slot === 1) throw Object.assign(new Error('nothing here'), { code: 'nothing_new' })
  if (slot === 2) process.kill(process.pid, 'SIGKILL')
  if (slot === 3) await sleep(60_000)
  return { name: String(process.pid), slot }
}`

describe('the helper that takes snapshots', () => {
  const directory = mkdtempSync(join(tmpdir(), 'exchange-helper-'))
  const module = join(directory, 'worker.mjs')
  let stop: AbortController
  let helper: SnapshotHelper

  before(() => writeFileSync(module, WORKER))
  after(() => rmSync(directory, { recursive: true, force: true }))
  beforeEach(() => {
    stop = new AbortController()
    helper = new SnapshotHelper(pathToFileURL(module), stop.signal)
  })
  afterEach(() => stop.abort())

  const take = async (slot: number): Promise<{ pid: number; cpuMs: number }> => {
    let usedMs = 0
    const taken = await helper.take({ slot } as SnapshotTask, (cpuMs) => {
      usedMs = cpuMs
    })
    return { pid: Number(taken.name), cpuMs: usedMs }
  }
  const lives = (pid: number): boolean => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }
  const untilDead = async (pid: number): Promise<void> => {
    for (let tries = 0; lives(pid); tries++) {
      if (tries > 200) throw new Error(`Process ${pid} lives on.`)
      await sleep(20)
    }
  }

  it('is one process of its own for all tasks, and tells what they use', async () => {
    const all = await Promise.all([take(0), take(4), take(5)])
    assert.equal(new Set(all.map(({ pid }) => pid)).size, 1)
    assert.notEqual(all[0]?.pid, process.pid)
    for (const { cpuMs } of all) assert(cpuMs > 0)
  })

  it('tells why there is no snapshot, and takes the next one', async () => {
    await assert.rejects(take(1), { message: 'nothing here', code: 'nothing_new' })
    assert((await take(0)).pid > 0)
  })

  it('is replaced when it dies', async () => {
    const { pid } = await take(0)
    await assert.rejects(take(2), /SIGKILL/)
    assert.notEqual((await take(0)).pid, pid)
  })

  it('ends with its service, in the middle of a task', async () => {
    const { pid } = await take(0)
    const underWay = assert.rejects(take(3), /SIGKILL/)
    await sleep(100)
    stop.abort()
    await underWay
    await untilDead(pid)
    await assert.rejects(take(0), /stops/)
  })
})
