/**
 * Live data to many WebSockets at once: spread over many instruments, all on one, and all of them reconnecting.
 *
 *     npm run bench:push [-- --quick] [--connections 10000] [--instruments 500] [--seconds 20]
 *
 * Prints a table, and as the last line one JSON object. Times are from the event's place in the market's log to the client.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { seedMembers } from '#mesh/seeding.ts'
import { Client } from '../../test/support/client.ts'
import { eventually } from '../../test/support/eventually.ts'
import { connectTo, startMesh } from '../../test/support/mesh.ts'
import { residentMb } from '../support/cpu.ts'
import { fundMembers } from '../support/fund.ts'
import { percentile, round, table } from '../support/statistics.ts'
import type { ClientSpec, ClientTask, Measured } from './client.ts'
import { Traders } from './traders.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    connections: { type: 'string' },
    instruments: { type: 'string' },
    seconds: { type: 'string' },
  },
})
const CONNECTIONS = Number(values.connections ?? (values.quick ? 300 : 10_000))
const INSTRUMENTS = Number(values.instruments ?? (values.quick ? 15 : 500))
const MEASURED_MS = Number(values.seconds ?? (values.quick ? 4 : 20)) * 1_000
const STORM_MS = values.quick ? 1_000 : 10_000
/** Spread over all instruments; on one. */
const ORDERS_PER_SECOND = values.quick ? { spread: 80, one: 100 } : { spread: 400, one: 500 }
const CLIENT_PROCESSES = 2
const TRADERS = 50
const WARM_MS = values.quick ? 1_000 : 3_000
const MARKETS_AT_ONCE = 20
const SHAPE = { ACCOUNT_SLOTS: '2', MARKET_SLOTS: '2' }

const many = '1000000:1000000'
await using mesh = await startMesh({
  scale: { gateway: 2 },
  env: {
    ...SHAPE,
    LOG_LEVEL: 'warn',
    RATE_TRADE: many,
    RATE_ADDRESS: many,
    RATE_READ: many,
    STREAM_CONNECTIONS_PER_ADDRESS: '20000',
  },
})
const PUSHERS = ['push-market', 'push-orders', 'push-accounts'] as const
await Promise.all(PUSHERS.map((pusher) => mesh.add(pusher)))
const nats = await connectTo(mesh)
const anyone = new Client(mesh.urls)
const admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
const instruments = await defineMarkets(INSTRUMENTS)
const members = await seedMembers(nats, { count: CONNECTIONS + TRADERS, lifetimeS: 3_600 })
const traderMembers = members.splice(0, TRADERS)
await fundMembers(nats, {
  accountSlots: Number(SHAPE.ACCOUNT_SLOTS),
  memberIds: traderMembers.map(({ memberId }) => memberId),
  gift: Object.fromEntries([
    ['USDT', 10n ** 17n],
    ...instruments.map((instrument) => [instrument.slice(0, instrument.indexOf('-')), 10n ** 15n]),
  ]),
})
const watchers = members.map(
  ({ accessToken }, index): ClientSpec => ({
    url: mesh.urls[index % mesh.urls.length] ?? '',
    token: accessToken,
    instrument: instruments[index % instruments.length] ?? '',
  }),
)

const children = Array.from({ length: CLIENT_PROCESSES }, () =>
  fork(join(import.meta.dirname, 'client.ts'), { serialization: 'advanced' }),
)
try {
  const spread = await measure('spread', watchers, instruments, ORDERS_PER_SECOND.spread)
  const storm = await reconnect()
  await askAll({ kind: 'disconnect' })
  await sleep(WARM_MS)
  const [first = ''] = instruments
  const one = await measure(
    'one instrument',
    watchers.map((spec) => ({ ...spec, instrument: first })),
    [first],
    ORDERS_PER_SECOND.one,
  )
  await askAll({ kind: 'disconnect' })
  const rows = [spread, one].map((run) => [
    run.name,
    String(run.ordersPerSecond),
    String(run.deliveriesPerSecond),
    run.p50Ms.toFixed(1),
    run.p99Ms.toFixed(1),
    run.ageP99Ms.toFixed(0),
    String(run.checked),
    String(run.dropped),
    String(run.gatewaysMb),
  ])
  const head = ['', 'orders/s', 'deliveries/s', 'p50 ms', 'p99 ms', 'age p99 ms', 'checksums', 'dropped', 'gateways MB']
  console.log(table([head, ...rows]))
  console.log(
    `storm: ${CONNECTIONS} connections within ${STORM_MS} ms were all served again after ${storm.readyMs} ms, ${storm.reloads} had to reload, ${storm.retried} had to connect again`,
  )
  const settings = {
    connections: CONNECTIONS,
    instruments: INSTRUMENTS,
    ordersPerSecond: ORDERS_PER_SECOND,
    seconds: MEASURED_MS / 1_000,
  }
  console.log(
    JSON.stringify({ bench: 'push', cores: availableParallelism(), settings, result: { spread, one, storm } }),
  )
} finally {
  for (const child of children) child.kill()
  await nats.close()
}

async function defineMarkets(count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => `Q${index.toString(36).toUpperCase().padStart(3, '0')}`)
  for (let at = 0; at < count; at += MARKETS_AT_ONCE) {
    await Promise.all(
      names.slice(at, at + MARKETS_AT_ONCE).map(async (base) => {
        await admin.ok('POST', '/admin/assets', { asset: base, scale: 8 })
        const steps = { tick: '0.01', lot: '0.00001', makerFeePpm: 0, takerFeePpm: 0 }
        await admin.ok('POST', '/admin/markets', { base, quote: 'USDT', ...steps })
      }),
    )
  }
  const all = names.map((base) => `${base}-USDT`)
  await eventually(async () => {
    for (const url of mesh.urls) await new Client([url]).ok('GET', `/markets/${all.at(-1)}`)
  })
  return all
}

async function ask<Result>(child: ChildProcess, task: ClientTask): Promise<Result> {
  child.send(task)
  const ended = once(child, 'exit').then(() => [{ error: 'it ended' }])
  const [{ result, error }] = (await Promise.race([once(child, 'message'), ended])) as [
    { result?: Result; error?: string },
  ]
  if (result === undefined) throw new Error(`A client process failed: ${error}`)
  return result
}

function askAll<Result>(task: ClientTask): Promise<Result[]> {
  return Promise.all(children.map((child) => ask<Result>(child, task)))
}

/** Connects all clients, sends orders, and measures for a while. */
async function measure(
  name: string,
  specs: readonly ClientSpec[],
  markets: readonly string[],
  ordersPerSecond: number,
) {
  const shares = children.map((_, index) => specs.filter((_, at) => at % children.length === index))
  await Promise.all(
    children.map((child, index) =>
      ask(child, { kind: 'connect', clients: shares[index] ?? [], overMs: STORM_MS, resume: false }),
    ),
  )
  await using traders = await Traders.start({
    urls: mesh.urls,
    members: traderMembers,
    markets,
    ordersPerSecond,
  })
  await sleep(WARM_MS)
  const placedBefore = traders.placed
  const measured = await askAll<Measured>({ kind: 'measure', ms: MEASURED_MS })
  const placed = traders.placed - placedBefore
  const latencies = measured.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b)
  const ages = measured.flatMap(({ agesMs }) => agesMs).sort((a, b) => a - b)
  const sum = (of: (one: Measured) => number): number => measured.reduce((total, one) => total + of(one), 0)
  return {
    name,
    ordersPerSecond: round(placed / (MEASURED_MS / 1_000)),
    deliveriesPerSecond: round(sum(({ deliveries }) => deliveries) / (MEASURED_MS / 1_000)),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    ageP99Ms: percentile(ages, 0.99),
    checked: sum(({ checked }) => checked),
    dropped: sum(({ dropped }) => dropped),
    gatewaysMb: ['gateway', 'gateway-2'].reduce((mb, name) => mb + residentMb(mesh.process(name).pid ?? 0), 0),
  }
}

/** All connections end at once, and come back within some seconds with the positions that they had. */
async function reconnect(): Promise<{ readyMs: number; reloads: number; retried: number }> {
  await askAll({ kind: 'disconnect' })
  const results = await askAll<{ readyMs: number; reloads: number; retried: number }>({
    kind: 'connect',
    clients: [],
    overMs: STORM_MS,
    resume: true,
  })
  return {
    readyMs: round(Math.max(...results.map(({ readyMs }) => readyMs))),
    reloads: results.reduce((total, { reloads }) => total + reloads, 0),
    retried: results.reduce((total, { retried }) => total + retried, 0),
  }
}
