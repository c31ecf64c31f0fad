import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { slotsFromEnv } from '#mesh/config.ts'
import { createPool, type Pool } from '#mesh/mysql.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { readDefinitions } from '#services/audit/definitions.ts'
import { untilCaughtUp } from '../../bench/http/verify.ts'
import { fundMembers } from '../../bench/support/fund.ts'
import { connectTo } from '../support/mesh.ts'
import { followSlotOwners, type SlotOwners } from '../support/slot-owners.ts'
import type { SupervisedMesh } from '../support/supervised.ts'
import { check, type Verdict } from './checker.ts'
import { readFinalState } from './final-state.ts'
import type { Funding, MemberHistory } from './history.ts'
import { createHttp, type Http } from './http.ts'
import { Pauses } from './pauses.ts'
import { type Random, seeded } from './random.ts'
import { type Market, Trader } from './trader.ts'
import { UNIT, unitsOf } from './units.ts'

export interface CrowdOptions {
  readonly members: number
  /** New orders a second that are asked for. */
  readonly rate: number
  readonly seed: number
}

export const GIFT = { BTC: 1_000n * 10n ** 8n, ETH: 10_000n * 10n ** 8n, USDT: 10_000_000n * 10n ** 8n }
const PATIENCE_MS = 8_000
const TICK_MS = 5
/** Orders that were due while nobody was free are made up for, so many at most. */
const DUE_SECONDS_MAX = 2
const SETTLE_MS_MAX = 90_000
const MIDDLES: Readonly<Record<string, { price: number; band: number; lotsMax: number }>> = {
  'BTC-USDT': { price: 50_000 * UNIT, band: 200, lotsMax: 2_000 },
  'ETH-USDT': { price: 3_000 * UNIT, band: 200, lotsMax: 2_000 },
  'ETH-BTC': { price: 0.06 * UNIT, band: 50, lotsMax: 500 },
}

/** Members with money who trade through the public entry, and the judgement of what they were told. */
export class Crowd implements AsyncDisposable {
  readonly nats: NatsConnection
  readonly http: Http
  readonly traders: readonly Trader[]
  readonly fundings: Funding[]
  readonly pauses: Pauses
  readonly owners: SlotOwners
  /** How often which answer came: `POST /order 201`. */
  readonly answers: Map<string, number>
  /** `accounts.0`, `markets.2`, …: all that members need for trading. */
  readonly parts: readonly string[]
  readonly #markets: readonly Market[]
  readonly #mesh: SupervisedMesh
  readonly #pool: Pool
  readonly #rate: number
  readonly #random: Random
  #trading: { readonly over: AbortController; readonly done: Promise<void> } | undefined

  private constructor(
    options: CrowdOptions,
    parts: Pick<Crowd, 'nats' | 'http' | 'traders' | 'fundings' | 'pauses' | 'answers' | 'owners'> & {
      readonly mesh: SupervisedMesh
      readonly markets: readonly Market[]
    },
  ) {
    this.nats = parts.nats
    this.http = parts.http
    this.traders = parts.traders
    this.fundings = parts.fundings
    this.pauses = parts.pauses
    this.owners = parts.owners
    this.answers = parts.answers
    this.#markets = parts.markets
    this.#mesh = parts.mesh
    this.#pool = createPool(parts.mesh.mesh.mysqlUrl, { connectionsMax: 2 })
    this.#rate = options.rate
    this.#random = seeded(options.seed)
    const slots = parts.traders.map(({ accountSlot }) => `accounts.${accountSlot}`)
    this.parts = [...new Set([...slots, ...parts.markets.map(({ marketSlot }) => `markets.${marketSlot}`)])].sort()
  }

  /** Members with accounts, tokens and money; nobody trades yet. */
  static async gather(mesh: SupervisedMesh, options: CrowdOptions): Promise<Crowd> {
    const nats = await connectTo(mesh.mesh)
    const http = createHttp(mesh.url, { patienceMs: PATIENCE_MS })
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
    const fundings = memberIds.flatMap((memberId) =>
      Object.entries(GIFT).map(([asset, amount]): Funding => {
        return { reference: `gift-${memberId}-${asset}`, memberId, asset, amount, outcome: 'told' }
      }),
    )
    const pauses = new Pauses()
    const answers = new Map<string, number>()
    const traders = members.map(
      ({ memberId, accessToken }) =>
        new Trader({
          memberId,
          accountSlot: accountSlotOf(memberId, accountSlots),
          token: accessToken,
          http,
          markets,
          random: seeded(options.seed * 1_000_003 + memberId),
          observer: {
            succeeded: (accountSlot, marketSlot) => {
              pauses.answered(`accounts.${accountSlot}`)
              if (marketSlot !== undefined) pauses.answered(`markets.${marketSlot}`)
            },
            historyRead: () => pauses.answered('history'),
            answered: (what, { status, code }) => {
              const key = `${what} ${status} ${code}`.trimEnd()
              answers.set(key, (answers.get(key) ?? 0) + 1)
            },
          },
        }),
    )
    const owners = await followSlotOwners(nats)
    return new Crowd(options, { mesh, nats, http, traders, fundings, pauses, answers, owners, markets })
  }

  /** From here on they trade. */
  start(): void {
    const over = new AbortController()
    this.pauses.forget()
    this.#trading = { over, done: this.#trade(over.signal) }
  }

  /** Ends with the last answer. */
  async stop(): Promise<void> {
    this.#trading?.over.abort()
    await this.#trading?.done
    this.#trading = undefined
  }

  /** Everybody whose last order is unknown asks until he knows. Returns how many never did. */
  async settle(): Promise<number> {
    const deadlineMs = performance.now() + SETTLE_MS_MAX
    const open = (): Trader[] => this.traders.filter(({ isSettled }) => !isSettled)
    while (open().length > 0 && performance.now() < deadlineMs) {
      await Promise.all(open().map((trader) => trader.settle()))
      await sleep(100)
    }
    return open().length
  }

  /** Holds everything that anybody was told so far against what is there. Nobody trades meanwhile. */
  async judge(): Promise<Verdict> {
    const { mysqlUrl } = this.#mesh.mesh
    const { accountSlots } = slotsFromEnv(process.env)
    const { nats } = this
    await untilCaughtUp({ nats, pool: this.#pool, mysqlUrl, accountSlots })
    const memberIds = this.traders.map(({ notebook }) => notebook.memberId)
    const markets = new Map(this.#markets.map((market) => [market.instrument, market]))
    const final = await readFinalState({ nats, mysqlUrl, accountSlots, memberIds, markets })
    return check(this.#histories(), this.fundings, final)
  }

  /** One at a time is in memory as a whole. */
  *#histories(): Generator<MemberHistory> {
    for (const { notebook } of this.traders) yield notebook.history()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#trading?.over.abort()
    this.owners.close()
    this.http.close()
    await this.#pool.end()
    await this.nats.close()
  }

  /** So many new orders a second, each by somebody who has nothing else under way. */
  async #trade(over: AbortSignal): Promise<void> {
    let due = 0
    let lastMs = performance.now()
    const underWay = new Set<Promise<unknown>>()
    while (!over.aborted) {
      await sleep(TICK_MS)
      const nowMs = performance.now()
      due = Math.min(due + ((nowMs - lastMs) * this.#rate) / 1000, this.#rate * DUE_SECONDS_MAX)
      lastMs = nowMs
      for (let tries = Math.ceil(due) * 2; due >= 1 && tries > 0; tries--) {
        const trader = this.#random.pick(this.traders)
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
}
