import { setTimeout as sleep } from 'node:timers/promises'
import { type SupervisedMesh, signal } from '../support/supervised.ts'
import type { Random } from './random.ts'

export interface Fault {
  /** `kill accounts`, `pause nats`, `kill both engine`. */
  readonly kind: string
  readonly what: 'kill' | 'pause'
  readonly targets: readonly string[]
  /** Parts of the exchange that may notice. */
  readonly parts: readonly string[]
  readonly atMs: number
  /** Up to which a pause counts as this fault's: the next one begins, or it is over. */
  endMs: number
  /** From the fault until what was killed was ready again, in milliseconds. */
  readyAfterMs: number
}

interface Target {
  readonly service: string
  /** Of 100. */
  readonly weight: number
}

/** How often whom: those that hold the truth most of all. */
const TARGETS: readonly Target[] = [
  { service: 'accounts', weight: 20 },
  { service: 'engine', weight: 20 },
  { service: 'gateway', weight: 14 },
  { service: 'orders', weight: 10 },
  { service: 'guid', weight: 7 },
  { service: 'auth', weight: 6 },
  { service: 'nats', weight: 9 },
  { service: 'mariadb', weight: 5 },
  { service: 'redis', weight: 4 },
  { service: 'traefik', weight: 5 },
]
const PAUSE_PERCENT = 25
/** Of faults of a service with two instances. */
const BOTH_PERCENT = 8
const PAUSE_MS_MIN = 200
const PAUSE_MS_MAX = 5_000
/** Servers come back before clients lose patience. */
const SERVER_PAUSE_MS_MAX = 3_000
/** How far a gap between two faults is from the mean at most, as a part of it. */
const GAP_SPREAD = 1 / 3
const READY_POLL_MS = 50

interface Parts {
  readonly supervised: SupervisedMesh
  readonly random: Random
  /** Between two faults, on average. */
  readonly gapMs: number
  /** The parts of the exchange for which a process stands at this moment. */
  readonly partsOf: (name: string) => readonly string[]
  readonly say: (line: string) => void
}

/** Breaks one thing after the other until it is told to stop. The seed decides what, whom and for how long. */
export async function breakThings(parts: Parts, until: AbortSignal): Promise<Fault[]> {
  const { random, say, gapMs } = parts
  const faults: Fault[] = []
  const waiting: Promise<void>[] = []
  const notReady = new Set<string>()
  while (!until.aborted) {
    const gap = random.between(Math.round(gapMs * (1 - GAP_SPREAD)), Math.round(gapMs * (1 + GAP_SPREAD)))
    await sleep(gap, undefined, { signal: until }).catch(() => {})
    if (until.aborted) break
    const plan = nextOf(parts, notReady)
    if (plan === undefined) continue
    const concerned = [...new Set(plan.targets.flatMap(parts.partsOf))]
    const fault: Fault = { ...plan, parts: concerned, atMs: performance.now(), endMs: 0, readyAfterMs: 0 }
    const last = faults.at(-1)
    if (last !== undefined && last.endMs === 0) last.endMs = fault.atMs
    faults.push(fault)
    say(`${fault.kind}: ${fault.targets.join(' and ')}${fault.what === 'pause' ? ` for ${plan.pauseMs} ms` : ''}`)
    for (const name of plan.targets) notReady.add(name)
    const over = strike(parts, fault, plan.pauseMs).then(() => {
      for (const name of plan.targets) notReady.delete(name)
    })
    waiting.push(over)
    // While somebody stands still everything else stays as it is.
    if (fault.what === 'pause') await sleep(plan.pauseMs)
  }
  await Promise.all(waiting)
  const last = faults.at(-1)
  if (last !== undefined && last.endMs === 0) last.endMs = performance.now()
  return faults
}

interface Plan {
  readonly kind: string
  readonly what: Fault['what']
  readonly targets: readonly string[]
  readonly pauseMs: number
}

/** A service whose other instance is not there is left alone: two at once are a fault of its own. */
function nextOf({ supervised, random }: Parts, notReady: ReadonlySet<string>): Plan | undefined {
  const service = weighted(random)
  const instances = [...supervised.processes.keys()].filter((name) => name.replace(/-[0-9]+$/, '') === service)
  const isPause = random.below(100) < PAUSE_PERCENT
  const both = random.below(100) < BOTH_PERCENT && instances.length > 1
  const pauseMs = random.between(PAUSE_MS_MIN, instances.length > 1 ? PAUSE_MS_MAX : SERVER_PAUSE_MS_MAX)
  const one = random.pick(instances)
  if (instances.some((name) => notReady.has(name) || !supervised.process(name).isRunning)) return undefined
  const what = isPause ? 'pause' : 'kill'
  return {
    kind: both ? `${what} both ${service}` : `${what} ${service}`,
    what,
    targets: both ? instances : [one],
    pauseMs,
  }
}

function weighted(random: Random): string {
  let left = random.below(TARGETS.reduce((sum, { weight }) => sum + weight, 0))
  for (const { service, weight } of TARGETS) {
    left -= weight
    if (left < 0) return service
  }
  return 'accounts'
}

async function strike({ supervised }: Parts, fault: Fault, pauseMs: number): Promise<void> {
  await Promise.all(
    fault.targets.map(async (name) => {
      const owned = supervised.process(name)
      if (fault.what === 'kill') return signal(owned, 'SIGKILL')
      signal(owned, 'SIGSTOP')
      await sleep(pauseMs)
      signal(owned, 'SIGCONT')
    }),
  )
  // It may be found out a moment later.
  await sleep(fault.what === 'kill' ? READY_POLL_MS : 1_000)
  await Promise.all(fault.targets.map((name) => untilReady(supervised, name)))
  fault.readyAfterMs = Math.round(performance.now() - fault.atMs)
}

async function untilReady(supervised: SupervisedMesh, name: string): Promise<void> {
  const owned = supervised.process(name)
  while (!owned.isRunning || !(await owned.spec.isReady().catch(() => false))) await sleep(READY_POLL_MS)
}
