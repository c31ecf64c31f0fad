import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { openBucket } from '#mesh/buckets.ts'
import { slotsFromEnv } from '#mesh/config.ts'
import { createPool } from '#mesh/mysql.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Bucket, Log } from '#mesh/subjects.ts'
import { readDefinitions } from '#services/audit/definitions.ts'
import { untilCaughtUp } from '../../bench/http/verify.ts'
import { fundMembers } from '../../bench/support/fund.ts'
import { connectTo } from '../support/mesh.ts'
import { type SupervisedMesh, startSupervised } from '../support/supervised.ts'
import { check, type Verdict } from './checker.ts'
import { breakThings, type Fault } from './faults.ts'
import { readFinalState } from './final-state.ts'
import type { Funding } from './history.ts'
import { type Answer, createHttp, type Http } from './http.ts'
import { Pauses } from './pauses.ts'
import { type Random, seeded } from './random.ts'
import { type Market, type Observer, Trader } from './trader.ts'
import { decimalOf, UNIT, unitsOf } from './units.ts'

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  /** New orders a second that are asked for. */
  readonly rate: number
  readonly members: number
  readonly syncInterval: 'always' | '2m'
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
const GIFT = { BTC: 1_000n * 10n ** 8n, ETH: 10_000n * 10n ** 8n, USDT: 10_000_000n * 10n ** 8n }
const PATIENCE_MS = 8_000
const TICK_MS = 5
/** Orders that were due while nobody was free are made up for, so many at most. */
const DUE_SECONDS_MAX = 2
const FUNDING_MS = 500
const SIGN_IN_MS = 300
const SETTLE_MS_MAX = 90_000
const MIDDLES: Readonly<Record<string, { price: number; band: number; lotsMax: number }>> = {
  'BTC-USDT': { price: 50_000 * UNIT, band: 200, lotsMax: 2_000 },
  'ETH-USDT': { price: 3_000 * UNIT, band: 200, lotsMax: 2_000 },
  'ETH-BTC': { price: 0.06 * UNIT, band: 50, lotsMax: 500 },
}

/** The whole mesh under load while it is broken, and what is left of it. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { say } = options
  say('starting the mesh, its members and their money …')
  await using supervised = await startSupervised({
    scale: SCALE,
    syncInterval: options.syncInterval,
    env: { LOG_LEVEL: 'warn', PASSWORD_COST_LOG2: '10', RATE_LOGIN: '1000:1000' },
  })
  const { mesh } = supervised
  const nats = await connectTo(mesh)
  const http = createHttp(supervised.url, { patienceMs: PATIENCE_MS })
  await using stack = new AsyncDisposableStack()
  stack.defer(() => nats.close())
  stack.defer(() => http.close())

  const { accountSlots } = slotsFromEnv(process.env)
  const definitions = await readDefinitions(nats)
  const markets = [...definitions.markets.values()].map(({ instrument, marketSlot, tick, lot }): Market => {
    const middle = MIDDLES[instrument]
    if (middle === undefined) throw new Error(`Nobody knows what ${instrument} costs.`)
    const steps = { tick: unitsOf(tick), lot: unitsOf(lot) }
    const middleTicks = Math.round(middle.price / steps.tick)
    return { instrument, marketSlot, ...steps, middleTicks, bandTicks: middle.band, lotsMax: middle.lotsMax }
  })
  const members = await seedMembers(nats, { count: options.members, lifetimeS: 86_400 })
  const memberIds = members.map(({ memberId }) => memberId)
  await fundMembers(nats, { accountSlots, memberIds, gift: GIFT })
  const fundings: Funding[] = memberIds.flatMap((memberId) =>
    Object.entries(GIFT).map(
      ([asset, amount]): Funding => ({
        reference: `gift-${memberId}-${asset}`,
        memberId,
        asset,
        amount,
        outcome: 'told',
      }),
    ),
  )

  const pauses = new Pauses()
  const answers = new Map<string, number>()
  const observer: Observer = {
    succeeded: (accountSlot, marketSlot) => {
      pauses.answered(`accounts.${accountSlot}`)
      if (marketSlot !== undefined) pauses.answered(`markets.${marketSlot}`)
    },
    historyRead: () => pauses.answered('history'),
    answered: (what, { status, code }: Answer) => {
      const key = `${what} ${status} ${code}`.trimEnd()
      answers.set(key, (answers.get(key) ?? 0) + 1)
    },
  }
  const random = seeded(options.seed)
  const traders = members.map(
    ({ memberId, accessToken }) =>
      new Trader({
        memberId,
        accountSlot: accountSlotOf(memberId, accountSlots),
        token: accessToken,
        http,
        markets,
        random: seeded(options.seed * 1_000_003 + memberId),
        observer,
      }),
  )
  const slots = traders.map(({ accountSlot }) => `accounts.${accountSlot}`)
  const allParts = [...new Set([...slots, ...markets.map(({ marketSlot }) => `markets.${marketSlot}`)])]

  const stall = monitorEventLoopDelay({ resolution: 10 })
  stall.enable()
  const over = new AbortController()
  const beganMs = performance.now()
  say(`${options.members} members, ${options.rate} orders a second are asked for; seed ${options.seed}`)
  const trading = trade(traders, options.rate, random, over.signal)
  const money = moveMoney(
    { http, mesh: supervised, memberIds, fundings, random: seeded(options.seed + 1), pauses },
    over.signal,
  )
  // Before anything breaks everybody trades.
  await sleep(2_000)
  const breaking = breakThings(
    {
      supervised,
      random: seeded(options.seed + 2),
      partsOf: (name) => partsOf(name, { nats, allParts }),
      say: (line) => say(`${((performance.now() - beganMs) / 1000).toFixed(1).padStart(7)} s  ${line}`),
    },
    AbortSignal.timeout(options.seconds * 1_000),
  )
  const faults = await breaking
  // What was broken last has time to heal under load.
  await sleep(2_000)
  const orders = traders.reduce((sum, { history }) => sum + history.orders.length, 0)
  const seconds = (performance.now() - beganMs) / 1000
  over.abort()
  stall.disable()
  await trading
  await money()
  say('nothing breaks any more; members find out what became of their last orders …')
  const unsettled = await settle(traders)
  const longestPauses = pausesByKind(faults, pauses)

  const pool = createPool(mesh.mysqlUrl, { connectionsMax: 2 })
  stack.defer(() => pool.end())
  await untilCaughtUp({ nats, pool, mysqlUrl: mesh.mysqlUrl, accountSlots })
  say('judging …')
  const byName = new Map(markets.map((market) => [market.instrument, market]))
  const final = await readFinalState({ nats, mysqlUrl: mesh.mysqlUrl, accountSlots, memberIds, markets: byName })
  const verdict = check(
    traders.map(({ history }) => history),
    fundings,
    final,
  )
  say('auditing …')
  const audit = await runAudit(supervised)
  return {
    seconds,
    ordersPerSecond: orders / seconds,
    answers,
    faults,
    longestPauses,
    restarts: supervised.restarts,
    verdict,
    unsettled,
    audit,
    ownStallMs: Math.round(stall.max / 1e6),
  }
}

/** So many new orders a second, each by somebody who has nothing else under way. */
async function trade(traders: readonly Trader[], rate: number, random: Random, over: AbortSignal): Promise<void> {
  let due = 0
  let lastMs = performance.now()
  const underWay = new Set<Promise<unknown>>()
  while (!over.aborted) {
    await sleep(TICK_MS)
    const nowMs = performance.now()
    due = Math.min(due + ((nowMs - lastMs) * rate) / 1000, rate * DUE_SECONDS_MAX)
    lastMs = nowMs
    for (let tries = Math.ceil(due) * 2; due >= 1 && tries > 0; tries--) {
      const trader = random.pick(traders)
      if (trader.isBusy || trader.restsUntilMs > nowMs) continue
      due -= 1
      const acting = trader.act().then((isOrder) => {
        // Not every act is an order; orders are what is asked for.
        if (!isOrder) due += 1
      })
      underWay.add(acting)
      void acting.finally(() => underWay.delete(acting))
    }
  }
  await Promise.all(underWay)
}

/** Deposits, transfers, logins, all the time. The returned function finishes what is under way and unknown. */
function moveMoney(
  options: {
    readonly http: Http
    readonly mesh: SupervisedMesh
    readonly memberIds: readonly number[]
    readonly fundings: Funding[]
    readonly random: Random
    readonly pauses: Pauses
  },
  over: AbortSignal,
): () => Promise<void> {
  const { http, mesh, memberIds, fundings, random, pauses } = options
  let token = ''
  const signIn = async (): Promise<void> => {
    const answer = await http.call('POST', '/sessions', '', mesh.mesh.admin)
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
async function partsOf(
  name: string,
  { nats, allParts }: { nats: Awaited<ReturnType<typeof connectTo>>; allParts: readonly string[] },
): Promise<readonly string[]> {
  const service = name.replace(/-[0-9]+$/, '')
  if (service === 'auth') return ['logins']
  if (service === 'orders') return ['history']
  if (service === 'mariadb') return ['history', 'logins', ...allParts]
  if (service !== 'accounts' && service !== 'engine') return allParts
  const instance = name.includes('-') ? name : `${name}-1`
  const log = service === 'engine' ? Log.markets : Log.accounts
  const bucket = await openBucket(nats, Bucket.leases)
  const owned: string[] = []
  for (const part of allParts.filter((one) => one.startsWith(`${log}.`))) {
    const entry = await bucket.get(part)
    if (entry?.operation === 'PUT' && entry.json<{ instance: string }>().instance === instance) owned.push(part)
  }
  return owned
}

/** Everybody whose last order is unknown asks until he knows. Returns how many never did. */
async function settle(traders: readonly Trader[]): Promise<number> {
  const deadlineMs = performance.now() + SETTLE_MS_MAX
  const open = (): Trader[] => traders.filter(({ isSettled }) => !isSettled)
  while (open().length > 0 && performance.now() < deadlineMs) {
    await Promise.all(open().map((trader) => trader.settle()))
    await sleep(100)
  }
  return open().length
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
  const child = spawn(process.execPath, [join(root, 'services/audit/audit.ts'), '--rate', '0', '--wait', '60'], {
    cwd: root,
    env: { ...process.env, NATS_URL: mesh.natsUrl, MYSQL_URL: mesh.mysqlUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      output += text
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}
