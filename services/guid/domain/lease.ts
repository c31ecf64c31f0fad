import assert from 'node:assert/strict'
import { idAt, timeOf } from './timeline.ts'

/**
 * How one instance gets ranges of ids that no other has. All instances share a bound in the bus: every id below it may have
 * been given out. An instance leases [first, end) by moving the bound to `end` with a compare-and-set.
 *
 * What can go wrong, and why no id comes twice all the same:
 * - Another instance, a restart: the bound.
 * - A clock that jumps back: the bound leads; a clock that is behind it is set forward to it, so nobody waits an hour either.
 * - The bus lost its last writes (the bound is lower than it was): no id is given out further than AHEAD_MS ahead of the clock,
 *   so a lease that begins LEAP_MS ahead lies above all of them. Whoever starts, reconnects, or sees a lower bound than he has
 *   seen before cannot know, and leaps. He then waits until the clock has come near: AHEAD_MS holds for him too.
 * - Both at once: the clock proves nothing where it is behind the bound, so the leap is from the bound, by more than the bus
 *   can lose, and by a length of each process's own, should the bus lose such a leap as well. (What is left open: a restart
 *   of all instances at which the bus lost n seconds and the clock jumped back by less than n.)
 * Those that run tell each other their bounds and lease anew as soon as the bus is back, so that what it lost is repaired
 * before somebody starts who has no memory.
 */
export interface Leaser {
  /** The highest bound ever seen. */
  seenEnd: number
  /** The bound as it was read or moved last; lower than `seenEnd` after the bus lost it. */
  bound: number
  /** How far the shared line of time is ahead of the own clock, in milliseconds. Never falls. */
  clockAheadMs: number
  /** Where the next lease begins at the earliest. */
  leapTo: number
  /** Whether the bound may have lost what others moved: the next plan leaps. */
  doubt: boolean
  size: number
  /** 0 to 1, another one in each process. */
  readonly salt: number
  lease: Lease | undefined
}

export interface Lease {
  next: number
  readonly end: number
  readonly takenAtMs: number
}

/** A lease's range may reach this far beyond the clock. */
export const AHEAD_MS = 1000
/** More than AHEAD_MS by what clocks of several machines may differ. */
export const LEAP_MS = 1250
/** More than the bus can lose: it syncs its files every two minutes or more often. */
export const LOSS_MS_MAX = 150_000
/** What is left of a lease after this time is dropped, so that ids stay in the order of time. */
export const LEASE_MS_MAX = 500

/** A lease of the smallest size lasts 8 ms of the line: 60 idle instances fit side by side. */
export const LEASE_SIZE_MIN = 2 ** 14
export const LEASE_SIZE_MAX = 2 ** 18

export const newLeaser = (salt: number): Leaser => ({
  seenEnd: 1,
  bound: 1,
  clockAheadMs: 0,
  leapTo: 1,
  doubt: true,
  size: LEASE_SIZE_MIN,
  salt,
  lease: undefined,
})

export type Plan =
  | { readonly kind: 'take'; readonly first: number; readonly end: number }
  | { readonly kind: 'wait'; readonly ms: number }

/** What to do for the next lease when the shared bound is `bound` (1 where there is none yet). */
export function planLease(leaser: Leaser, bound: number, nowMs: number): Plan {
  assert(Number.isSafeInteger(bound) && bound >= 1)
  if (bound < leaser.bound) leaser.doubt = true
  leaser.bound = bound
  leaser.seenEnd = Math.max(leaser.seenEnd, bound)
  if (leaser.doubt) leap(leaser, nowMs)
  leaser.clockAheadMs = Math.max(leaser.clockAheadMs, timeOf(leaser.seenEnd) - AHEAD_MS - nowMs)
  const clockMs = nowMs + leaser.clockAheadMs
  const first = Math.max(leaser.seenEnd, leaser.leapTo, idAt(clockMs))
  const end = first + leaser.size
  const aheadMs = timeOf(end) - clockMs
  if (aheadMs > AHEAD_MS) return { kind: 'wait', ms: Math.ceil(aheadMs - AHEAD_MS) }
  return { kind: 'take', first, end }
}

function leap(leaser: Leaser, nowMs: number): void {
  const boundMs = timeOf(leaser.seenEnd)
  const clockIsBehind = boundMs > nowMs + leaser.clockAheadMs + LEAP_MS
  if (clockIsBehind) leaser.clockAheadMs = boundMs + LOSS_MS_MAX * (1 + leaser.salt) - nowMs
  leaser.leapTo = Math.max(leaser.seenEnd, idAt(nowMs + leaser.clockAheadMs + (clockIsBehind ? 0 : LEAP_MS)))
  leaser.doubt = false
}

/** The bound was moved to `end`: the range is ours. Its size follows what was used of the one before. */
export function leaseTaken(
  leaser: Leaser,
  plan: { readonly first: number; readonly end: number },
  nowMs: number,
): void {
  const before = leaser.lease
  if (before !== undefined) {
    const usedUp = before.next === before.end
    const lifeMs = nowMs - before.takenAtMs
    if (usedUp && lifeMs < LEASE_MS_MAX / 2) leaser.size = Math.min(leaser.size * 2, LEASE_SIZE_MAX)
    if (!usedUp) leaser.size = Math.max(leaser.size / 2, LEASE_SIZE_MIN)
  }
  leaser.seenEnd = Math.max(leaser.seenEnd, plan.end)
  leaser.bound = plan.end
  leaser.lease = { next: plan.first, end: plan.end, takenAtMs: nowMs }
}

/** Another instance says how far it moved the bound: remembered, should the bus lose it. */
export function boundSeen(leaser: Leaser, end: number): void {
  leaser.seenEnd = Math.max(leaser.seenEnd, end)
}

/** The bus was away: what is left of the lease is dropped, and the bound is in doubt. */
export function busWasAway(leaser: Leaser): void {
  leaser.lease = undefined
  leaser.doubt = true
}

/** Up to `count` ids from the lease; undefined when there is none, it is used up, or too old. */
export function takeBlock(
  leaser: Leaser,
  count: number,
  nowMs: number,
): { readonly first: number; readonly count: number } | undefined {
  assert(Number.isSafeInteger(count) && count >= 1)
  const { lease } = leaser
  if (lease === undefined || lease.next === lease.end || nowMs - lease.takenAtMs > LEASE_MS_MAX) return undefined
  const first = lease.next
  const taken = Math.min(count, lease.end - first)
  lease.next = first + taken
  return { first, count: taken }
}
