import assert from 'node:assert/strict'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import { MARKET, recordingContext } from '../testing/script.ts'
import { engineRules } from './rules.ts'

type Enter = Extract<MarketItem, { type: 'EnterOrder' }>

interface Variant {
  readonly market?: Partial<MarketDefinition>
  readonly order?: Partial<Enter>
  readonly source?: string
  readonly timeUs?: number
  /** Of the order that fills a part. */
  readonly met?: Partial<Enter>
  readonly more?: readonly MarketItem[]
}

const ORDER: Enter = {
  type: 'EnterOrder',
  commandId: 2,
  replyTo: '',
  orderId: 2,
  memberId: 7,
  instrument: MARKET.instrument,
  clientOrderId: 'a',
  side: 'buy',
  orderType: 'limit',
  priceTicks: 100,
  amountLots: 1_000,
  holdMinor: '900000000',
  makerFeePpm: 50_000,
  takerFeePpm: 2_000,
  createdAtUs: 500,
}

function hashOf({ market, order, source = 'accounts-1', timeUs = 1_000, met, more = [] }: Variant): string {
  const state = engineRules.initialState(0)
  const apply = (item: MarketItem, from: string): void =>
    engineRules.apply(state, item, recordingContext(from, timeUs).context)
  apply({ type: 'OpenMarket', commandId: 1, replyTo: '', market: { ...MARKET, ...market } }, 'definitions-0')
  apply({ ...ORDER, ...order }, source)
  apply({ ...ORDER, commandId: 3, orderId: 3, side: 'sell', amountLots: 400, ...met }, 'accounts-1')
  for (const item of more) apply(item, item.type === 'ChangeMarketStatus' ? 'definitions-0' : source)
  return engineRules.stateHash(state)
}

const common = { commandId: 9, replyTo: '', instrument: MARKET.instrument }

/** Each differs from the plain state in one thing that decides what comes next. */
const VARIANTS: Record<string, Variant> = {
  'base unit': { market: { baseMinorPerLot: '11' } },
  'quote unit': { market: { quoteMinorPerTickLot: '3' } },
  'base asset': { market: { base: 'AAB' } },
  'quote asset': { market: { quote: 'BBC' } },
  'market status': { more: [{ ...common, type: 'ChangeMarketStatus', status: 'halted' }] },
  "owner's id": { order: { memberId: 8 } },
  "owner's slot": { source: 'accounts-2' },
  'client order id': { order: { clientOrderId: 'b' } },
  side: { order: { side: 'sell' }, met: { side: 'buy' } },
  price: { order: { priceTicks: 101 }, met: { priceTicks: 101 } },
  total: { order: { amountLots: 1_001 } },
  executed: { order: { amountLots: 999 }, met: { amountLots: 399 } },
  'maker fee rate and fee': { order: { makerFeePpm: 50_001 } },
  'taker fee rate': { order: { takerFeePpm: 2_001 } },
  'time of creation': { order: { createdAtUs: 501 } },
  'time of receipt': { timeUs: 1_001 },
  'trades so far': {
    order: { amountLots: 600 },
    met: { amountLots: 600, orderId: 4 },
    more: [{ ...ORDER, amountLots: 600 }],
  },
  'changes so far': {
    more: [
      { ...ORDER, orderId: 5, priceTicks: 99 },
      { ...common, type: 'CancelEntered', orderId: 5, memberId: 7 },
    ],
  },
}

describe('state hash of the engine', () => {
  const plain = hashOf({})

  it('is the same for the same state', () => assert.equal(hashOf({}), plain))

  it('is 16 hexadecimal digits', () => assert.match(plain, /^[0-9a-f]{16}$/))

  for (const [name, variant] of Object.entries(VARIANTS)) {
    it(`depends on: ${name}`, () => assert.notEqual(hashOf(variant), plain))
  }

  it('depends on none of the differences in the same way', () => {
    const hashes = Object.values(VARIANTS).map(hashOf)
    assert.equal(new Set(hashes).size, hashes.length)
  })

  it('depends on the fees that an order has paid, not only on its rate', () => {
    // The same trades at another granularity: 400 lots in one fill or in two of odd size, rounded up twice.
    const one = hashOf({ order: { makerFeePpm: 1_001 } })
    const two = hashOf({
      order: { makerFeePpm: 1_001 },
      met: { amountLots: 399 },
      more: [{ ...ORDER, orderId: 4, side: 'sell', amountLots: 1 }],
    })
    assert.notEqual(one, two)
  })
})
