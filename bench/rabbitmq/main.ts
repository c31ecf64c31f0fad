/**
 * How many orders per second pass from a RabbitMQ queue through the whole mesh to their results on an exchange, confirmed and read,
 * against the orders that one gateway takes over HTTP in the same run on the same machine.
 *
 *     npm run bench:rabbitmq [-- --quick] [--seconds 30] [--kill [--orders 100000]]
 *
 * `--kill`: ends the ingest, the broker and the engine in turn, by SIGKILL, whenever another tenth of the orders has passed;
 * each must have one outcome and be in MySQL once. Prints a table, and as the last line one JSON object; ends with exit code 1
 * when an order was lost or doubled, or when the money does not add up.
 */
import { join } from 'node:path'
import { startRabbitmq } from '#mesh/testing/servers.ts'
import { BrokerBench } from '../broker/bench.ts'
import { brokerOptions } from '../broker/options.ts'
import type { Task } from '../broker/task.ts'
import { untilCaughtUp } from '../http/verify.ts'
import { round } from '../support/statistics.ts'

const { kill, countedMs: COUNTED_MS, warmupMs: WARMUP_MS, killOrders: KILL_ORDERS } = brokerOptions()
const OPEN_MAX = 2_000
const INGEST = 'ingest-rabbitmq'
const GENERATOR = join(import.meta.dirname, 'generator.ts')

console.log('Starting the mesh, members and their money, RabbitMQ …')
await using bench = await BrokerBench.start()
const { exchange, result } = bench
const TIMES = { warmupMs: WARMUP_MS, countedMs: COUNTED_MS }
if (!kill) await bench.measureHttp(TIMES)
await using server = await startRabbitmq()
await exchange.mesh.add(INGEST, { RABBITMQ_URL: server.url })
if (kill) await killAll()
else await measure()
const settings = kill ? { kill, orders: KILL_ORDERS } : { seconds: COUNTED_MS / 1000 }
await bench.report('rabbitmq', { ...settings, openMax: OPEN_MAX })

async function measure(): Promise<void> {
  const pids = { ...exchange.pids(1), [INGEST]: exchange.mesh.process(INGEST).pid ?? 0, rabbitmq: server.pid ?? 0 }
  const measured = await bench.generate(GENERATOR, taskOf(TIMES), pids)
  const mysqlMs = await untilCaughtUp(exchange)
  const perSecond = (measured.answered * 1000) / measured.countedMs
  await exchange.mesh.process(INGEST).stop()
  await server.stop()
  await bench.measureHttp(TIMES)
  bench.compare('RabbitMQ, results confirmed', perSecond)
  result.mysqlCatchUpMs = round(mysqlMs)
}

async function killAll(): Promise<void> {
  const turns = {
    [INGEST]: () => exchange.mesh.restart(INGEST),
    rabbitmq: async () => {
      await server.kill()
      await server.restart()
    },
    engine: () => exchange.mesh.restart('engine'),
  }
  const task = taskOf({ warmupMs: 0, countedMs: 0, orders: KILL_ORDERS })
  const { measured, kills } = await bench.generateUnderKills(GENERATOR, task, turns)
  bench.row(`${measured.sent} orders, ${kills} kills`, (measured.sent * 1000) / measured.countedMs)
  Object.assign(result, {
    orders: measured.sent,
    outcomes: measured.sent - measured.wrong,
    kills,
    messagesRepeated: measured.repeated,
    resultsToldAgain: measured.toldAgain,
  })
}

function taskOf(size: Pick<Task, 'warmupMs' | 'countedMs' | 'orders'>): Task {
  return { ...size, url: server.url, name: 'rabbit', tokens: exchange.tokens, seed: 2, openMax: OPEN_MAX }
}
