import { availableParallelism } from 'node:os'
import type { Context } from '#mesh/machine/rules.ts'
import type { AccountEvent, AccountItem, OrderOutcome, PlaceOrder } from '#mesh/protocol/accounts.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import type { AccountsState } from '#services/accounts/domain/accounts-state.ts'

/**
 * What the rules of an account slot take for an order: reserve, and book its execution, at several sizes of what is there.
 * The second figure of each size touches few members and one market only: what the first has more is the caches' doing.
 */
const ROUNDS = 200_000
const BATCH = 2_000

interface Size {
  readonly members: number
  readonly openOrders: number
  readonly ids: number
  readonly markets: number
}

const SIZES: readonly Size[] = [
  { members: 1_000, openOrders: 1_000, ids: 10_000, markets: 3 },
  { members: 10_000, openOrders: 10_000, ids: 100_000, markets: 3 },
  { members: 100_000, openOrders: 100_000, ids: 1_000_000, markets: 3 },
  { members: 1_000_000, openOrders: 1_000_000, ids: 2_500_000, markets: 3 },
  { members: 1_000_000, openOrders: 1_000_000, ids: 2_500_000, markets: 10_000 },
]

/** Takes what the rules say and keeps none of it. */
const context: Context<AccountEvent> & { timeUs: number; source: string; saidCount: number } = {
  slot: 0,
  timeUs: 0,
  source: 'cmd',
  saidCount: 0,
  emit: () => {
    context.saidCount++
  },
  send: () => context.saidCount++,
  reply: () => {
    context.saidCount++
  },
}

const result: Record<string, number> = {}
console.log('members      open orders  remembered   markets  µs an order  µs, few members and markets')
for (const size of SIZES) {
  const slot = fill(size)
  const everywhere = measure(slot, size, size.members)
  const few = measure(slot, size, Math.min(size.members, 100))
  const columns = [size.members, size.openOrders, size.ids, size.markets].map((count) => String(count).padEnd(11))
  console.log(columns.join('  '), everywhere.toFixed(2).padEnd(12), few.toFixed(2))
  result[`microsecondsPerOrderAt${size.members}Members${size.markets}Markets`] = Number(everywhere.toFixed(2))
  result[`microsecondsPerOrderAt${size.members}Members${size.markets}MarketsFew`] = Number(few.toFixed(2))
}
console.log(
  JSON.stringify({
    bench: 'accounts-rules',
    cores: availableParallelism(),
    settings: { rounds: ROUNDS, sizes: SIZES },
    result,
  }),
)

interface Slot {
  readonly state: AccountsState
  apply(item: AccountItem, source: string): void
  nextId: number
  timeUs: number
}

function fill(size: Size): Slot {
  const rules = createAccountsRules({ accountSlots: 1, marketSlots: 4, rememberedIdsMax: size.ids })
  const state = rules.initialState(0)
  const slot: Slot = {
    state,
    nextId: 2 ** 50,
    timeUs: 1_700_000_000_000_000,
    apply: (item, source) => {
      context.timeUs = slot.timeUs++
      context.source = source
      rules.apply(state, item, context)
    },
  }
  for (const asset of ['BTC', 'USDT']) {
    slot.apply({ type: 'AssetKnown', asset: { asset, scale: 8 } }, 'definitions-0')
  }
  for (let market = 0; market < size.markets; market++) {
    slot.apply({ type: 'MarketKnown', market: marketNumber(market) }, 'definitions-0')
  }
  for (let member = 1; member <= size.members; member++) {
    const ids = { commandId: slot.nextId++, replyTo: '', memberId: memberId(member) }
    slot.apply({ ...ids, type: 'CreateAccount' }, 'cmd')
    for (const asset of ['BTC', 'USDT']) {
      const money = { reference: `${member} ${asset}`, asset, amountMinor: '1000000000000' }
      slot.apply({ ...ids, type: 'Deposit', ...money }, 'cmd')
    }
  }
  for (let order = size.openOrders; order < size.ids; order++) {
    slot.apply({ ...place(slot, order % size.members, 0), priceTicks: 0 }, 'cmd')
  }
  for (let order = 0; order < size.openOrders; order++) slot.apply(place(slot, order % size.members, 0), 'cmd')
  return slot
}

/**
 * Microseconds of the main thread's own time (others may use the processor as well) for an order of any of so many
 * members: placed, then entered in its market and executed by two fills.
 */
function measure(slot: Slot, size: Size, members: number): number {
  const markets = members < size.members ? 1 : size.markets
  let spentUs = 0
  for (let first = 0; first < ROUNDS; first += BATCH) {
    const items: { readonly item: AccountItem; readonly source: string }[] = []
    for (let round = first; round < first + BATCH; round++) {
      const order = place(slot, Math.floor(((round * 0.618034) % 1) * members), round % markets)
      items.push({ item: order, source: 'cmd' }, { item: outcomeOf(order), source: `markets-${(round % markets) % 4}` })
    }
    const before = process.threadCpuUsage()
    for (const { item, source } of items) slot.apply(item, source)
    const { user, system } = process.threadCpuUsage(before)
    spentUs += user + system
  }
  return spentUs / ROUNDS
}

function place(slot: Slot, member: number, market: number): PlaceOrder {
  const commandId = slot.nextId++
  return {
    type: 'PlaceOrder',
    commandId,
    replyTo: 'gateway-1',
    memberId: memberId(member + 1),
    clientOrderId: `order-${commandId}`,
    contentHash: commandId,
    instrument: `M${market}-USDT`,
    side: commandId % 2 === 0 ? 'buy' : 'sell',
    orderType: 'limit',
    priceTicks: 3_000_000,
    amountLots: 2,
    createdAtUs: slot.timeUs,
  }
}

function outcomeOf(order: PlaceOrder): OrderOutcome {
  const fill = { priceTicks: 3_000_000, lots: 1, quoteMinor: '30000000', feeMinor: '2', liquidity: 'taker' } as const
  return {
    type: 'OrderOutcome',
    cause: 'placed',
    commandId: order.commandId,
    orderId: order.commandId,
    memberId: order.memberId,
    status: 'executed',
    fills: [
      { tradeId: 1, ...fill },
      { tradeId: 2, ...fill },
    ],
    consumedMinor: order.side === 'buy' ? '60000000' : '2000',
    releasedMinor: '0',
    priceTicks: 3_000_000,
    amountLots: 2,
    executedLots: 2,
    timeUs: order.createdAtUs,
  }
}

function memberId(member: number): number {
  return 2 ** 49 + member * 977
}

function marketNumber(market: number): MarketDefinition {
  return {
    instrument: `M${market}-USDT`,
    base: 'BTC',
    quote: 'USDT',
    tick: '0.01',
    lot: '0.00001',
    baseMinorPerLot: '1000',
    quoteMinorPerTickLot: '10',
    amountLotsMin: 1,
    makerFeePpm: 1_000,
    takerFeePpm: 2_000,
    slippagePpm: 50_000,
    marketSlot: market % 4,
    status: 'trading',
  }
}
