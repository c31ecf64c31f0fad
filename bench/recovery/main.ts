/**
 * How fast slots are back: states into a file and back; the folds alone; a replay of the whole log through the bus, of one slot and of
 * all slots of a mesh with two instances; a recovery from snapshots. And what taking a snapshot does to the owner of the slot meanwhile.
 *
 *     npm run bench:recovery [-- --quick] [--resting N] [--trading N] [--together N]
 */
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { TakenSnapshot } from '#mesh/machine/snapshots/take.ts'
import { callRpc } from '#mesh/rpc.ts'
import { Log, slotSnapshotSubject } from '#mesh/subjects.ts'
import { measureFolds } from './folds.ts'
import { RecoveryMesh } from './mesh.ts'
import { orderMessages } from './orders.ts'
import { measureStates } from './states.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    resting: { type: 'string' },
    trading: { type: 'string' },
    together: { type: 'string' },
  },
})
const resting = Number(values.resting ?? (values.quick ? 20_000 : 1_000_000))
const trading = Number(values.trading ?? (values.quick ? 20_000 : 200_000))
const together = Number(values.together ?? (values.quick ? 20_000 : 500_000))

/** After a replay V8 gives back what it has over, piece by piece: that is the replay's doing. */
const SETTLE_MS = values.quick ? 1_000 : 30_000
const SERVICES = [
  { name: 'accounts', log: Log.accounts },
  { name: 'engine', log: Log.markets },
] as const
/** The defaults of a mesh, and the two instances that it is meant to have. */
const SLOTS = 4
const INSTANCES = 2

const states = await measureStates(resting)
console.log('One slot of each kind with so many resting orders, in milliseconds of the thread that does it:')
console.table(states)
const folds = measureFolds(values.quick ? 20_000 : 100_000, values.quick ? 2 : 4)
const { loadSeconds, result } = await measureOneSlot()
console.log('One slot, one instance:')
console.table(result)
const parallel = await measureTogether()
console.log(`${SLOTS} slots of accounts, ${INSTANCES} instances, both killed; until every slot has an owner again:`)
console.table({ accounts: parallel })
const settings = {
  resting,
  trading,
  together,
  slots: SLOTS,
  instances: INSTANCES,
  loadSeconds: round(loadSeconds),
  node: process.version,
}
console.log(
  JSON.stringify({
    bench: 'recovery',
    cores: availableParallelism(),
    settings,
    result: { ...result, accountsTogether: parallel },
  }),
)

async function measureOneSlot(): Promise<{ loadSeconds: number; result: Record<string, Record<string, number>> }> {
  await using mesh = await RecoveryMesh.start(1)
  for (const { name } of SERVICES) await mesh.add(name, 1)
  const loadSeconds = await mesh.load(orderMessages({ resting, trading }))
  const result: Record<string, Record<string, number>> = {}
  for (const { name, log } of SERVICES) {
    const replayMs = await mesh.recover(name)
    await sleep(SETTLE_MS)
    let taken: TakenSnapshot | undefined
    const busyMs = await mesh.longestPause(name, async () => {
      taken = await callRpc<TakenSnapshot>(mesh.nats, slotSnapshotSubject(log, 0), {}, 600_000)
    })
    const calmMs = await mesh.longestPause(name, () => sleep(taken?.ms ?? 0))
    const recoveryMs = await mesh.recover(name)
    result[name] = {
      ...states[name],
      foldOrdersPerSecond: Math.round(folds[log]),
      replayOrdersPerSecond: Math.round(((resting + trading) * 1000) / replayMs),
      replayMs,
      snapshotTakenMs: taken?.ms ?? 0,
      snapshotMb: Math.round((taken?.bytes ?? 0) / 1e5) / 10,
      recoveryFromSnapshotMs: recoveryMs,
      longestPauseMsCalm: round(calmMs),
      longestPauseMsWhileTaken: round(busyMs),
    }
  }
  return { loadSeconds, result }
}

/** Nobody has a snapshot: the whole log is replayed. */
async function measureTogether(): Promise<{ replayMs: number; replayOrdersPerSecond: number }> {
  await using mesh = await RecoveryMesh.start(SLOTS)
  for (const { name } of SERVICES) await mesh.add(name, INSTANCES)
  await mesh.load(orderMessages({ resting: 0, trading: together }))
  const replayMs = await mesh.recover('accounts')
  return { replayMs, replayOrdersPerSecond: Math.round((together * 1000) / replayMs) }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
