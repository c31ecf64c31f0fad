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
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import { streamsOf } from '#mesh/bus.ts'
import { EVENTS_STREAM, framesSubject, Log } from '#mesh/subjects.ts'
import { startKafka } from '#mesh/testing/servers.ts'
import { kafkaClient } from '../../test/support/kafka.ts'
import { BrokerBench } from '../broker/bench.ts'
import { brokerOptions } from '../broker/options.ts'
import type { Task } from '../broker/task.ts'
import { SLOTS } from '../http/target.ts'
import { untilCaughtUp } from '../http/verify.ts'
import { round } from '../support/statistics.ts'

const { kill, countedMs: COUNTED_MS, warmupMs: WARMUP_MS, killOrders: KILL_ORDERS } = brokerOptions()
const OPEN_MAX = 12_000
const CATCH_UP_MS_MAX = 120_000

/** Where the positions of the event log are, and what they must come to. */
const EVENT_LOG = [
  { group: 'event-log-accounts', topic: 'exchange.orders.v1', log: Log.accounts, slots: SLOTS.accountSlots },
  { group: 'event-log-markets', topic: 'exchange.deals.v1', log: Log.markets, slots: SLOTS.marketSlots },
] as const

const GENERATOR = join(import.meta.dirname, 'generator.ts')

console.log('Starting the mesh, members and their money, Kafka …')
await using bench = await BrokerBench.start()
const { exchange, result } = bench
const TIMES = { warmupMs: WARMUP_MS, countedMs: COUNTED_MS }
if (!kill) await bench.measureHttp(TIMES)
await using server = await startKafka()
const settings = { KAFKA_URL: server.url }
await exchange.mesh.add('ingest-kafka', settings)
await exchange.mesh.add('event-log', settings)
// What came over HTTP is none of the run's.
await untilEventLogIsThere(kafkaClient(server.url))
if (kill) await killAll()
else await measureKafka()
await bench.report('kafka', {
  ...(kill ? { kill, orders: KILL_ORDERS } : { seconds: COUNTED_MS / 1000 }),
  openMax: OPEN_MAX,
})

async function measureKafka(): Promise<void> {
  const { mesh } = exchange
  const pids = {
    ...exchange.pids(1),
    'ingest-kafka': mesh.process('ingest-kafka').pid ?? 0,
    'event-log': mesh.process('event-log').pid ?? 0,
    kafka: server.pid ?? 0,
  }
  const task = newTask(TIMES)
  const measured = await bench.generate(GENERATOR, task, pids)
  const catchUpMs = await untilEventLogIsThere(kafkaClient(server.url))
  const mysqlMs = await untilCaughtUp(exchange)
  exactlyOnce(measured.toldAgain)
  const perSecond = (measured.answered * 1000) / measured.countedMs
  for (const name of ['ingest-kafka', 'event-log']) await mesh.process(name).stop()
  await server.stop()
  await bench.measureHttp(TIMES)
  bench.compare('Kafka, results confirmed', perSecond)
  Object.assign(result, { eventLogCatchUpMs: round(catchUpMs), mysqlCatchUpMs: round(mysqlMs) })
}

async function killAll(): Promise<void> {
  const { mesh } = exchange
  const turns = {
    'ingest-kafka': () => mesh.restart('ingest-kafka'),
    kafka: async () => {
      await server.kill()
      await server.restart()
    },
    engine: () => mesh.restart('engine'),
  }
  const task = newTask({ warmupMs: 0, countedMs: 0, orders: KILL_ORDERS })
  const { measured, kills } = await bench.generateUnderKills(GENERATOR, task, turns)
  const catchUpMs = await untilEventLogIsThere(kafkaClient(server.url))
  exactlyOnce(measured.toldAgain)
  bench.row(`${measured.sent} orders, ${kills} kills`, (measured.sent * 1000) / measured.countedMs)
  Object.assign(result, {
    orders: measured.sent,
    outcomes: measured.sent - measured.wrong,
    kills,
    messagesRepeated: measured.repeated,
    eventLogCatchUpMs: round(catchUpMs),
  })
}

/** Who reads what is committed is told nothing twice. */
function exactlyOnce(toldAgain: number): void {
  if (toldAgain > 0) bench.fault(`${toldAgain} results were told again`)
}

function newTask(task: Pick<Task, 'warmupMs' | 'countedMs' | 'orders'>): Task {
  return { ...task, url: server.url, name: 'kafka', tokens: exchange.tokens, seed: 2, openMax: OPEN_MAX }
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
