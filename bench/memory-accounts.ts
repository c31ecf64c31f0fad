import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Context } from '#mesh/machine/rules.ts'
import type { AccountEvent, AccountItem } from '#mesh/protocol/accounts.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, sourceName } from '#mesh/subjects.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import { createReads } from '#services/accounts/reads.ts'

/**
 * The memory of the accounts' process with all its slots: a million members with three assets each (and the references of
 * their deposits), a million open orders, ten million remembered ids, and what is kept for reads. Everything comes in by
 * commands. RSS after a collection; the issue's bound is 1.4 GB.
 */
const SLOTS = 4
const MEMBERS = 1_000_000
const ORDERS = 1_000_000
const IDS = 10_000_000
const ASSETS = ['BTC', 'ETH', 'USDT'] as const

let timeUs = 1_700_000_000_000_000
let nextId = 2 ** 50
let position = 1

const rules = createAccountsRules({ accountSlots: SLOTS, marketSlots: SLOTS })
const reads = createReads({ recentOrdersMax: 10_000 })
const sent: { readonly slot: number; readonly item: AccountItem; readonly source: string }[] = []
const states = Array.from({ length: SLOTS }, (_, slot) => rules.initialState(slot))
const contexts = states.map(({ slot }) => contextOf(slot))
const steps: { readonly after: string; readonly rssMb: number; readonly arraysMb: number }[] = []

await measure('start')
for (const { slot } of states) {
  for (const asset of ASSETS) apply(slot, { type: 'AssetKnown', asset: { asset, scale: 8 } }, 'definitions-0')
  apply(slot, { type: 'MarketKnown', market: market() }, 'definitions-0')
}
for (let member = 0; member < MEMBERS; member++) {
  const memberId = memberIdOf(member)
  edge(memberId, { type: 'CreateAccount' })
  for (const asset of ASSETS) {
    const content = { asset, amountMinor: '1000000000000', reference: `deposit-${memberId}-${asset}` }
    edge(memberId, { type: 'Deposit', ...content })
  }
}
await measure('members')
for (let order = ORDERS; order < IDS; order++) place(order % MEMBERS, 0)
await measure('ids')
for (let order = 0; order < ORDERS; order++) place(order % MEMBERS, 3_000_000)
await measure('orders')

const total = (read: (slot: (typeof states)[number]) => number) => states.reduce((sum, state) => sum + read(state), 0)
const counts = {
  members: total((state) => state.members.count),
  balances: total((state) => state.books.count),
  openOrders: total((state) => state.orders.count),
  rememberedIds: total((state) => state.remembered.count),
}
assert.deepEqual(
  { ...counts, rememberedIds: 0 },
  { members: MEMBERS, balances: 3 * MEMBERS, openOrders: ORDERS, rememberedIds: 0 },
)
// Members are spread by a hash, so that the fullest slot has forgotten a few.
assert(counts.rememberedIds > IDS * 0.99)

const rssMb = steps.at(-1)?.rssMb ?? 0
// They are in arrays alone; refused orders, which they are of here, leave nothing else there.
const idsMb = arraysMb('ids') - arraysMb('members')
console.log('after     RSS      of it arrays')
for (const step of steps) console.log(`${step.after.padEnd(8)}  ${`${step.rssMb} MB`.padEnd(7)}  ${step.arraysMb} MB`)
console.log(
  JSON.stringify({
    bench: 'memory-accounts',
    cores: availableParallelism(),
    settings: { slots: SLOTS, ...counts },
    result: { rssMb, rememberedIdsMb: idsMb, bytesPerRememberedId: Math.round((idsMb * 1e6) / (IDS - ORDERS)) },
  }),
)

function place(member: number, priceTicks: number): void {
  edge(memberIdOf(member), {
    type: 'PlaceOrder',
    clientOrderId: `client-order-${nextId}`,
    contentHash: nextId,
    instrument: 'BTC-USDT',
    side: 'buy',
    orderType: 'limit',
    priceTicks,
    amountLots: 2,
    createdAtUs: timeUs,
  })
}

/** Through JSON, as on the bus: no two commands share a string. */
function edge(memberId: number, command: object): void {
  const text = JSON.stringify({ ...command, commandId: nextId++, replyTo: '', memberId })
  apply(accountSlotOf(memberId, SLOTS), JSON.parse(text) as AccountItem, 'cmd')
  for (let next = sent.shift(); next !== undefined; next = sent.shift()) apply(next.slot, next.item, next.source)
}

function apply(slot: number, item: AccountItem, source: string): void {
  const state = states[slot]
  const context = contexts[slot]
  assert(state !== undefined && context !== undefined)
  rules.apply(state, item, Object.assign(context, { timeUs: timeUs++, source }))
  position++
}

function contextOf(slot: number): Context<AccountEvent> {
  return {
    slot,
    timeUs: 0,
    source: '',
    emit: (event) => reads.observe(slot, event, [position, 0, 0], timeUs),
    // References are claimed at other slots; what goes to the markets stays unanswered, so that all orders stay open.
    send: (log, target, item) => {
      if (log !== Log.accounts) return 0
      return sent.push({ slot: target, item: item as AccountItem, source: sourceName(Log.accounts, slot) })
    },
    reply: () => {},
  }
}

/** After a collection, and a while in which V8 gives back the pages that it pools. */
async function measure(after: string): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  collect()
  const { rss, arrayBuffers } = process.memoryUsage()
  steps.push({ after, rssMb: Math.round(rss / 1e6), arraysMb: Math.round(arrayBuffers / 1e6) })
}

function arraysMb(name: string): number {
  return steps.find(({ after }) => after === name)?.arraysMb ?? 0
}

function memberIdOf(member: number): number {
  return 2 ** 49 + member * 977
}

function market(): MarketDefinition {
  return {
    instrument: 'BTC-USDT',
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
    marketSlot: 0,
    status: 'trading',
  }
}
