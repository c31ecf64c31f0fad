/**
 * How many orders per second pass the whole way, against the requests that a bare Hapi server answers on the same machine:
 * JWT, validation, limits, reserve, match, settle and MySQL, with everything on this machine, the load generator too.
 *
 *     npm run bench:http [-- --quick] [--seconds 60] [--rounds 5] [--only relaxed|always]
 *
 * Prints tables, and as the last line one JSON object. Ends with exit code 1 when an accepted order is not in MySQL exactly
 * once, when the money does not add up, or when any order was not answered by 201.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { median, round, table } from '../support/statistics.ts'
import { Book } from './book.ts'
import type { Result, Task } from './generator.ts'
import { sampleLag } from './lag.ts'
import { Limit } from './limit.ts'
import { Exchange, Load, MEMBERS, Reference, SLOTS } from './target.ts'
import { untilCaughtUp } from './verify.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
  },
})
const COUNTED_MS = Number(values.seconds ?? (values.quick ? 4 : 60)) * 1000
const ROUNDS = Number(values.rounds ?? (values.quick ? 1 : 5))
const WARMUP_MS = values.quick ? 2_000 : 5_000
const CALIBRATION_MS = 5_000
const CALIBRATION_WARMUP_MS = 6_000

/** Members may send this many times their mean rate, as it was measured before; it ends up at 3 at most. */
const LIMIT_FACTOR = 2.2
const LIMIT_FACTOR_MAX = 3
/** A run with a limit that did not suit its rate is made again so often. */
const ATTEMPTS_MAX = 4
/** How an order is answered whose member has sent too many. */
const LIMITED = '429 rate_limited'
/** The constant rate, as a share of what the closed loop reached. */
const CONSTANT_SHARE = 0.4

interface Run {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly matchedShare: number
  readonly lagP99Ms: number
  readonly lagMaxMs: number
  readonly catchUpMs: number
  readonly cpuUsPerOrder: Readonly<Record<string, number>>
}
type Runs = Map<string, Run[]>

const faults: string[] = []
const runs: Runs = new Map()
let taskCount = 0

await using load = new Load()
if (values.only !== 'always') await measureRelaxed()
if (values.only !== 'relaxed') await measureAlways()
report()
process.exitCode = faults.length === 0 ? 0 : 1

async function measureRelaxed(): Promise<void> {
  say('Syncing relaxed (2m): starting the mesh, members and their money …')
  await using exchange = await Exchange.start('2m')
  const book = new Book(exchange, faults)
  const { reference: started, limit } = await calibrate(exchange, book, 128)
  await using reference = started
  for (let at = 1; at <= ROUNDS; at++) {
    await measureReference(reference, 'reference', 128)
    await measureMesh(exchange, book, { name: 'oneGateway', gateways: 1, connections: 128, limit })
    await measureMesh(exchange, book, { name: 'twoGateways', gateways: 2, connections: 128, limit })
  }
  const perSecond = Math.floor(median(of('oneGateway', (run) => run.perSecond)) * CONSTANT_SHARE)
  // The members' limit follows their mean rate here as well.
  await limit.set(limitFor(perSecond))
  await measureMesh(exchange, book, {
    name: 'constantRate',
    gateways: 1,
    connections: 256,
    limit,
    perSecond,
  })
  await checkBook(book)
}

async function measureAlways(): Promise<void> {
  say('\nSyncing always: starting the mesh, members and their money …')
  await using exchange = await Exchange.start('always')
  const book = new Book(exchange, faults)
  const { reference: started, limit } = await calibrate(exchange, book, 512)
  await using reference = started
  for (let at = 1; at <= ROUNDS; at++) {
    await measureReference(reference, 'referenceAlways', 128)
    await measureMesh(exchange, book, { name: 'alwaysSync', gateways: 1, connections: 512, limit })
  }
  await checkBook(book)
}

async function checkBook(book: Book): Promise<void> {
  const { count, found } = await book.check()
  if (found.length > 0) return
  say(
    `Verified: each of ${count} accepted orders is in MySQL once, and the money adds up in MySQL and in the accounts.`,
  )
}

/** A short run that says how large answers are and which limit suits; then the gateways get it. */
async function calibrate(
  exchange: Exchange,
  book: Book,
  connections: number,
): Promise<{ reference: Reference; limit: Limit }> {
  const task = {
    ...newTask(exchange.tokens),
    addresses: exchange.addresses(1),
    connections,
    warmupMs: CALIBRATION_WARMUP_MS,
    countedMs: CALIBRATION_MS,
  }
  const result = await load.run(task, {})
  book.add(task.name, result)
  await untilCaughtUp(exchange)
  const perSecond = (result.answered * 1000) / result.countedMs
  const limit = new Limit(exchange)
  await limit.set(limitFor(perSecond))
  say(`Calibrated: ${round(perSecond)} orders/s, answers of ${result.bodyBytesMean} bytes.`)
  return { reference: await Reference.start(result.bodyBytesMean), limit }
}

function limitFor(perSecond: number): number {
  return Math.max(1, Math.floor((perSecond / MEMBERS) * LIMIT_FACTOR))
}

async function measureReference(reference: Reference, name: string, connections: number): Promise<void> {
  const tokens = Array.from({ length: MEMBERS }, () => 'x'.repeat(400))
  const task = { ...newTask(tokens), addresses: [reference.address], connections }
  const result = await load.run(task, reference.pids)
  keep(name, runOf(result, { p99Ms: 0, maxMs: 0 }, 0))
}

async function measureMesh(
  exchange: Exchange,
  book: Book,
  plan: {
    readonly name: string
    readonly gateways: 1 | 2
    readonly connections: number
    readonly limit: Limit
    readonly perSecond?: number
  },
  attempt = 1,
): Promise<void> {
  const task: Task = {
    ...newTask(exchange.tokens),
    addresses: exchange.addresses(plan.gateways),
    connections: plan.connections,
    ...(plan.perSecond === undefined ? {} : { perSecond: plan.perSecond }),
    greedy: { token: exchange.greedyToken, perSecond: plan.limit.perSecond * 4 },
  }
  let lag = { p99Ms: 0, maxMs: 0 }
  let sampler: ReturnType<typeof sampleLag> | undefined
  let result: Awaited<ReturnType<typeof load.run>>
  try {
    result = await load.run(task, exchange.pids(plan.gateways), () => {
      sampler = sampleLag(exchange.pool)
    })
  } finally {
    if (sampler !== undefined) lag = await sampler.stop()
  }
  const run = runOf(result, lag, await untilCaughtUp(exchange))
  const limited = result.others[LIMITED] ?? 0
  const factor = (plan.limit.perSecond * MEMBERS) / run.perSecond
  if ((limited > 0 || factor > LIMIT_FACTOR_MAX) && attempt < ATTEMPTS_MAX) {
    book.add(task.name, { ...result, others: { ...result.others, [LIMITED]: 0 } })
    say(
      `  ${plan.name.padEnd(16)} again: its limit was ${round(factor, 1)} times a member's mean rate, ${limited} were refused`,
    )
    await plan.limit.set(limitFor(limited > 0 ? run.perSecond * 1.2 : run.perSecond))
    return await measureMesh(exchange, book, plan, attempt + 1)
  }
  book.add(task.name, result)
  if (result.greedyRefused === 0) judge(`${plan.name}: the member beyond his limit was not refused`)
  if (factor > LIMIT_FACTOR_MAX) judge(`${plan.name}: the limit was ${round(factor, 1)} times a member's mean rate`)
  keep(plan.name, run)
}

function newTask(tokens: readonly string[]): Task {
  const name = `b${++taskCount}`
  return { name, addresses: [], tokens, connections: 0, warmupMs: WARMUP_MS, countedMs: COUNTED_MS, seed: taskCount }
}

function runOf(
  result: Result & { readonly cpuUs: Record<string, number> },
  lag: { readonly p99Ms: number; readonly maxMs: number },
  catchUpMs: number,
): Run {
  const accepted = result.orderIds.reduce((sum, id) => sum + (id === 0 ? 0 : 1), 0)
  return {
    perSecond: (result.answered * 1000) / result.countedMs,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    maxMs: result.maxMs,
    matchedShare: result.matched / Math.max(1, accepted),
    lagP99Ms: lag.p99Ms,
    lagMaxMs: lag.maxMs,
    catchUpMs,
    cpuUsPerOrder: Object.fromEntries(
      Object.entries(result.cpuUs).map(([name, us]) => [name, us / Math.max(1, result.answered)]),
    ),
  }
}

function keep(name: string, run: Run): void {
  runs.set(name, [...(runs.get(name) ?? []), run])
  say(`  ${name.padEnd(16)} ${round(run.perSecond)}/s  p50 ${round(run.p50Ms, 1)} ms  p99 ${round(run.p99Ms, 1)} ms`)
}

function of(name: string, value: (run: Run) => number): number[] {
  return (runs.get(name) ?? []).map(value)
}

/** Whether a limit suits a rate takes longer to see than a brief run lasts. */
function judge(fault: string): void {
  if (values.quick) say(`  not judged in a brief run: ${fault}`)
  else faults.push(fault)
}

function report(): void {
  const result: Record<string, Record<string, number>> = {}
  const rows: string[][] = [
    ['case', 'per second', 'to Hapi', 'p50 ms', 'p99 ms', 'matched', 'MySQL lag p99', 'max ms', 'catch-up ms'],
  ]
  const middle = (name: string, value: (run: Run) => number): number => median(of(name, value))
  for (const name of runs.keys()) {
    const isReference = name.startsWith('reference')
    const base = middle(name === 'alwaysSync' ? 'referenceAlways' : 'reference', (run) => run.perSecond)
    const perSecond = middle(name, (run) => run.perSecond)
    const one: Record<string, number> = {
      [isReference ? 'requestsPerSecond' : 'ordersPerSecond']: round(perSecond),
      p50Ms: round(
        middle(name, (run) => run.p50Ms),
        2,
      ),
      p99Ms: round(
        middle(name, (run) => run.p99Ms),
        2,
      ),
    }
    if (!isReference) {
      if (name !== 'constantRate') one.ratioToBareHapi = round(perSecond / base, 3)
      one.matchedShare = round(
        middle(name, (run) => run.matchedShare),
        3,
      )
      one.mysqlLagP99Ms = round(Math.max(...of(name, (run) => run.lagP99Ms)))
      one.mysqlLagMaxMs = round(Math.max(...of(name, (run) => run.lagMaxMs)))
      one.cpuUsPerOrder = round(
        median((runs.get(name) ?? []).map((run) => Object.values(run.cpuUsPerOrder).reduce((sum, us) => sum + us, 0))),
        1,
      )
    }
    result[name] = one
    rows.push([
      name,
      String(round(perSecond)),
      one.ratioToBareHapi === undefined ? '' : one.ratioToBareHapi.toFixed(2),
      round(one.p50Ms ?? 0, 1).toFixed(1),
      round(one.p99Ms ?? 0, 1).toFixed(1),
      one.matchedShare === undefined ? '' : `${Math.round(one.matchedShare * 100)} %`,
      one.mysqlLagP99Ms === undefined ? '' : String(one.mysqlLagP99Ms),
      one.mysqlLagMaxMs === undefined ? '' : String(one.mysqlLagMaxMs),
      isReference ? '' : String(round(middle(name, (run) => run.catchUpMs))),
    ])
  }
  say(`\n${table(rows)}`)
  say(`\nCPU, microseconds per order:\n${cpuTable()}`)
  for (const fault of faults) say(`WRONG: ${fault}`)
  const settings = {
    seconds: COUNTED_MS / 1000,
    rounds: ROUNDS,
    members: MEMBERS,
    markets: 3,
    ...SLOTS,
    limitFactor: LIMIT_FACTOR,
    constantShare: CONSTANT_SHARE,
    verified: faults.length === 0,
  }
  console.log(JSON.stringify({ bench: 'http', cores: availableParallelism(), settings, result }))
}

function cpuTable(): string {
  const names = [...runs.keys()]
  const processes = [...new Set(names.flatMap((name) => Object.keys(runs.get(name)?.[0]?.cpuUsPerOrder ?? {})))]
  const cell = (name: string, one: string): string => {
    const us = median(of(name, (run) => run.cpuUsPerOrder[one] ?? 0))
    return us === 0 ? '' : us.toFixed(1)
  }
  const sum = (name: string): string =>
    median(
      (runs.get(name) ?? []).map((run) => Object.values(run.cpuUsPerOrder).reduce((all, us) => all + us, 0)),
    ).toFixed(1)
  return table([
    ['process', ...names],
    ...processes.map((one) => [one, ...names.map((name) => cell(name, one))]),
    ['all', ...names.map(sum)],
  ])
}

function say(text: string): void {
  console.log(text)
}
