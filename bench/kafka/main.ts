/**
 * How many orders per second pass from a Kafka topic through the whole mesh to their results on another, with the event log
 * written beside it, against the orders that one gateway takes over HTTP in the same run on the same machine.
 *
 *     npm run bench:kafka [-- --quick] [--seconds 30] [--kill [--orders 100000]]
 *
 * `--kill`: ends the ingest, the broker and the engine in turn, by SIGKILL, whenever another tenth of the orders has passed;
 * each must have one outcome and be in MySQL once. Prints a table, and as the last line one JSON object; ends with exit code 1 when an order was
 * lost or doubled, or when the money does not add up.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Kafka } from 'kafkajs'
import { streamsOf } from '#mesh/bus.ts'
import { EVENTS_STREAM, framesSubject, Log } from '#mesh/subjects.ts'
import { startKafka } from '#mesh/testing/servers.ts'
import { kafkaClient } from '../../test/support/kafka.ts'
import { Book } from '../http/book.ts'
import { Exchange, Load, SLOTS } from '../http/target.ts'
import { untilCaughtUp } from '../http/verify.ts'
import { cpuUs } from '../support/cpu.ts'
import { round, table } from '../support/statistics.ts'
import type { Report, Result, Task } from './generator.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    kill: { type: 'boolean', default: false },
    orders: { type: 'string' },
  },
})
const COUNTED_MS = Number(values.seconds ?? (values.quick ? 5 : 30)) * 1000
const WARMUP_MS = values.quick ? 3_000 : 8_000
const KILL_ORDERS = Number(values.orders ?? (values.quick ? 20_000 : 100_000))
const OPEN_MAX = 12_000
const CONNECTIONS = 128
const CATCH_UP_MS_MAX = 120_000

/** Where the positions of the event log are, and what they must come to. */
const EVENT_LOG = [
  { group: 'event-log-accounts', topic: 'exchange.orders.v1', log: Log.accounts, slots: SLOTS.accountSlots },
  { group: 'event-log-markets', topic: 'exchange.deals.v1', log: Log.markets, slots: SLOTS.marketSlots },
] as const

const TURNS = ['ingest-kafka', 'kafka', 'engine'] as const

const faults: string[] = []
const rows: string[][] = [['case', 'per second', 'to HTTP']]
const result: Record<string, number> = {}

console.log('Starting the mesh, members and their money, Kafka …')
await using exchange = await Exchange.start('2m')
const book = new Book(exchange, faults)
const httpPerSecond = values.kill ? 0 : await measureHttp()
const server = await startKafka()
try {
  const settings = { KAFKA_URL: server.url }
  await exchange.mesh.add('ingest-kafka', settings)
  await exchange.mesh.add('event-log', settings)
  if (values.kill) await killAll()
  else await measureKafka()
} finally {
  await server.stop()
}
await report()
process.exitCode = faults.length === 0 ? 0 : 1

async function measureHttp(): Promise<number> {
  await using load = new Load()
  const task = {
    name: 'http',
    addresses: exchange.addresses(1),
    tokens: exchange.tokens,
    connections: CONNECTIONS,
    warmupMs: WARMUP_MS,
    countedMs: COUNTED_MS,
    seed: 1,
  }
  const measured = await load.run(task, {})
  book.add(task.name, measured)
  await untilCaughtUp(exchange)
  const perSecond = (measured.answered * 1000) / measured.countedMs
  rows.push(['HTTP, one gateway', String(round(perSecond)), ''])
  result.httpOrdersPerSecond = round(perSecond)
  return perSecond
}

async function measureKafka(): Promise<void> {
  const { mesh } = exchange
  const pids = {
    ...exchange.pids(1),
    'ingest-kafka': mesh.process('ingest-kafka').pid ?? 0,
    'event-log': mesh.process('event-log').pid ?? 0,
    kafka: server.pid ?? 0,
  }
  const task = newTask({ warmupMs: WARMUP_MS, countedMs: COUNTED_MS })
  const { measured, used } = await generate(task, pids)
  const catchUpMs = await untilEventLogIsThere(kafkaClient(server.url))
  const mysqlMs = await untilCaughtUp(exchange)
  keep(task.name, measured)
  const perSecond = (measured.answered * 1000) / measured.countedMs
  rows.push(['Kafka, results confirmed', String(round(perSecond)), (perSecond / httpPerSecond).toFixed(2)])
  Object.assign(result, {
    ordersPerSecond: round(perSecond),
    ratioToHttp: round(perSecond / httpPerSecond, 3),
    eventLogCatchUpMs: round(catchUpMs),
    mysqlCatchUpMs: round(mysqlMs),
  })
  console.log(`CPU, microseconds per order:\n${cpuTable(used, measured.answered)}\n`)
}

async function killAll(): Promise<void> {
  let kills = 0
  let killing: Promise<void> = Promise.resolve()
  const task = newTask({ warmupMs: 0, countedMs: 0, orders: KILL_ORDERS })
  const { measured } = await generate(task, {}, () => {
    const turn = TURNS[kills++ % TURNS.length] ?? 'engine'
    killing = killing.then(() => kill(turn))
  })
  await killing
  const catchUpMs = await untilEventLogIsThere(kafkaClient(server.url))
  keep(task.name, measured)
  const outcomes = measured.sent - measured.wrong
  rows.push([`${measured.sent} orders, ${kills} kills`, String(round((measured.sent * 1000) / measured.countedMs)), ''])
  Object.assign(result, {
    orders: measured.sent,
    outcomes,
    kills,
    messagesRepeated: measured.repeated,
    eventLogCatchUpMs: round(catchUpMs),
  })
}

async function kill(turn: (typeof TURNS)[number]): Promise<void> {
  if (turn === 'kafka') {
    await server.kill()
    await server.restart()
  } else await exchange.mesh.restart(turn)
  console.log(`  killed and started again: ${turn}`)
}

function newTask(task: Pick<Task, 'warmupMs' | 'countedMs' | 'orders'>): Task {
  return { ...task, kafkaUrl: server.url, name: 'kafka', tokens: exchange.tokens, seed: 2, openMax: OPEN_MAX }
}

/** Runs the generator, and counts the CPU time of the processes while it counts orders. */
async function generate(
  task: Task,
  pids: Readonly<Record<string, number>>,
  onTenth = () => {},
): Promise<{ measured: Result; used: Record<string, number> }> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'generator.ts'), { serialization: 'advanced' })
  const all = { ...pids, generator: child.pid ?? 0 }
  const read = (): [string, number][] => Object.entries(all).map(([name, pid]) => [name, cpuUs(pid)])
  let before = new Map<string, number>()
  let used: Record<string, number> = {}
  try {
    child.send(task)
    for (;;) {
      const [message] = (await once(child, 'message')) as [Report]
      if (message.kind === 'tenth') onTenth()
      if (message.kind === 'counting') before = new Map(read())
      if (message.kind === 'counted') {
        used = Object.fromEntries(read().map(([name, us]) => [name, us - (before.get(name) ?? 0)]))
      }
      if (message.kind === 'failed') throw new Error(`The load generator failed: ${message.message}`)
      if (message.kind === 'done') return { measured: message.result, used }
    }
  } finally {
    child.kill()
  }
}

function keep(name: string, { orderIds, refused, wrong, sent }: Result): void {
  book.add(name, {
    orderIds,
    others: refused,
    greedyIds: new Float64Array(),
  })
  if (wrong > 0) faults.push(`${wrong} of ${sent} orders have no result of their own, or several`)
}

/** @returns how long it took until the event log had everything, in milliseconds. */
async function untilEventLogIsThere(kafka: Kafka): Promise<number> {
  const beganMs = performance.now()
  const admin = kafka.admin()
  await admin.connect()
  const isThere = async ({ group, topic, log, slots }: (typeof EVENT_LOG)[number]): Promise<boolean> => {
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    for (let slot = 0; slot < slots; slot++) {
      const last = await streamsOf(exchange.nats).last(EVENTS_STREAM, framesSubject(log, slot))
      const position = offsets?.partitions.find(({ partition }) => partition === slot)?.offset
      if (last !== undefined && Number(position) < last.seq) return false
    }
    return true
  }
  try {
    while (!(await Promise.all(EVENT_LOG.map(isThere))).every(Boolean)) {
      if (performance.now() - beganMs > CATCH_UP_MS_MAX) throw new Error('The event log does not catch up.')
      await sleep(50)
    }
  } finally {
    await admin.disconnect()
  }
  return performance.now() - beganMs
}

function cpuTable(used: Readonly<Record<string, number>>, orders: number): string {
  const lines = Object.entries(used).map(([name, us]) => [name, (us / orders).toFixed(1)])
  const sum = Object.values(used).reduce((all, us) => all + us, 0)
  return table([['process', 'µs'], ...lines, ['all', (sum / orders).toFixed(1)]])
}

async function report(): Promise<void> {
  const { count, found } = await book.check()
  console.log(table(rows))
  if (found.length === 0) console.log(`\nEach of ${count} accepted orders is in MySQL once, and the money adds up.`)
  for (const fault of faults) console.log(`WRONG: ${fault}`)
  const settings = {
    ...(values.kill ? { kill: true, orders: KILL_ORDERS } : { seconds: COUNTED_MS / 1000 }),
    ...SLOTS,
    openMax: OPEN_MAX,
    verified: faults.length === 0,
  }
  console.log(JSON.stringify({ bench: 'kafka', cores: availableParallelism(), settings, result }))
}
