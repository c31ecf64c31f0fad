/**
 * Orders per second and their latency the whole way, with 1, 2 and 4 gateways, and with 1, 2 and 3 engines whose slots move
 * while the mesh runs. Everything is on this machine, so this shows what more instances cost where there are no more cores.
 *
 *     npm run bench:scale [-- --quick] [--seconds 20]
 *
 * Prints a table, and as the last line one JSON object. Exit code 1 when an accepted order is not in MySQL exactly once, when
 * the money does not add up, or when any order was not answered by 201.
 */

import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openBucket } from '#mesh/buckets.ts'
import { Bucket, Log } from '#mesh/subjects.ts'
import { Book } from './http/book.ts'
import { Exchange, Load, MEMBERS, SLOTS } from './http/target.ts'
import { untilCaughtUp } from './http/verify.ts'
import { round, table } from './support/statistics.ts'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, seconds: { type: 'string' } } })
const COUNTED_MS = Number(values.seconds ?? (values.quick ? 3 : 20)) * 1000
const WARMUP_MS = values.quick ? 1_500 : 5_000
const CONNECTIONS = 128
const GATEWAYS = [1, 2, 4] as const
const ENGINES_MAX = 3
const MOVED_MS_MAX = 20_000

interface Measured {
  readonly name: string
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const faults: string[] = []
const measured: Measured[] = []
await using load = new Load()
await using exchange = await Exchange.start('2m', { gateways: Math.max(...GATEWAYS) })
const book = new Book(exchange, faults)

// The first run finds everything cold, and is not told.
await measure('warmup', 1)
measured.length = 0
for (const gateways of GATEWAYS) await measure(`gateways${gateways}`, gateways)
measured.push({ ...measured[0], name: 'engines1' } as Measured)
for (let engines = 2; engines <= ENGINES_MAX; engines++) {
  await exchange.mesh.add('engine')
  await untilShared(engines)
  await measure(`engines${engines}`, 1)
}
const { count } = await book.check()

const rows = measured.map(({ name, perSecond, p50Ms, p99Ms }) => [
  name,
  String(round(perSecond)),
  p50Ms.toFixed(1),
  p99Ms.toFixed(1),
])
console.log(`\n${table([['case', 'orders/s', 'p50 ms', 'p99 ms'], ...rows])}`)
if (faults.length === 0) console.log(`\nEach of ${count} accepted orders is in MySQL once, and the money adds up.`)
for (const fault of faults) console.log(`WRONG: ${fault}`)
const result = Object.fromEntries(
  measured.map(({ name, perSecond, p50Ms, p99Ms }) => [
    name,
    { ordersPerSecond: round(perSecond), p50Ms: round(p50Ms, 1), p99Ms: round(p99Ms, 1) },
  ]),
)
const settings = { seconds: COUNTED_MS / 1000, connections: CONNECTIONS, members: MEMBERS, ...SLOTS }
console.log(JSON.stringify({ bench: 'scale', cores: availableParallelism(), settings, result }))
process.exitCode = faults.length === 0 ? 0 : 1

async function measure(name: string, gateways: number): Promise<void> {
  const task = {
    name,
    addresses: exchange.addresses(gateways),
    tokens: exchange.tokens,
    connections: CONNECTIONS,
    warmupMs: WARMUP_MS,
    countedMs: COUNTED_MS,
    seed: measured.length + 1,
  }
  const seen = await load.run(task, {})
  book.add(name, seen)
  await untilCaughtUp(exchange)
  const perSecond = (seen.answered * 1000) / seen.countedMs
  console.log(`  ${name.padEnd(12)} ${round(perSecond)}/s  p99 ${round(seen.p99Ms, 1)} ms`)
  measured.push({ name, perSecond, p50Ms: seen.p50Ms, p99Ms: seen.p99Ms })
}

/** Until so many engines own slots, as many as there are slots for. */
async function untilShared(engines: number): Promise<void> {
  const leases = await openBucket(exchange.nats, Bucket.leases)
  const deadlineMs = performance.now() + MOVED_MS_MAX
  for (;;) {
    const owners = new Set<string>()
    for (let slot = 0; slot < SLOTS.marketSlots; slot++) {
      const lease = (await leases.get(`${Log.markets}.${slot}`))?.json<{ instance: string; state: string }>()
      if (lease?.state === 'held') owners.add(lease.instance)
    }
    if (owners.size >= Math.min(engines, SLOTS.marketSlots)) return
    if (performance.now() > deadlineMs) throw new Error(`Only ${owners.size} of ${engines} engines own slots.`)
    await sleep(100)
  }
}
