/**
 * What tracing costs the order path: the same processes with tracing switched off, and with 1 % of the requests sampled (and the hops
 * of all others carried), under the same load in turn. Every five pairs the services start anew and get warm.
 *
 *     npm run bench:tracing [-- --quick] [--pairs 20] [--seconds 2] [--ratio 0.01]
 *
 * Prints each pair, a table, and as the last line one JSON object: the median of the pairs' ratios and its interval of 95 %.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { switchSampling } from '#mesh/telemetry/sampling.ts'
import type { Sampling } from '#mesh/telemetry/telemetry.ts'
import { startCollector } from '#mesh/telemetry/testing/collector.ts'
import { Exchange, Load, SLOTS } from './http/target.ts'
import { untilCaughtUp } from './http/verify.ts'
import { median, medianInterval, round, table } from './support/statistics.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    pairs: { type: 'string' },
    seconds: { type: 'string' },
    ratio: { type: 'string', default: '0.01' },
  },
})
const PAIRS = Number(values.pairs ?? (values.quick ? 4 : 20))
const COUNTED_MS = Number(values.seconds ?? (values.quick ? 1 : 2)) * 1_000
const WARMUP_MS = 300
/** A process that was started a moment ago is not yet the one that runs all day. */
const WARM_MS = values.quick ? 2_000 : 15_000
const CONNECTIONS = 128
const PAIRS_OF_ONE_START = 5
const LISTEN_MS = 200
const STARTED_ANEW = ['accounts', 'engine', 'orders', 'gateway']
const RATIO = Number(values.ratio)

interface Run {
  readonly perSecond: number
  /** Per order, of all processes, and of each. */
  readonly cpuUs: number
  readonly cpuUsByProcess: Readonly<Record<string, number>>
}

// Spans are counted and thrown away: a real collector is another machine's work.
let spans = 0
await using collector = await startCollector(() => {
  spans++
  return false
})
await using load = new Load()
await using exchange = await Exchange.start('2m', {
  gateways: 1,
  env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_TRACES_SAMPLER_ARG: values.ratio },
})
let taskCount = 0
const runs: { readonly off: Run; readonly on: Run }[] = []
for (let pair = 1; pair <= PAIRS; pair++) {
  if (pair % PAIRS_OF_ONE_START === 1) await startAnew()
  // Who comes first changes, so that whatever the machine does meanwhile hits both alike.
  const isOffFirst = pair % 2 === 1
  const before = await measure(isOffFirst ? 'off' : RATIO, COUNTED_MS)
  const after = await measure(isOffFirst ? RATIO : 'off', COUNTED_MS)
  const both = isOffFirst ? { off: before, on: after } : { off: after, on: before }
  runs.push(both)
  console.log(
    `  pair ${pair}: off ${round(both.off.perSecond)}/s, on ${round(both.on.perSecond)}/s, ratio ${ratioOf(both).toFixed(3)}`,
  )
}
const ratios = runs.map(ratioOf)
const cpuRatios = runs.map((run) => run.on.cpuUs / run.off.cpuUs)
const interval = medianInterval(ratios)
const result = {
  ratioOnToOff: round(median(ratios), 3),
  ratioLow: round(interval.low, 3),
  ratioHigh: round(interval.high, 3),
  cpuRatioOnToOff: round(median(cpuRatios), 3),
  offOrdersPerSecond: round(median(runs.map((run) => run.off.perSecond))),
  onOrdersPerSecond: round(median(runs.map((run) => run.on.perSecond))),
  offCpuUsPerOrder: round(median(runs.map((run) => run.off.cpuUs)), 1),
  onCpuUsPerOrder: round(median(runs.map((run) => run.on.cpuUs)), 1),
  spans,
}
console.log(
  `\n${table([
    ['tracing', 'orders/s', 'CPU µs per order'],
    ['off', String(result.offOrdersPerSecond), result.offCpuUsPerOrder.toFixed(1)],
    [`${RATIO * 100} % sampled`, String(result.onOrdersPerSecond), result.onCpuUsPerOrder.toFixed(1)],
  ])}`,
)
const processes = Object.keys(runs[0]?.off.cpuUsByProcess ?? {})
const usedBy = (which: 'off' | 'on', name: string): string =>
  median(runs.map((run) => run[which].cpuUsByProcess[name] ?? 0)).toFixed(1)
console.log(
  `\nCPU, microseconds per order:\n${table([
    ['process', 'off', 'on'],
    ...processes.map((name) => [name, usedBy('off', name), usedBy('on', name)]),
  ])}`,
)
console.log(
  `\nOn to off: ${result.ratioOnToOff}, in ${PAIRS} pairs within ${result.ratioLow} and ${result.ratioHigh} (95 %); ${spans} spans`,
)
const settings = {
  pairs: PAIRS,
  seconds: COUNTED_MS / 1_000,
  connections: CONNECTIONS,
  ratio: RATIO,
  ...SLOTS,
}
console.log(JSON.stringify({ bench: 'tracing', cores: availableParallelism(), settings, result }))

async function startAnew(): Promise<void> {
  if (runs.length > 0) for (const name of STARTED_ANEW) await exchange.mesh.restart(name)
  for (const sampling of [RATIO, 'off'] as const) await measure(sampling, WARM_MS / 2)
}

/** Returns when every process that is there has heard it. */
async function switchTo(sampling: Sampling): Promise<void> {
  const instances = await switchSampling(exchange.nats, sampling, LISTEN_MS)
  if (instances.every(({ tracing }) => tracing === sampling)) return
  throw new Error(`Not every process traces ${sampling}.`)
}

function ratioOf(run: { readonly off: Run; readonly on: Run }): number {
  return run.on.perSecond / run.off.perSecond
}

async function measure(sampling: Sampling, countedMs: number): Promise<Run> {
  await switchTo(sampling)
  const task = {
    name: `t${++taskCount}`,
    addresses: exchange.addresses(1),
    tokens: exchange.tokens,
    connections: CONNECTIONS,
    warmupMs: WARMUP_MS,
    countedMs,
    seed: Math.ceil(taskCount / 2),
  }
  const seen = await load.run(task, exchange.pids(1))
  for (const [answer, count] of Object.entries(seen.others)) throw new Error(`${count} orders were answered ${answer}`)
  await untilCaughtUp(exchange)
  const { generator: _, ...used } = seen.cpuUs
  const cpuUsByProcess = Object.fromEntries(
    Object.entries(used).map(([name, us]) => [name, us / Math.max(1, seen.answered)]),
  )
  return {
    perSecond: (seen.answered * 1_000) / seen.countedMs,
    cpuUs: Object.values(cpuUsByProcess).reduce((sum, us) => sum + us, 0),
    cpuUsByProcess,
  }
}
