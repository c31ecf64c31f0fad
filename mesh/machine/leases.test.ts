import assert from 'node:assert/strict'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { connectNats } from '#mesh/service.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { type Leases, openLeases } from './leases.ts'

interface Instance extends AsyncDisposable {
  readonly leases: Leases
  /** Ends as a killed process does: without a word. */
  die(): Promise<void>
}

describe('leases on a real nats-server', () => {
  let server: Awaited<ReturnType<typeof startNats>>

  before(async () => {
    server = await startNats()
  })
  after(() => server.stop())

  async function join(log: string, instanceId: string, following: readonly number[]): Promise<Instance> {
    const nats: NatsConnection = await connectNats(server.url, instanceId)
    const leases = await openLeases({ nats, log, instanceId, logger: pino({ level: 'silent' }) })
    for (const slot of following) leases.follows(slot, true)
    const die = async (): Promise<void> => {
      await nats.close()
      leases.stop()
    }
    return { leases, die, [Symbol.asyncDispose]: die }
  }

  it('passes a slot to the standby as soon as another process has the dead owner’s name', async () => {
    const owner = await join('quick', 'a', [0])
    assert.equal(await owner.leases.acquire(0), 1)
    await using standby = await join('quick', 'b', [0])
    const taken = standby.leases.acquire(0)
    await owner.die()
    const diedMs = performance.now()
    // It has to recover the slot first, and takes its time.
    await using successor = await join('quick', 'a', [])
    assert.equal(await taken, 2)
    const waitedMs = performance.now() - diedMs
    assert(waitedMs < 1_000, `it was waited for ${waitedMs} ms, as long as for an instance that is silent`)
    await successor.leases.untilHeld(0)
    assert.equal(successor.leases.holds(0), false)
    assert.equal(successor.leases.holder(0), 'other')
    assert.equal(await successor.leases.isOthers(0), true)
  })

  it('leaves a slot to the one whose it was, when nobody else is ready', async () => {
    const owner = await join('alone', 'a', [0, 1])
    await owner.leases.acquire(0)
    await owner.die()
    await using other = await join('alone', 'b', [1])
    await using successor = await join('alone', 'a', [])
    assert.equal(successor.leases.holder(0), 'self')
    assert.equal(successor.leases.holds(0), false)
    assert.equal(other.leases.holder(0), 'nobody')
    assert.equal(other.leases.holder(1), 'nobody')
    successor.leases.follows(0, true)
    assert.equal(await successor.leases.acquire(0), 2)
    await successor.leases.untilHeld(0)
    assert.equal(successor.leases.holds(0), true)
  })

  it('tells an owner that another process of its name has taken its slot', async () => {
    await using owner = await join('twice', 'a', [0])
    await owner.leases.acquire(0)
    const gone = owner.leases.untilGone(0)
    await using successor = await join('twice', 'a', [0])
    await successor.leases.acquire(0)
    assert.equal(await gone, 'lost')
    assert.equal(owner.leases.holds(0), false)
  })
})
