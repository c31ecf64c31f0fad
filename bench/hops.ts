/**
 * Where the time goes: for each hop of an order how long it waits and how long it is worked on, in microseconds, for one order at
 * a time and for a run under full load. The figures are those of the spans that the services export, as Jaeger would show them.
 *
 *     npm run hops [-- --quick] [--seconds 10] [--connections 128] [--sync always]
 *
 * Prints tables, and as the last line one JSON object. `wait` is the time between the end of the hop before and the beginning of
 * this one: in a log it is the time from when the message was stored.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type CollectedSpan, startCollector } from '#mesh/telemetry/testing/collector.ts'
import { type Address, addressOf, Exchange, Load, SLOTS } from './http/target.ts'
import { untilCaughtUp } from './http/verify.ts'
import { percentile, round, table } from './support/statistics.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    connections: { type: 'string', default: '128' },
    sync: { type: 'string', default: '2m' },
  },
})
const COUNTED_MS = Number(values.seconds ?? (values.quick ? 3 : 10)) * 1_000
const CONNECTIONS = Number(values.connections)
const WARMUP_MS = 2_000
/** Of a run; one order at a time is sampled always. */
const RATIO = 0.05
/** Spans of what was sent last are on their way. */
const EXPORTED_MS = 1_500

/** One look at one hop: microseconds. */
interface Hop {
  readonly name: string
  readonly waitUs?: number
  readonly workUs?: number
}
type Hops = Map<string, { waits: number[]; works: number[] }>

const collector = await startCollector()
await using load = new Load()
await using exchange = await Exchange.start(values.sync === 'always' ? 'always' : '2m', {
  gateways: 1,
  env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_TRACES_SAMPLER_ARG: String(RATIO), TRACE_SLOW_MS: '60000' },
})
const [careful] = await Promise.all([
  exchange.mesh.add('gateway', { OTEL_TRACES_SAMPLER_ARG: '1' }),
  exchange.mesh.add('push-orders'),
])
const [first] = exchange.addresses(1)
if (first === undefined) throw new Error('The mesh has a gateway.')
await measure('warmup', first, CONNECTIONS)
const run = await measure('run', first, CONNECTIONS)
const one = await measure('one', addressOf(careful.url), 1)
await collector[Symbol.asyncDispose]()

const result: Record<string, unknown> = {}
for (const [name, title, { hops, perSecond, orders }] of [
  ['oneOrder', 'One order at a time', one],
  ['run', `A run with ${CONNECTIONS} connections`, run],
] as const) {
  console.log(`\n${title}: ${round(perSecond)} orders/s, ${orders} of them with spans; microseconds\n`)
  console.log(tableOf(hops))
  result[name] = { ordersPerSecond: round(perSecond), sampledOrders: orders, hops: figuresOf(hops) }
}
const settings = { seconds: COUNTED_MS / 1_000, connections: CONNECTIONS, ratio: RATIO, sync: values.sync, ...SLOTS }
console.log(JSON.stringify({ bench: 'hops', cores: availableParallelism(), settings, result }))

async function measure(name: string, address: Address, connections: number) {
  const seen = await load.run(
    {
      name,
      addresses: [address],
      tokens: exchange.tokens,
      connections,
      warmupMs: name === 'warmup' ? 0 : WARMUP_MS,
      countedMs: COUNTED_MS,
      seed: name.length,
    },
    {},
    () => {
      collector.spans.length = 0
    },
  )
  for (const [answer, count] of Object.entries(seen.others)) throw new Error(`${count} orders were answered ${answer}`)
  await untilCaughtUp(exchange)
  await sleep(EXPORTED_MS)
  const hops: Hops = new Map()
  let orders = 0
  for (const spans of Map.groupBy(collector.spans, ({ traceId }) => traceId).values()) {
    const found = hopsOf(spans)
    if (found.length > 0) orders++
    for (const hop of found) add(hops, hop)
  }
  return { hops, orders, perSecond: (seen.answered * 1_000) / seen.countedMs }
}

/** Nothing of a trace that is no order's, or not whole. */
function hopsOf(spans: readonly CollectedSpan[]): Hop[] {
  const named = (name: string): CollectedSpan | undefined => spans.find((span) => span.name === name)
  const request = named('POST /order')
  const append = named('append PlaceOrder')
  const accounts = named('accounts PlaceOrder')
  const engine = named('engine EnterOrder')
  const reply = named('reply')
  if (!request || !append || !accounts || !engine || !reply) return []
  const accountsStoredUs = accounts.startUs - waitOf(accounts)
  const marketsStoredUs = engine.startUs - waitOf(engine)
  return [
    { name: 'gateway: check', workUs: append.startUs - request.startUs },
    { name: 'store in the accounts log', workUs: accountsStoredUs - append.startUs },
    { name: 'accounts: reserve, store', waitUs: waitOf(accounts), workUs: marketsStoredUs - accounts.startUs },
    { name: 'engine: match, store', waitUs: waitOf(engine), workUs: engine.endUs - engine.startUs },
    { name: 'gateway: answer', waitUs: reply.startUs - engine.endUs, workUs: reply.endUs - reply.startUs },
    { name: 'all of the request', workUs: request.endUs - request.startUs },
    ...afterwards(spans, request, engine),
  ]
}

/** What happens to the order's own outcome when the answer has left. */
function afterwards(spans: readonly CollectedSpan[], request: CollectedSpan, engine: CollectedSpan): Hop[] {
  const orderId = request.attributes['exchange.order.id']
  const outcome = spans.find(
    ({ name, attributes }) => name === 'accounts OrderOutcome' && attributes['exchange.order.id'] === orderId,
  )
  if (outcome === undefined) return []
  const hops: Hop[] = [
    { name: 'accounts: settle, store', waitUs: waitOf(outcome), workUs: outcome.endUs - outcome.startUs },
  ]
  for (const { name, parentSpanId, attributes, startUs, endUs } of spans) {
    if (parentSpanId !== outcome.spanId) continue
    if (name === 'write orders') {
      hops.push({
        name: 'orders: MySQL',
        waitUs: Number(attributes['exchange.batch.wait_us'] ?? 0),
        workUs: endUs - startUs,
      })
      hops.push({ name: 'until it is in MySQL', workUs: endUs - engine.endUs })
    }
    if (name === 'tell orders') {
      hops.push({ name: 'push-orders: tell', waitUs: Math.max(0, startUs - outcome.endUs), workUs: endUs - startUs })
    }
  }
  return hops
}

function waitOf({ attributes }: CollectedSpan): number {
  return Number(attributes['exchange.log.wait_us'] ?? 0)
}

function add(hops: Hops, { name, waitUs, workUs }: Hop): void {
  let one = hops.get(name)
  if (one === undefined) {
    one = { waits: [], works: [] }
    hops.set(name, one)
  }
  // Clocks of several processes may differ by some microseconds.
  if (waitUs !== undefined) one.waits.push(Math.max(0, waitUs))
  if (workUs !== undefined) one.works.push(Math.max(0, workUs))
}

function figuresOf(hops: Hops): Record<string, Record<string, number>> {
  return Object.fromEntries(
    Array.from(hops, ([name, { waits, works }]) => [
      name,
      {
        ...(waits.length === 0 ? {} : { waitP50Us: at(waits, 0.5), waitP99Us: at(waits, 0.99) }),
        ...(works.length === 0 ? {} : { workP50Us: at(works, 0.5), workP99Us: at(works, 0.99) }),
      },
    ]),
  )
}

function at(us: readonly number[], share: number): number {
  return round(
    percentile(
      us.toSorted((a, b) => a - b),
      share,
    ),
  )
}

function tableOf(hops: Hops): string {
  const cell = (us: readonly number[], share: number): string => (us.length === 0 ? '' : String(at(us, share)))
  const rows = Array.from(hops, ([name, { waits, works }]) => [
    name,
    cell(waits, 0.5),
    cell(waits, 0.99),
    cell(works, 0.5),
    cell(works, 0.99),
  ])
  return table([['hop', 'wait p50', 'wait p99', 'work p50', 'work p99'], ...rows])
}
