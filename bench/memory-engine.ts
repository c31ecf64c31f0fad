/**
 * Memory of an engine slot with 1 million open orders of the usual kind, after a collection.
 *
 *     node --expose-gc bench/memory-engine.ts [--markets 3]
 */
import { availableParallelism } from 'node:os'
import type { Context } from '#mesh/machine/rules.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { engineRules } from '#services/engine/domain/rules.ts'

const ORDERS = 1_000_000
const { gc } = globalThis
if (gc === undefined) throw new Error('Run it with --expose-gc.')

const result: Record<string, { rssMb: number; heapMb: number; buffersMb: number; emptyRssMb: number }> = {}
const marketsText = process.argv[process.argv.indexOf('--markets') + 1]
const marketsCount = process.argv.includes('--markets') ? Number(marketsText) : 3

const state = engineRules.initialState(0)
const context = (source: string): Context<MarketEvent> => ({
  slot: 0,
  timeUs: 1_700_000_000_000_000,
  source,
  emit: () => {},
  send: () => 0,
  reply: () => {},
})
const instrumentOf = (index: number): string => `AAA${index % marketsCount}-USDT`
for (let index = 0; index < marketsCount; index++) {
  const market = {
    instrument: instrumentOf(index),
    base: `AAA${index}`,
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
  } as const
  engineRules.apply(state, { type: 'OpenMarket', market, commandId: 1, replyTo: '' }, context('definitions-0'))
}
gc()
const emptyRssMb = megabytes(process.memoryUsage().rss)

const fromAccounts = context('accounts-1')
for (let index = 0; index < ORDERS; index++) {
  const orderId = 1_763_720_000_000_000 + index * 7
  const side = index % 2 === 0 ? 'buy' : 'sell'
  // 50 000 prices a side, so that levels cost their share too.
  const priceTicks = side === 'buy' ? 5_000_000 - (index % 50_000) : 5_000_001 + (index % 50_000)
  const item: MarketItem = {
    type: 'EnterOrder',
    commandId: orderId,
    replyTo: 'gateway-1',
    orderId,
    memberId: 1_763_000_000_000_000 + (index % 100_000),
    instrument: instrumentOf(index * 31),
    clientOrderId: `load-0123456789-${index}`,
    side,
    orderType: 'limit',
    priceTicks,
    amountLots: 1_000,
    holdMinor: side === 'buy' ? String(priceTicks * 10_000) : '1000000',
    makerFeePpm: 1_000,
    takerFeePpm: 2_000,
    createdAtUs: 1_763_720_000_000_000 + index,
  }
  // Texts as they come out of a message, not shared with this program's constants.
  engineRules.apply(state, JSON.parse(JSON.stringify(item)) as MarketItem, fromAccounts)
}
gc()
await new Promise((resolve) => setTimeout(resolve, 500))
gc()
let resting = 0
for (const { book } of state.markets.values()) resting += book.ordersCount
if (resting !== ORDERS) throw new Error(`${resting} orders rest, not ${ORDERS}.`)
const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
result[`orders1MMarkets${marketsCount}`] = {
  rssMb: megabytes(rss),
  heapMb: megabytes(heapUsed),
  buffersMb: megabytes(arrayBuffers),
  emptyRssMb,
}
console.table(result)
console.log(
  JSON.stringify({
    bench: 'memory-engine',
    cores: availableParallelism(),
    settings: { orders: ORDERS, markets: marketsCount, node: process.version },
    result,
  }),
)

function megabytes(bytes: number): number {
  return Math.round(bytes / 1_048_576)
}
