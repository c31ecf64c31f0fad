/**
 * `npm run cluster-check [-- --sync always]`: the whole mesh on three nats-servers of its own, under load. The server that
 * leads is killed, and later cut off without a word; then everything that was answered is held against MySQL and the logs.
 * Prints a table and, as its last line, one JSON object. Exit code 1 when anything is lost or doubled, or a pause is too long.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { ClusterScenario } from './scenario.ts'

/** NATS's own election takes 4 to 9 s. */
const PAUSE_MS_MAX = 12_000
const PER_SECOND = 100

const { values } = parseArgs({ options: { sync: { type: 'string', default: '2m' } } })
const syncInterval = values.sync === 'always' ? 'always' : '2m'

const faults: string[] = []
const result: Record<string, number> = {}
await using scenario = await ClusterScenario.start({ perSecond: PER_SECOND, syncInterval })
for (const [name, fault] of [
  ['killed', () => scenario.kill()],
  ['cutOff', () => scenario.cutOff()],
] as const) {
  const pauseMs = Math.round(await fault())
  result[`${name}PauseMs`] = pauseMs
  console.log(`${name.padEnd(16)} no new order for ${(pauseMs / 1000).toFixed(1)} s`)
  if (pauseMs > PAUSE_MS_MAX) faults.push(`${name}: a pause of ${pauseMs} ms`)
}
try {
  result.accepted = await scenario.audit()
  console.log(`${'accepted'.padEnd(16)} ${result.accepted} orders, each in MySQL once; the audit finds all in order`)
} catch (error) {
  faults.push(error instanceof Error ? error.message : String(error))
}
for (const fault of faults) console.log(`WRONG: ${fault}`)
const settings = { servers: 3, replicas: 3, perSecond: PER_SECOND, syncInterval, ok: faults.length === 0 }
console.log(JSON.stringify({ bench: 'cluster-check', cores: availableParallelism(), settings, result }))
process.exitCode = faults.length === 0 ? 0 : 1
