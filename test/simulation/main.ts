/**
 * Runs the mesh in a simulated world, seed after seed, and stops at the first one that goes wrong.
 *
 *     npm run simulate                            200 seeds
 *     npm run simulate -- --seed 17 [--story]     one, with everything that happens in it
 *     npm run simulate -- --seeds 1000 [--from 1] so many
 *     npm run simulate -- --minutes 480           until the time is over, from a seed that nobody has tried
 *     npm run simulate -- --actions 250           each of the six members does so much (8 to 24 by default), in the same time
 *
 * Ends with exit code 1 when something is wrong, and always with one line of JSON.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { ConfigError, wholeNumber } from '#mesh/config.ts'
import { reportLines } from './report.ts'
import { shrink } from './shrink.ts'
import { type SimulationResult, simulate } from './simulate.ts'

const SEED_MAX = 2 ** 32 - 1
const SEEDS_DEFAULT = 200
const SEEDS_QUICK = 50
const ACTIONS_MAX = 100_000
/** Longest that a nightly run may be asked for. */
const MINUTES_MAX = 7 * 24 * 60

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      minutes: { type: 'string' },
      actions: { type: 'string' },
      story: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
    },
  })
  const number = (name: 'seed' | 'seeds' | 'from' | 'minutes' | 'actions', max: number): number | undefined =>
    values[name] === undefined ? undefined : wholeNumber(`--${name}`, values[name], 1, max)
  const one = number('seed', SEED_MAX)
  const minutes = number('minutes', MINUTES_MAX)
  const first = one ?? number('from', SEED_MAX) ?? (minutes === undefined ? 1 : Date.now() % SEED_MAX)
  const endsAtMs = minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + minutes * 60_000
  const most = number('seeds', SEED_MAX) ?? (values.quick ? SEEDS_QUICK : SEEDS_DEFAULT)
  const count = one !== undefined ? 1 : minutes !== undefined ? SEED_MAX : most

  const actions = number('actions', ACTIONS_MAX)
  const size = actions === undefined ? {} : { actions }
  const sums = new Sums()
  let failed: SimulationResult | undefined
  for (let index = 0; index < count && performance.now() < endsAtMs && failed === undefined; index++) {
    const seed = ((first - 1 + index) % SEED_MAX) + 1
    const result = await simulate({
      seed,
      ...size,
      ...(values.story ? { echo: (line) => console.log(line) } : {}),
    })
    sums.add(result)
    if (result.wrongs.length > 0) failed = result
  }
  for (const line of sums.lines()) console.log(line)
  if (failed === undefined) console.log('\n✔ Nothing was lost, nothing doubled, the money is exact.')
  else for (const line of reportLines(await shrink(failed, size))) console.error(line)
  console.log(sums.json({ first, count: sums.seeds, failed }))
  return failed === undefined ? 0 : 1
}

const isArgumentFault = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')

class Sums {
  readonly #startedAtMs = performance.now()
  readonly #faults = new Map<string, number>()
  readonly #counts = {
    orders: 0,
    acknowledged: 0,
    refused: 0,
    unknown: 0,
    restarts: 0,
    snapshotsUsed: 0,
    steps: 0,
    virtualMs: 0,
  }
  seeds = 0

  add({ faults, counts }: SimulationResult): void {
    this.seeds++
    for (const { kind } of faults) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + 1)
    for (const name of Object.keys(this.#counts) as (keyof typeof counts)[]) this.#counts[name] += counts[name]
  }

  lines(): string[] {
    const { orders, acknowledged, refused, unknown, restarts, snapshotsUsed, virtualMs } = this.#counts
    const facts: [string, string | number][] = [
      ['seeds', this.seeds],
      ['orders sent, repeats included', orders],
      ['requests answered / refused / left unknown', `${acknowledged} / ${refused} / ${unknown}`],
      ['processes that ended and began again', restarts],
      ['slots that were recovered from a snapshot', snapshotsUsed],
      ['hours of virtual time', (virtualMs / 3_600_000).toFixed(2)],
      ...[...this.#faults]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([kind, n]): [string, number] => [`fault: ${kind}`, n]),
      ['seconds', this.#seconds().toFixed(1)],
    ]
    const width = Math.max(...facts.map(([name]) => name.length))
    return facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  }

  json({ first, count, failed }: { first: number; count: number; failed: SimulationResult | undefined }): string {
    return JSON.stringify({
      bench: 'simulate',
      cores: availableParallelism(),
      settings: { firstSeed: first, seeds: count },
      result: {
        ...this.#counts,
        faults: Object.fromEntries(this.#faults),
        seconds: Math.round(this.#seconds() * 10) / 10,
        ordersPerSecond: Math.round(this.#counts.orders / this.#seconds()),
        failedSeeds: failed === undefined ? [] : [failed.seed],
      },
    })
  }

  #seconds(): number {
    return (performance.now() - this.#startedAtMs) / 1_000
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof ConfigError) && !isArgumentFault(error)) throw error
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}
