import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  AHEAD_MS,
  boundSeen,
  busWasAway,
  LEAP_MS,
  LEASE_MS_MAX,
  LEASE_SIZE_MAX,
  LEASE_SIZE_MIN,
  type Leaser,
  LOSS_MS_MAX,
  leaseTaken,
  newLeaser,
  planLease,
  takeBlock,
} from './lease.ts'
import { IDS_PER_SECOND, idAt, timeOf } from './timeline.ts'

const NOW_MS = Date.UTC(2026, 5, 1)

describe('the line of ids', () => {
  it('has 2^21 ids in a second and comes back to the time', () => {
    assert.equal(idAt(Date.UTC(2025, 0, 1) + 1000), IDS_PER_SECOND)
    assert.equal(timeOf(idAt(NOW_MS)), NOW_MS)
    assert.equal(idAt(0), 1)
    assert.ok(idAt(Date.UTC(2160, 0, 1)) < Number.MAX_SAFE_INTEGER)
    assert.throws(() => idAt(Date.UTC(2161, 2, 1)), { name: 'AssertionError' })
  })
})

describe('leases', () => {
  it('a fresh instance leaps, and waits until the clock has come near', () => {
    const leaser = newLeaser(0)
    const plan = planLease(leaser, 1, NOW_MS)
    assert.equal(plan.kind, 'wait')
    const later = planLease(leaser, 1, NOW_MS + (plan.kind === 'wait' ? plan.ms : 0))
    assert.equal(later.kind, 'take')
    if (later.kind !== 'take') return
    assert.equal(later.first, idAt(NOW_MS + LEAP_MS))
    assert.equal(later.end - later.first, LEASE_SIZE_MIN)
  })

  it('one that runs goes on at the bound, or at the clock when that is further', () => {
    const leaser = running()
    const bound = idAt(NOW_MS + 300)
    assert.deepEqual(planLease(leaser, bound, NOW_MS), { kind: 'take', first: bound, end: bound + LEASE_SIZE_MIN })
    assert.equal(first(planLease(leaser, bound, NOW_MS + 5000)), idAt(NOW_MS + 5000))
  })

  it('nothing is leased beyond a second ahead of the clock', () => {
    const leaser = running()
    const bound = idAt(NOW_MS + AHEAD_MS) - LEASE_SIZE_MIN + 1
    assert.equal(planLease(leaser, bound, NOW_MS).kind, 'wait')
    assert.equal(planLease(running(), bound - 1, NOW_MS).kind, 'take')
  })

  it('a bound that went backwards is leapt over', () => {
    const leaser = running()
    const bound = idAt(NOW_MS + 500)
    assert.equal(first(planLease(leaser, bound, NOW_MS)), bound)
    assert.equal(planLease(leaser, idAt(NOW_MS - 60_000), NOW_MS).kind, 'wait')
    assert.equal(first(planLease(leaser, idAt(NOW_MS - 60_000), NOW_MS + 300)), idAt(NOW_MS + LEAP_MS))
  })

  it('a clock that jumped back an hour goes on above the bound without waiting for it', () => {
    const leaser = newLeaser(0)
    const bound = idAt(NOW_MS)
    const plan = planLease(leaser, bound, NOW_MS - 3_600_000)
    assert.equal(first(plan), idAt(NOW_MS + LOSS_MS_MAX))
    assert.equal(leaser.clockAheadMs, 3_600_000 + LOSS_MS_MAX)
  })

  it('a lease is given out in order, and short at its end', () => {
    const leaser = running()
    take(leaser, idAt(NOW_MS), NOW_MS)
    const start = idAt(NOW_MS)
    assert.deepEqual(takeBlock(leaser, 10, NOW_MS), { first: start, count: 10 })
    assert.deepEqual(takeBlock(leaser, LEASE_SIZE_MIN, NOW_MS), { first: start + 10, count: LEASE_SIZE_MIN - 10 })
    assert.equal(takeBlock(leaser, 1, NOW_MS), undefined)
  })

  it('an old lease is dropped', () => {
    const leaser = running()
    take(leaser, idAt(NOW_MS), NOW_MS)
    assert.ok(takeBlock(leaser, 1, NOW_MS + LEASE_MS_MAX))
    assert.equal(takeBlock(leaser, 1, NOW_MS + LEASE_MS_MAX + 1), undefined)
  })

  it('nothing is left of a lease when the bus was away', () => {
    const leaser = running()
    take(leaser, idAt(NOW_MS), NOW_MS)
    busWasAway(leaser)
    assert.equal(takeBlock(leaser, 1, NOW_MS), undefined)
    assert.equal(planLease(leaser, leaser.seenEnd, NOW_MS).kind, 'wait')
  })

  it('its size doubles when it is used up soon, and falls when it is not', () => {
    const leaser = running()
    let nowMs = NOW_MS
    for (let turn = 0; turn < 10; turn++) {
      nowMs += 100
      take(leaser, leaser.seenEnd, nowMs)
      takeBlock(leaser, LEASE_SIZE_MAX, nowMs)
    }
    assert.equal(leaser.size, LEASE_SIZE_MAX)
    for (let turn = 0; turn < 10; turn++) {
      nowMs += 1000
      take(leaser, leaser.seenEnd, nowMs)
    }
    assert.equal(leaser.size, LEASE_SIZE_MIN)
  })
})

/**
 * Several instances with clocks that differ by up to 200 ms, on one bound, through a random history: time passes, blocks are
 * asked for, an instance restarts (its clock set back or not), the bus restarts and has lost the bound's last writes.
 */
describe('no id is given out twice, and ids are in order to about a second', () => {
  const who = fc.nat(2)
  const backMs = fc.oneof(fc.constant(0), fc.integer({ min: 3000, max: 10_000_000 }))
  const step = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ do: fc.constant('block' as const), who, count: fc.integer({ min: 1, max: 1e5 }) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 2000 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const), who, backMs }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), writes: fc.integer({ min: 1, max: 30 }) }) },
  )
  const steps = fc.array(step, { maxLength: 150, size: 'max' })
  const skews = fc.tuple(fc.nat(200), fc.nat(200), fc.nat(200))

  it('in random histories', () => {
    fc.assert(
      fc.property(steps, skews, (history, skewsMs) => {
        const world = newWorld(skewsMs)
        for (const step of history) {
          if (step.do === 'pass') world.nowMs += step.ms
          if (step.do === 'block') world.ask(step.who, step.count)
          if (step.do === 'restart') world.restart(step.who, step.backMs)
          if (step.do === 'lose') world.lose(step.writes)
        }
        world.check()
      }),
      { numRuns: 1000 },
    )
  })

  it('when the only instance starts anew, its clock set back by more than what the bus lost', () => {
    const world = newWorld([0])
    for (let second = 0; second < 60; second++) {
      world.ask(0, 1000)
      world.nowMs += 1000
    }
    world.forget(50)
    world.restart(0, 100_000)
    for (let second = 0; second < 200; second++) {
      world.ask(0, 1000)
      world.nowMs += 1000
    }
    world.check()
  })
})

function newWorld(skewsMs: readonly number[]) {
  let salt = 0
  const fresh = () => {
    salt = (salt + 0.618034) % 1
    return newLeaser(salt)
  }
  const instances = skewsMs.map((skewMs) => ({ skewMs, leaser: fresh() }))
  const given: { first: number; end: number }[] = []
  let bounds = [1]
  let jumped = false
  const world = {
    nowMs: NOW_MS,
    restart(who: number, backMs: number): void {
      const instance = at(instances, who)
      instance.leaser = fresh()
      instance.skewMs -= backMs
      jumped ||= backMs > 0
    },
    forget(writes: number): void {
      bounds = bounds.slice(0, Math.max(1, bounds.length - writes))
    },
    /** Those that run lease anew as soon as the bus is back. */
    lose(writes: number): void {
      world.forget(writes)
      for (const { leaser } of instances) busWasAway(leaser)
      for (const who of instances.keys()) world.ask(who, 1)
    },
    ask(who: number, count: number): void {
      const { leaser, skewMs } = at(instances, who)
      for (let turn = 0; turn < 20; turn++) {
        const nowMs = world.nowMs + skewMs
        const block = takeBlock(leaser, count, nowMs)
        if (block !== undefined) {
          const clockMs = nowMs + leaser.clockAheadMs
          assert.ok(timeOf(block.first + block.count) <= clockMs + AHEAD_MS + 1, 'ahead of the clock')
          assert.ok(timeOf(block.first) >= clockMs - LEASE_MS_MAX - 1, 'behind the clock')
          if (!jumped) assert.ok(Math.abs(timeOf(block.first) - world.nowMs) < AHEAD_MS + 500, 'far from the time')
          given.push({ first: block.first, end: block.first + block.count })
          return
        }
        const plan = planLease(leaser, at(bounds, bounds.length - 1), nowMs)
        if (plan.kind === 'take') {
          bounds.push(plan.end)
          leaseTaken(leaser, plan, nowMs)
          for (const other of instances) boundSeen(other.leaser, plan.end)
        } else {
          assert.ok(plan.ms < 1500, `waits ${plan.ms} ms`)
          world.nowMs += plan.ms
        }
      }
      assert.fail('no block after many turns')
    },
    check(): void {
      let end = 0
      for (const block of given.sort((a, b) => a.first - b.first)) {
        assert.ok(end <= block.first, `${block.first} was given out twice`)
        end = block.end
      }
    },
  }
  return world
}

/** An instance that is not in doubt. */
function running(): Leaser {
  return { ...newLeaser(0), doubt: false }
}

function take(leaser: Leaser, bound: number, nowMs: number): void {
  const plan = planLease(leaser, bound, nowMs)
  assert.equal(plan.kind, 'take')
  if (plan.kind === 'take') leaseTaken(leaser, plan, nowMs)
}

const first = (plan: ReturnType<typeof planLease>): number | undefined =>
  plan.kind === 'take' ? plan.first : undefined

function at<T>(list: readonly T[], index: number): T {
  const item = list[index]
  assert(item !== undefined)
  return item
}
