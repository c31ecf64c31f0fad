import { sourceName } from '#mesh/subjects.ts'
import { bringAbout, drawFaults, type Fault } from './faults.ts'
import { judge, judgeAfterLoss } from './judge.ts'
import { MEMBERS, Members } from './members.ts'
import { ALL_SLOTS, SimulatedMesh } from './mesh.ts'
import { Random } from './random.ts'
import type { Bug } from './server.ts'
import { World } from './world.ts'

export interface SimulationOptions {
  readonly seed: number
  /** Instead of those that the seed draws. */
  readonly faults?: readonly Fault[]
  readonly bug?: Bug
  /** What each member does, instead of a number that the seed draws. */
  readonly actions?: number
  /** Told every line of the story. */
  readonly echo?: (line: string) => void
}

export interface SimulationResult {
  readonly seed: number
  readonly faults: readonly Fault[]
  /** What is wrong; empty when nothing is. */
  readonly wrongs: readonly string[]
  readonly lastLines: readonly string[]
  readonly counts: Counts
}

export interface Counts {
  readonly steps: number
  readonly virtualMs: number
  readonly orders: number
  readonly acknowledged: number
  readonly refused: number
  readonly unknown: number
  readonly restarts: number
  readonly snapshotsUsed: number
}

/** When the last request is answered and the last fault is over, everything is as it should be within so long. */
const SETTLE_MS_MAX = 20_000
/** After a loss nobody can say when everything is as it should be: some slots halt. */
const AFTER_LOSS_MS = 8_000
/** It stays so. */
const SETTLED_MS = 300
const SPAN_MS = 1_500

/** One run of the whole mesh. The same options give the same run. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed } = options
  const world = new World(seed, options.echo)
  const plan = new Random(seed ^ 0x5bd1e995)
  const mesh = new SimulatedMesh(world)
  const restore = takeRejections(world)
  let restarts = 0
  mesh.onStart = () => restarts++
  mesh.start()
  const started = restarts
  // Owners are where it hurts most.
  const owners = ALL_SLOTS.map(([log, slot]) => sourceName(log, slot))
  const names = [...mesh.instances.map(({ name }) => name), ...owners]
  // In every eighth run the server syncs now and then, and its power fails.
  const faults = options.faults ?? drawFaults(plan.fork(), names, SPAN_MS, seed % 8 === 0)
  const losesTails = faults.some(({ kind }) => kind === 'lose tails')
  mesh.snapshots.isLossy = losesTails
  const members = new Members(mesh, plan.fork())
  const wrongs: string[] = []
  // Some run without, so that recoveries begin with the log.
  if (plan.chance(0.7)) {
    void mesh
      .takeSnapshots(plan.int(40, 300))
      .catch((error) => wrongs.push(`no snapshot could be taken: ${error.stack}`))
  }
  try {
    await world.run(
      (async () => {
        await members.open(MEMBERS)
        mesh.server.bug = options.bug
        const drawn = plan.int(8, 24)
        const actions = options.actions ?? drawn
        const days = Array.from({ length: MEMBERS }, (_, index) =>
          members.live(index + 1, actions, (3 * SPAN_MS) / actions),
        )
        await Promise.all([...days, bringAbout(faults, mesh)])
        if (losesTails) {
          // What a slot has lost it finds before it tells anything new.
          await world.sleep(AFTER_LOSS_MS)
          await Promise.all(days.map((_, index) => members.live(index + 1, 3, 10)))
          await world.sleep(AFTER_LOSS_MS)
        } else await settle(mesh)
      })(),
    )
    wrongs.push(...(losesTails ? judgeAfterLoss(mesh) : judge(mesh, members)))
  } catch (error) {
    wrongs.push(error instanceof Error ? String(error.stack) : String(error), ...judge(mesh, members).slice(0, 10))
  } finally {
    restore()
  }
  const told = members.history.map((past) => past.told)
  return {
    seed,
    faults,
    wrongs,
    lastLines: world.lastLines(),
    counts: {
      steps: world.steps,
      virtualMs: Math.round(world.nowMs),
      orders: members.history.filter(({ did }) => did === 'place').length,
      acknowledged: told.filter((each) => 'answer' in each).length,
      refused: told.filter((each) => 'refused' in each).length,
      unknown: told.filter((each) => 'unknown' in each).length,
      restarts: restarts - started,
      snapshotsUsed: mesh.snapshots.used,
    },
  }
}

async function settle(mesh: SimulatedMesh): Promise<void> {
  const { world } = mesh
  const untilMs = world.nowMs + SETTLE_MS_MAX
  let sinceMs = Number.POSITIVE_INFINITY
  for (;;) {
    if (!mesh.isComplete()) sinceMs = Number.POSITIVE_INFINITY
    else if (sinceMs === Number.POSITIVE_INFINITY) sinceMs = world.nowMs
    else if (world.nowMs - sinceMs >= SETTLED_MS) return
    if (mesh.haltedSlots().size > 0) throw new Error(`A slot has halted: ${[...mesh.haltedSlots()].join(', ')}.`)
    if (world.nowMs > untilMs) throw new Error(`It has not come to rest within ${SETTLE_MS_MAX} ms.`)
    await world.sleep(50)
  }
}

/** A rejection that nobody handles ends the process whose code was running, as it does in a real one. */
function takeRejections(world: World): () => void {
  const others = process.listeners('unhandledRejection')
  const take = (error: unknown): void => {
    if (world.current === undefined) throw error
    world.current.fail(error)
  }
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', take)
  return () => {
    process.removeListener('unhandledRejection', take)
    for (const listener of others) process.on('unhandledRejection', listener)
  }
}
