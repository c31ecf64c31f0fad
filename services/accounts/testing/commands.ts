import fc from 'fast-check'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import type { MarketStatus, Origin } from '#mesh/protocol/common.ts'
import type { DefinitionCommand } from '#mesh/protocol/definitions.ts'
import type { TestMesh } from './mesh.ts'

/** What the tests' exchange is made of. The last member has no account. */
export const MEMBERS = [101, 102, 103, 104, 105] as const
export const ASSETS = ['BTC', 'ETH', 'USDT'] as const
export const INSTRUMENTS = ['BTC-USDT', 'ETH-BTC'] as const

/** Without ids: they are given when it is sent. */
type WithoutIds<Command> = Command extends unknown ? Omit<Command, 'commandId' | 'replyTo' | 'createdAtUs'> : never

export type Action =
  | { readonly do: 'edge'; readonly command: WithoutIds<AccountEdgeCommand> }
  /** Names an order that was sent before, counted from the last. */
  | { readonly do: 'onOrder'; readonly back: number; readonly how: OnOrder }
  | { readonly do: 'again'; readonly back: number }
  /** The same message from a broker, as a new command. */
  | { readonly do: 'redelivered'; readonly back: number }
  | { readonly do: 'define'; readonly command: WithoutIds<DefinitionCommand> }
  /** Lets so many items be read, from queues chosen by the numbers. */
  | { readonly do: 'steps'; readonly choices: readonly number[] }

type OnOrder =
  | { readonly type: 'CancelOrder' | 'VoidOrder' }
  | { readonly type: 'AmendOrder'; readonly priceTicks?: number; readonly amountLots?: number }
  | { readonly type: 'CancelOrder'; readonly requestId: string; readonly origin: Origin }
  | {
      readonly type: 'AmendOrder'
      readonly amountLots: number
      readonly instrument: string
      readonly requestId: string
      readonly origin: Origin
    }

const member = fc.oneof(
  { weight: 15, arbitrary: fc.constantFrom(...MEMBERS.slice(0, -1)) },
  { weight: 1, arbitrary: fc.constantFrom(...MEMBERS) },
)
const asset = fc.constantFrom(...ASSETS)
const instrument = fc.oneof(
  { weight: 4, arbitrary: fc.constant(INSTRUMENTS[0]) },
  { weight: 1, arbitrary: fc.constant(INSTRUMENTS[1]) },
)
const side = fc.constantFrom('buy' as const, 'sell' as const)
const priceTicks = fc.integer({ min: 1, max: 4 })
const amountLots = fc.integer({ min: 1, max: 9 })
const clientOrderId = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')
const reference = fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8', 'r9')
const amountMinor = fc.integer({ min: 1, max: 400 }).map(String)
const contentHash = fc.integer({ min: 1, max: 2 })
const origin = fc.constantFrom<Origin>('rabbitmq', 'kafka')
const requestId = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l')

const limitOrder = fc.record(
  {
    type: fc.constant('PlaceOrder' as const),
    memberId: member,
    instrument,
    side,
    orderType: fc.constant('limit' as const),
    priceTicks,
    amountLots,
    contentHash,
    clientOrderId,
  },
  { requiredKeys: ['type', 'memberId', 'instrument', 'side', 'orderType', 'priceTicks', 'amountLots', 'contentHash'] },
)
const marketOrder = fc
  .record({ memberId: member, instrument, side, priceTicks, amountLots, contentHash, byQuote: fc.boolean() })
  .map(({ byQuote, ...order }) => ({
    ...order,
    type: 'PlaceOrder' as const,
    orderType: 'market' as const,
    ...(byQuote
      ? {
          quoteTickLots: order.priceTicks * order.amountLots,
          amountLots: order.side === 'sell' ? order.amountLots : 0,
        }
      : {}),
  }))

/** A broker's orders always have a name. */
const brokersOrder = fc
  .tuple(limitOrder, clientOrderId, origin)
  .map(([order, own, through]) => ({ ...order, clientOrderId: own, origin: through }))

const edge = fc.oneof(
  { weight: 8, arbitrary: limitOrder },
  { weight: 4, arbitrary: brokersOrder },
  { weight: 4, arbitrary: marketOrder },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('CancelOrders' as const), memberId: member }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('CancelOrder' as const), memberId: member, clientOrderId }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constantFrom('Deposit' as const, 'Withdraw' as const),
      memberId: member,
      reference,
      asset,
      amountMinor,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('Transfer' as const),
      memberId: member,
      toMemberId: member,
      reference,
      asset,
      amountMinor,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('SetAccountStatus' as const),
      memberId: fc.constantFrom(103, 104),
      status: fc.constantFrom('active' as const, 'blocked' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('SetFeeDiscount' as const),
      memberId: member,
      day: fc.integer({ min: 1, max: 3 }),
      discountPpm: fc.constantFrom(0, 100_000, 333_333, 1_000_000),
    }),
  },
)

const onOrder: fc.Arbitrary<OnOrder> = fc.oneof(
  fc.record({ type: fc.constantFrom('CancelOrder' as const, 'VoidOrder' as const) }),
  fc.record({ type: fc.constant('AmendOrder' as const), priceTicks, amountLots }),
  fc.record({ type: fc.constant('AmendOrder' as const), amountLots }),
  fc.record({ type: fc.constant('CancelOrder' as const), requestId, origin }),
  fc.record({ type: fc.constant('AmendOrder' as const), amountLots, instrument, requestId, origin }),
)

const definition = fc.oneof(
  fc.record({
    type: fc.constant('SetMarketStatus' as const),
    instrument,
    status: fc.constantFrom<MarketStatus>('trading', 'trading', 'trading', 'trading', 'cancel_only', 'halted'),
  }),
  fc.record({
    type: fc.constant('SetFees' as const),
    instrument,
    makerFeePpm: fc.integer({ min: 0, max: 100_000 }),
    takerFeePpm: fc.integer({ min: 0, max: 100_000 }),
  }),
)

const back = fc.nat({ max: 12 })

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 10, arbitrary: edge.map((command) => ({ do: 'edge' as const, command })) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('onOrder' as const), back, how: onOrder }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('again' as const, 'redelivered' as const), back }) },
  { weight: 1, arbitrary: definition.map((command) => ({ do: 'define' as const, command })) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('steps' as const),
      choices: fc.array(fc.nat({ max: 50 }), { maxLength: 8 }),
    }),
  },
)

export const actions: fc.Arbitrary<Action[]> = fc.array(action, { minLength: 30, maxLength: 150, size: 'max' })

/** An exchange with two markets, whose members (but the last) have some of everything. */
export function openExchange(mesh: TestMesh<unknown>): void {
  let commandId = 1
  const ids = () => ({ commandId: commandId++, replyTo: 'edge-1' })
  for (const name of ASSETS) mesh.define({ ...ids(), type: 'DefineAsset', asset: name, scale: 2 })
  for (const name of INSTRUMENTS) {
    const [base = '', quote = ''] = name.split('-')
    const fees = { makerFeePpm: 1_000, takerFeePpm: 30_000, slippagePpm: 0 }
    mesh.define({ ...ids(), ...fees, type: 'DefineMarket', instrument: name, base, quote, tick: '0.1', lot: '0.3' })
  }
  mesh.run()
  for (const memberId of MEMBERS.slice(0, -1)) {
    mesh.edge({ ...ids(), type: 'CreateAccount', memberId })
    for (const name of ASSETS) {
      const first = { reference: `first ${memberId} ${name}`, asset: name, amountMinor: '500' }
      mesh.edge({ ...ids(), type: 'Deposit', memberId, ...first })
    }
  }
  mesh.run()
}

/** Sends what the actions say. `settled`: everything that an action causes is read before the next one. */
export class Player {
  readonly #mesh: TestMesh<unknown>
  readonly #settled: boolean
  readonly #sent: AccountEdgeCommand[] = []
  readonly #orders: { readonly orderId: number; readonly memberId: number }[] = []
  #nextId = 1000
  #nextRedeliveredId = 1_000_000

  constructor(mesh: TestMesh<unknown>, { settled }: { readonly settled: boolean }) {
    this.#mesh = mesh
    this.#settled = settled
  }

  play(next: Action): void {
    switch (next.do) {
      case 'edge':
        this.#send({ ...next.command, ...this.#ids() } as AccountEdgeCommand)
        break
      case 'onOrder': {
        const order = this.#orders.at(-1 - next.back)
        if (order !== undefined) this.#send({ ...next.how, ...order, ...this.#ids() })
        break
      }
      case 'again': {
        const command = this.#sent.at(-1 - next.back)
        if (command !== undefined) this.#mesh.edge(command)
        break
      }
      case 'redelivered': {
        const command = this.#sent.at(-1 - next.back)
        if (command?.origin !== undefined) this.#mesh.edge({ ...command, commandId: this.#nextRedeliveredId++ })
        break
      }
      case 'define':
        this.#mesh.define({ ...next.command, ...this.#ids() } as DefinitionCommand)
        break
      case 'steps':
        for (const choice of next.choices) this.#mesh.step((count) => choice % count)
        break
    }
    if (this.#settled) this.#mesh.run()
  }

  #ids(): { commandId: number; replyTo: string; createdAtUs: number } {
    return { commandId: this.#nextId++, replyTo: 'edge-1', createdAtUs: 1 }
  }

  #send(command: AccountEdgeCommand): void {
    this.#sent.push(command)
    if (command.type === 'PlaceOrder') this.#orders.push({ orderId: command.commandId, memberId: command.memberId })
    this.#mesh.edge(command)
  }
}
