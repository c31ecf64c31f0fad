import type { OrderResult } from '#gateway/orders/trading.ts'
import { Problem } from '#gateway/problem.ts'
import type { NewOrder } from '#gateway/schemas/orders.ts'
import { isFault, parseNewOrder } from '#mesh/edge/new-order.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import { isOpen } from '#mesh/protocol/common.ts'
import type { DefinitionCommand } from '#mesh/protocol/definitions.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { DEFINITIONS_SLOT, Log } from '#mesh/subjects.ts'
import type { SimulatedMesh } from './mesh.ts'
import { type Edge, SHAPE } from './programs.ts'
import type { Random } from './random.ts'

/** What a member asked for and was told. */
export type Remembered =
  | {
      readonly did: 'place'
      readonly memberId: number
      readonly clientOrderId: string
      readonly side: 'buy' | 'sell'
      readonly instrument: string
      readonly told: Told<OrderResult>
    }
  | {
      readonly did: 'cancel' | 'amend'
      readonly memberId: number
      readonly orderId: number
      readonly told: Told<OrderResult>
    }
  | {
      readonly did: 'deposit' | 'withdraw' | 'transfer'
      readonly memberId: number
      readonly reference: string
      readonly asset: string
      readonly amountMinor: bigint
      readonly told: Told<Reply>
    }

/** An answer, a refusal by its code, or nothing that says what became of it. */
export type Told<Answer> =
  | { readonly answer: Answer }
  | { readonly refused: string; readonly orderId: number | undefined }
  | { readonly unknown: string }

/** The connection to a gateway broke, or there was none. */
class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

const UNKNOWN = new Set(['outcome_unknown', 'internal_error'])
const ANSWER_MS_MAX = 20_000
const HOP_MS = 0.2
const RETRY_MS = 100
const REPEATS_MAX = 6
/** Money that everybody has at the beginning, in minor units of 10⁻⁸. */
const START_MINOR = 20_000_000_000n
const ASSETS = ['BTC', 'ETH', 'USDT'] as const
const INSTRUMENTS = ['BTC-USDT', 'ETH-BTC'] as const

type DefinitionOf<Command> = Command extends unknown ? Omit<Command, 'commandId' | 'replyTo'> : never
const FEES = { makerFeePpm: 1_000, takerFeePpm: 2_000, slippagePpm: 50_000 } as const
const FIRST: readonly DefinitionOf<DefinitionCommand>[] = [
  ...ASSETS.map((asset) => ({ type: 'DefineAsset', asset, scale: 8 }) as const),
  { type: 'DefineMarket', instrument: 'BTC-USDT', base: 'BTC', quote: 'USDT', tick: '0.01', lot: '0.00001', ...FEES },
  { type: 'DefineMarket', instrument: 'ETH-BTC', base: 'ETH', quote: 'BTC', tick: '0.00001', lot: '0.001', ...FEES },
]

/** The outside world: members with one request at a time each, who remember what they were told. */
export class Members {
  readonly history: Remembered[] = []
  /** What a member was shown that cannot be. */
  readonly wrongs: string[] = []
  readonly #mesh: SimulatedMesh
  readonly #random: Random
  #references = 0

  constructor(mesh: SimulatedMesh, random: Random) {
    this.#mesh = mesh
    this.#random = random
  }

  /** Defines assets and markets, opens accounts, brings money. */
  async open(members: number): Promise<void> {
    for (const command of FIRST) {
      await this.#insist((edge) => edge.ask(Log.definitions, DEFINITIONS_SLOT, this.#named(edge, command)))
    }
    for (let memberId = 1; memberId <= members; memberId++) {
      await this.#insist((edge) => this.#tell(edge, memberId, { type: 'CreateAccount', memberId }))
      for (const asset of ASSETS) {
        // The first one begins with nothing of the base: he sells what he was told that he has bought.
        if (memberId === FLIPPER && asset === 'BTC') continue
        await this.#ledger('deposit', memberId, asset, START_MINOR)
      }
    }
    while (!this.#mesh.gateways.every(({ parts }) => parts?.definitions.markets().length === INSTRUMENTS.length)) {
      await this.#mesh.world.sleep(RETRY_MS)
    }
  }

  /** One member's day: pauses of a third of the maximum on average. */
  async live(memberId: number, actions: number, pauseMsMax: number): Promise<void> {
    const open: OrderResult[] = []
    for (let action = 0; action < actions; action++) {
      await this.#mesh.world.sleep(this.#random.next() ** 2 * pauseMsMax)
      if (memberId === FLIPPER) await this.#flip()
      else await this.#act(memberId, open)
    }
  }

  async #act(memberId: number, open: OrderResult[]): Promise<void> {
    const dice = this.#random.next()
    const known = open.length > 0 ? this.#random.pick(open) : undefined
    if (dice < 0.08) return this.#money(memberId)
    if (dice < 0.2 && known !== undefined)
      return this.#change('cancel', memberId, known, (edge, member) => {
        return edge.trading.cancel(member, { orderId: known.order.orderId })
      })
    if (dice < 0.28 && known !== undefined) {
      const amountLots = known.order.amountLots + this.#random.int(-3, 3)
      const priceTicks = this.#random.chance(0.5) ? known.order.priceTicks + this.#random.int(-2, 2) : undefined
      return this.#change('amend', memberId, known, (edge, member) =>
        edge.trading.amend(
          member,
          { orderId: known.order.orderId },
          { priceTicks, amountLots: Math.max(1, amountLots) },
        ),
      )
    }
    const told = await this.#place(memberId, this.#newOrder())
    if ('answer' in told && isOpen(told.answer.order.status)) open.push(told.answer)
    if (open.length > 8) open.shift()
  }

  #newOrder(): Omit<NewOrder, 'clientOrderId'> {
    const random = this.#random
    const instrument = random.pick(INSTRUMENTS)
    const side = random.pick(['buy', 'sell'] as const)
    const amount =
      instrument === 'BTC-USDT' ? (random.int(1, 2_000) / 100_000).toFixed(5) : (random.int(1, 200) / 1_000).toFixed(3)
    if (random.chance(0.15)) return { instrument, side, type: 'market', amount }
    const price =
      instrument === 'BTC-USDT'
        ? (random.int(9_990, 10_010) / 100).toFixed(2)
        : (random.int(990, 1_010) / 100_000).toFixed(5)
    // Now and then more than he has.
    return { instrument, side, price, amount: random.chance(0.03) ? '900.00000' : amount }
  }

  /** Buys, and with his very next command sells what he was told that he has bought. */
  async #flip(): Promise<void> {
    const bought = await this.#place(FLIPPER, {
      instrument: 'BTC-USDT',
      side: 'buy',
      price: '100.20',
      amount: (this.#random.int(100, 900) / 100_000).toFixed(5),
    })
    if (!('answer' in bought)) return
    const { order, fills } = bought.answer
    const feeMinor = fills.reduce((sum, fill) => sum + BigInt(fill.feeMinor), 0n)
    const lots = fills.reduce((sum, fill) => sum + fill.lots, 0)
    const sellable = Number((BigInt(lots) * MINOR_PER_LOT - feeMinor) / MINOR_PER_LOT)
    if (isOpen(order.status)) {
      await this.#change('cancel', FLIPPER, bought.answer, (edge, member) =>
        edge.trading.cancel(member, { orderId: order.orderId }),
      )
    }
    if (sellable < 1) return
    const sold = await this.#place(FLIPPER, {
      instrument: 'BTC-USDT',
      side: 'sell',
      price: '99.80',
      amount: (sellable / 100_000).toFixed(5),
    })
    const isUncertain = this.history.some((past) => past.memberId === FLIPPER && 'unknown' in past.told)
    if (!('answer' in sold) || isUncertain) return
    if (sold.answer.order.reason === 'insufficient_balance') {
      this.wrongs.push(
        `order ${sold.answer.order.orderId} sells what order ${order.orderId} was told to have bought: refused`,
      )
    }
  }

  async #place(memberId: number, body: Omit<NewOrder, 'clientOrderId'>): Promise<Told<OrderResult>> {
    const clientOrderId = `c${memberId}-${++this.#references}`
    const { side, instrument = '' } = body
    const isMarketOrder = body.type === 'market'
    let told: Told<OrderResult> = { unknown: 'nothing' }
    for (let repeat = 0; repeat < REPEATS_MAX; repeat++) {
      told = await this.#told((edge, member) => {
        const parsed = parseNewOrder({ ...body, clientOrderId }, edge.definitions.market)
        if (isFault(parsed)) throw new Error(`The simulation's order is wrong: ${parsed.code} ${parsed.field}`)
        return edge.trading.place(member, parsed)
      }, memberId)
      this.history.push({ did: 'place', memberId, clientOrderId, side, instrument, told })
      // Who is careful repeats until he knows.
      if (!('unknown' in told) && !('refused' in told && told.refused === 'not_accepted' && !isMarketOrder)) break
      await this.#mesh.world.sleep(this.#random.int(1, 500))
    }
    if ('answer' in told && this.#random.chance(0.3)) await this.#lookAt(memberId, told.answer)
    return told
  }

  /** What he reads after an answer is not older than that answer. */
  async #lookAt(memberId: number, { order: told }: OrderResult): Promise<void> {
    const seen = await this.#told((edge, member) => edge.reads.order(member, { orderId: told.orderId }), memberId)
    if (!('answer' in seen)) return
    const found = seen.answer?.order
    const closed = !isOpen(told.status)
    if (found === undefined || found.executedLots < told.executedLots || (closed && found.status !== told.status)) {
      const now = found === undefined ? 'nothing' : `${found.status} with ${found.executedLots} lots`
      this.wrongs.push(
        `order ${told.orderId}: told ${told.status} with ${told.executedLots} lots, read ${now} afterwards`,
      )
    }
  }

  async #change(
    did: 'cancel' | 'amend',
    memberId: number,
    { order }: OrderResult,
    work: (edge: Edge, member: { memberId: number; slot: number }) => Promise<OrderResult>,
  ): Promise<void> {
    const told = await this.#told(work, memberId)
    this.history.push({ did, memberId, orderId: order.orderId, told })
  }

  #money(memberId: number): Promise<void> {
    const did = this.#random.pick(['deposit', 'withdraw', 'transfer'] as const)
    return this.#ledger(did, memberId, this.#random.pick(ASSETS), BigInt(this.#random.int(1, 1_000_000)))
  }

  /** Repeated until it is known what became of it: the reference makes that harmless. */
  async #ledger(
    did: 'deposit' | 'withdraw' | 'transfer',
    memberId: number,
    asset: string,
    amountMinor: bigint,
  ): Promise<void> {
    const reference = `r${++this.#references}`
    const command = { memberId, reference, asset, amountMinor: String(amountMinor) }
    const toMemberId = (memberId % MEMBERS) + 1
    for (let repeat = 0; repeat < REPEATS_MAX; repeat++) {
      const told = await this.#told((edge) => {
        if (did === 'deposit') return this.#tell(edge, memberId, { type: 'Deposit', ...command })
        if (did === 'withdraw') return this.#tell(edge, memberId, { type: 'Withdraw', ...command })
        return this.#tell(edge, memberId, { type: 'Transfer', ...command, toMemberId })
      }, memberId)
      this.history.push({ did, memberId, reference, asset, amountMinor, told })
      if (!('unknown' in told)) return
      await this.#mesh.world.sleep(this.#random.int(1, 1_000))
    }
  }

  #tell(edge: Edge, memberId: number, command: CommandOf<AccountEdgeCommand>): Promise<Reply> {
    return edge.ask(Log.accounts, slotOf(memberId), this.#named(edge, command))
  }

  #named<Command extends object>(edge: Edge, command: Command): Command & { commandId: number; replyTo: string } {
    return { ...command, commandId: this.#mesh.nextId(), replyTo: edge.instanceId }
  }

  async #told<Answer>(
    work: (edge: Edge, member: { memberId: number; slot: number }) => Promise<Answer>,
    memberId: number,
  ): Promise<Told<Answer>> {
    try {
      return { answer: await this.#call((edge) => work(edge, { memberId, slot: slotOf(memberId) })) }
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      const isKnown = error instanceof Problem && !UNKNOWN.has(code)
      return isKnown ? { refused: code, orderId: error.details.orderId } : { unknown: code }
    }
  }

  async #insist(work: (edge: Edge) => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await this.#call(work)
        return
      } catch {
        await this.#mesh.world.sleep(RETRY_MS)
      }
    }
  }

  /** A request to one of the gateways. What is answered before it dies arrives; otherwise the connection is lost. */
  #call<Answer>(work: (edge: Edge) => Promise<Answer>): Promise<Answer> {
    const { world, gateways } = this.#mesh
    const ready = gateways.filter(({ parts }) => parts !== undefined)
    if (ready.length === 0) {
      return world.sleep(RETRY_MS).then(() => Promise.reject(new ConnectionLost('No gateway is ready.')))
    }
    const { process, parts } = this.#random.pick(ready)
    return new Promise((resolve, reject) => {
      const back = (settle: () => void): void => void world.after(HOP_MS, settle)
      const answer = (settle: () => void): void => {
        if (process.isAlive) back(settle)
      }
      process.onDeath.push(() => back(() => reject(new ConnectionLost('The gateway died.'))))
      world.after(ANSWER_MS_MAX, () => reject(new ConnectionLost('The gateway does not answer.')))
      world.after(HOP_MS, () =>
        process.run(() => {
          const asked = (async () => work(parts as Edge))()
          asked.then(
            (value) => answer(() => resolve(value)),
            (error) => answer(() => reject(error)),
          )
        }),
      )
    })
  }
}

type CommandOf<Command> = Command extends unknown ? Omit<Command, 'commandId' | 'replyTo'> : never

export const MEMBERS = 6
const FLIPPER = 1
/** Of BTC-USDT. */
const MINOR_PER_LOT = 1_000n

const slotOf = (memberId: number): number => accountSlotOf(memberId, SHAPE.accountSlots)
