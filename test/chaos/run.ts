import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { OwnedProcess } from '#launcher/servers/child-process.ts'
import { Log } from '#mesh/subjects.ts'
import { type SupervisedMesh, startSupervised } from '../support/supervised.ts'
import type { Verdict } from './checker.ts'
import { Crowd, GIFT } from './crowd.ts'
import { breakThings, type Fault } from './faults.ts'
import type { Funding } from './history.ts'
import type { Pauses } from './pauses.ts'
import { type Random, seeded } from './random.ts'
import { decimalOf } from './units.ts'

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  /** New orders a second that are asked for. */
  readonly rate: number
  readonly members: number
  readonly syncInterval: 'always' | '2m'
  /** From one fault to the next, on average. */
  readonly gapSeconds: number
  readonly say: (line: string) => void
}

export interface ChaosResult {
  readonly seconds: number
  readonly ordersPerSecond: number
  readonly answers: ReadonlyMap<string, number>
  readonly faults: readonly Fault[]
  /** By kind of fault, in milliseconds; without the first of what nothing was concerned. */
  readonly longestPauses: ReadonlyMap<string, number>
  readonly restarts: ReadonlyMap<string, number>
  readonly verdict: Verdict
  /** Members who could not find out what became of their last order. */
  readonly unsettled: number
  readonly audit: { readonly code: number | null; readonly output: string }
  /** How long this very process stood still, which nobody else is to blame for. */
  readonly ownStallMs: number
}

const SCALE = { gateway: 2, auth: 2, guid: 2, accounts: 2, engine: 2, orders: 2 }
const FUNDING_MS = 500
const SIGN_IN_MS = 300
const SETTLE_MS_MAX = 90_000
const AUDIT_STOP_MS = 1_000
/** Before anything breaks everybody trades; and what was broken last has time to heal under load. */
const CALM_MS = 2_000
const PROGRESS_MS = 30_000

/** The whole mesh under load while it is broken, and what is left of it. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { say, seed, rate, members } = options
  say('starting the mesh, its members and their money …')
  using snapshots = mkdtempDisposableSync(join(tmpdir(), 'exchange-chaos-'))
  await using supervised = await startSupervised({
    scale: SCALE,
    syncInterval: options.syncInterval,
    // As in every mesh that npm start brings up: who starts anew begins with a snapshot.
    env: {
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
      PASSWORD_COST_LOG2: '10',
      RATE_LOGIN: '1000:1000',
      SNAPSHOT_DIR: snapshots.path,
    },
  })
  await using crowd = await Crowd.gather(supervised, { members, rate, seed })
  say(`${members} members, ${rate} orders a second are asked for; seed ${seed}`)
  const stall = monitorEventLoopDelay({ resolution: 10 })
  stall.enable()
  const over = new AbortController()
  const beganMs = performance.now()
  crowd.start()
  const finishMoney = moveMoney(supervised, crowd, seeded(seed + 1), over.signal)
  const sayWhen = (line: string): void =>
    say(`${((performance.now() - beganMs) / 1000).toFixed(1).padStart(7)} s  ${line}`)
  const endProgress = sayProgress(() => ordersOf(crowd), sayWhen)
  await sleep(CALM_MS)
  const faults = await breakThings(
    {
      supervised,
      random: seeded(seed + 2),
      gapMs: options.gapSeconds * 1_000,
      partsOf: (name) => partsOf(name, crowd),
      say: sayWhen,
    },
    AbortSignal.timeout(options.seconds * 1_000),
  )
  await sleep(CALM_MS)
  endProgress()
  const orders = ordersOf(crowd)
  const seconds = (performance.now() - beganMs) / 1000
  stall.disable()
  const longestPauses = pausesByKind(faults, crowd.pauses)
  over.abort()
  await crowd.stop()
  say('nothing breaks any more; members find out what became of their last orders …')
  await finishMoney()
  const unsettled = await crowd.settle()
  say('judging …')
  const verdict = await crowd.judge()
  say(`${verdict.differences.length} differences; auditing …`)
  const audit = await runAudit(supervised)
  return {
    seconds,
    ordersPerSecond: orders / seconds,
    answers: crowd.answers,
    faults,
    longestPauses,
    restarts: supervised.restarts,
    verdict,
    unsettled,
    audit,
    ownStallMs: Math.round(stall.max / 1e6),
  }
}

const ordersOf = ({ traders }: Crowd): number => traders.reduce((sum, { notebook }) => sum + notebook.ordersCount, 0)

/** Until the returned function is called. */
function sayProgress(count: () => number, sayWhen: (line: string) => void): () => void {
  let before = count()
  const timer = setInterval(() => {
    const now = count()
    sayWhen(`${Math.round(((now - before) * 1_000) / PROGRESS_MS)} orders/s`)
    before = now
  }, PROGRESS_MS)
  return () => clearInterval(timer)
}

/** Deposits, transfers, logins, all the time. The returned function finishes what is under way and unknown. */
function moveMoney(
  { mesh }: SupervisedMesh,
  { http, traders, fundings, pauses }: Crowd,
  random: Random,
  over: AbortSignal,
): () => Promise<void> {
  const memberIds = traders.map(({ notebook }) => notebook.memberId)
  let token = ''
  const signIn = async (): Promise<void> => {
    const answer = await http.call('POST', '/sessions', '', mesh.admin)
    if (answer.status !== 201 && answer.status !== 200) return
    token = answer.body.accessToken
    pauses.answered('logins')
  }
  const send = async (funding: Funding): Promise<void> => {
    const { reference, memberId, toMemberId, asset, amount } = funding
    const common = { reference, asset, amount: decimalOf(Number(amount)) }
    const answer =
      toMemberId === undefined
        ? await http.call('POST', '/admin/deposits', token, { ...common, memberId: String(memberId) })
        : await http.call('POST', '/admin/transfers', token, {
            ...common,
            fromMemberId: String(memberId),
            toMemberId: String(toMemberId),
          })
    if (answer.status === 200 || answer.status === 201) funding.outcome = 'told'
  }
  const signing = (async () => {
    while (!over.aborted) {
      await signIn()
      await sleep(SIGN_IN_MS)
    }
  })()
  const moving = (async () => {
    for (let count = 0; !over.aborted; count++) {
      await sleep(FUNDING_MS)
      const isTransfer = count % 2 === 0
      const funding: Funding = {
        reference: `chaos-${count}`,
        memberId: random.pick(memberIds),
        ...(isTransfer ? { toMemberId: random.pick(memberIds) } : {}),
        asset: random.pick(Object.keys(GIFT)),
        amount: BigInt(random.between(1, 1_000_000)),
        outcome: 'unknown',
      }
      if (funding.memberId === funding.toMemberId) continue
      fundings.push(funding)
      void send(funding)
    }
  })()
  return async () => {
    await Promise.all([signing, moving])
    const deadlineMs = performance.now() + SETTLE_MS_MAX
    for (const funding of fundings) {
      while (funding.outcome === 'unknown' && performance.now() < deadlineMs) {
        await signIn()
        await send(funding)
        if (funding.outcome === 'unknown') await sleep(200)
      }
    }
  }
}

/** The parts of the exchange that cannot answer without this process, as far as it owns them now. */
function partsOf(name: string, { parts, owners }: Crowd): readonly string[] {
  const service = name.replace(/-[0-9]+$/, '')
  if (service === 'auth') return ['logins']
  if (service === 'orders') return ['history']
  if (service === 'mariadb') return ['history', 'logins', ...parts]
  if (service !== 'accounts' && service !== 'engine') return parts
  const instance = name.includes('-') ? name : `${name}-1`
  const log = service === 'engine' ? Log.markets : Log.accounts
  return parts.filter((part) => part.startsWith(`${log}.`) && owners.ownerOf(part) === instance)
}

function pausesByKind(faults: readonly Fault[], pauses: Pauses): Map<string, number> {
  const longest = new Map<string, number>()
  for (const { kind, parts, atMs, endMs } of faults) {
    longest.set(kind, Math.max(longest.get(kind) ?? 0, pauses.longest(parts, atMs, endMs)))
  }
  return new Map([...longest].sort(([a], [b]) => (a < b ? -1 : 1)))
}

async function runAudit({ mesh }: SupervisedMesh): Promise<ChaosResult['audit']> {
  const root = join(import.meta.dirname, '..', '..')
  const lines: string[] = []
  const audit = new OwnedProcess({
    name: 'audit',
    command: process.execPath,
    args: [join(root, 'services/audit/audit.ts'), '--rate', '0', '--wait', '60'],
    cwd: root,
    env: { ...process.env, NATS_URL: mesh.natsUrl, MYSQL_URL: mesh.mysqlUrl },
    output: { onLine: (line) => lines.push(line) },
    isReady: () => Promise.resolve(true),
    readyTimeoutMs: AUDIT_STOP_MS,
    stopTimeoutMs: AUDIT_STOP_MS,
  })
  audit.spawn()
  const { code } = await audit.exited
  // Where it stood meanwhile is of no interest.
  return { code, output: lines.filter((line) => !line.startsWith('…')).join('\n') }
}
