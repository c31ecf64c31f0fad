/**
 * `npm run chaos -- --minutes 10 --seed 7 --rate 1000 --gap 3`: the whole mesh under load, two of every service, while processes and
 * servers are killed and paused at random; afterwards what every member sent and was told is held against what is there.
 * `--gap`: seconds from one fault to the next, on average; what is paused lasts longer than that.
 * Ends with one line of JSON, and with exit code 1 when anything is wrong.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { wholeNumber } from '#mesh/config.ts'
import { table } from '../../bench/support/statistics.ts'
import { KINDS } from './checker.ts'
import { type ChaosResult, runChaos } from './run.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '1000' },
    members: { type: 'string', default: '2000' },
    sync: { type: 'string', default: 'always' },
    gap: { type: 'string', default: '3' },
  },
})
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes <= 24 * 60)) throw new Error('--minutes must be above 0 and at most a day.')
if (values.sync !== 'always' && values.sync !== '2m') throw new Error('--sync must be always or 2m.')
const settings = {
  minutes,
  seed: wholeNumber('--seed', values.seed, 0, 1_000_000_000),
  rate: wholeNumber('--rate', values.rate, 1, 100_000),
  members: wholeNumber('--members', values.members, 10, 100_000),
  sync: values.sync,
  gapSeconds: Number(values.gap),
} as const
if (!(settings.gapSeconds >= 1 && settings.gapSeconds <= 3_600))
  throw new Error('--gap must be from 1 to 3600 seconds.')
const SHOWN_MAX = 20

const result = await runChaos({
  seconds: minutes * 60,
  seed: settings.seed,
  rate: settings.rate,
  members: settings.members,
  syncInterval: settings.sync,
  gapSeconds: settings.gapSeconds,
  say: (line) => console.log(line),
})
report(result)

function report({ verdict, faults, longestPauses, ...rest }: ChaosResult): void {
  const { counts, differences } = verdict
  const wrong = Object.fromEntries(KINDS.map((kind) => [kind, differences.filter((one) => one.kind === kind).length]))
  const kills = faults.filter(({ what }) => what === 'kill').reduce((sum, { targets }) => sum + targets.length, 0)
  const stops = faults.filter(({ what }) => what === 'pause').reduce((sum, { targets }) => sum + targets.length, 0)
  console.log(
    `\n${table([['answers', 'count'], ...[...rest.answers].sort().map(([key, count]) => [key, String(count)])])}`,
  )
  console.log(
    `\n${table([
      ['fault', 'times', 'longest pause ms', 'ready again ms'],
      ...[...longestPauses].map(([kind, ms]) => {
        const same = faults.filter((fault) => fault.kind === kind)
        return [kind, String(same.length), String(ms), String(Math.max(...same.map((one) => one.readyAfterMs)))]
      }),
    ])}`,
  )
  console.log(
    `\n${table([
      ['what', 'count'],
      ...Object.entries(counts).map(([name, count]) => [name, String(count)]),
      ...Object.entries(wrong).map(([name, count]) => [`WRONG: ${name}`, String(count)]),
      ['members who never knew', String(rest.unsettled)],
      ['longest stall of this process, ms', String(rest.ownStallMs)],
    ])}`,
  )
  console.log(`\n${rest.audit.output.trimEnd()}`)
  for (const { kind, memberId, message } of differences.slice(0, SHOWN_MAX)) {
    console.log(`✖ ${kind}, member ${memberId}: ${message}`)
  }
  const isOk = differences.length === 0 && rest.audit.code === 0 && rest.unsettled === 0
  process.exitCode = isOk ? 0 : 1
  console.log(
    JSON.stringify({
      chaos: isOk ? 'ok' : 'failed',
      cores: availableParallelism(),
      settings,
      result: {
        seconds: Math.round(rest.seconds),
        ordersPerSecond: Math.round(rest.ordersPerSecond),
        kills,
        pauses: stops,
        ...counts,
        ...wrong,
        unsettled: rest.unsettled,
        longestPauseMs: Object.fromEntries(longestPauses),
        ownStallMs: rest.ownStallMs,
        audit: rest.audit.code === 0 ? 'ok' : 'failed',
      },
    }),
  )
}
