import assert from 'node:assert/strict'
import type { Frame } from '#mesh/frames.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import { type MarketTerms, MarketUnknown, OrderRows } from './rows.ts'

const TERMS: MarketTerms = { base: 'BTC', quote: 'USDT', baseMinorPerLot: 1_000n }
const TIME_US = 1_763_720_000_000_000

const order: OrderState = {
  orderId: 7,
  memberId: 42,
  clientOrderId: 'mine',
  instrument: 'BTC-USDT',
  side: 'buy',
  orderType: 'limit',
  priceTicks: 100,
  amountLots: 5,
  executedLots: 0,
  executedQuoteMinor: '0',
  feeMinor: '0',
  status: 'new',
  createdAtUs: TIME_US,
  receivedAtUs: 0,
  updatedAtUs: TIME_US,
}
const fill: Fill = { tradeId: 1, priceTicks: 100, lots: 2, quoteMinor: '2000', feeMinor: '3', liquidity: 'taker' }

/** Each event an item of its own in message 9. */
const frameOf = (...events: AccountEvent[]): Frame<AccountEvent> => ({
  header: { inFrom: [9, 0], inTo: [9, events.length], complete: true, hash: 1, timeUs: TIME_US, version: 1 },
  events: events.map((event, item) => ({ ...event, position: [9, item, 0] as const })),
})

/** The rows of each statement by table, without what stands around them. */
function rowsOf(...events: AccountEvent[]): Record<string, string> {
  const batch = new OrderRows(0, () => TERMS)
  batch.add(frameOf(...events))
  const statements = batch.statements().map((statement) => {
    const [, table = '', rows = ''] =
      /^INSERT INTO (\w+) \([\w,]+\) VALUES (.*?)( ON DUPLICATE KEY .*)?$/.exec(statement) ?? []
    return [table, rows]
  })
  return Object.fromEntries(statements)
}

describe('the rows of a batch', () => {
  it('write an order once, as it is at the end', () => {
    const placed: AccountEvent = { type: 'OrderPlaced', order, balances: [['USDT', '90', '10']] }
    const changed: OrderState = {
      ...order,
      executedLots: 2,
      executedQuoteMinor: '2000',
      feeMinor: '3',
      status: 'partially_filled',
    }
    const balances = [
      ['BTC', '1997', '0'],
      ['USDT', '90', '8'],
    ] as const
    const matched: AccountEvent = {
      type: 'OrderChanged',
      cause: 'matched',
      commandId: 8,
      order: changed,
      fills: [fill],
      balances,
    }
    assert.deepEqual(rowsOf(placed, matched), {
      orders: `(42,7,'mine','BTC-USDT','buy','limit',100,5,NULL,2,2000,3,'partially_filled',NULL,${TIME_US},0,${TIME_US},9)`,
      fills: `(42,9,1,0,0,7,'BTC-USDT','buy',1,100,2,2000,2000,3,'taker',1997,0,90,8,${TIME_US})`,
      balances: `(42,'BTC',1997,0),(42,'USDT',90,8)`,
      asset_totals: `(0,'BTC',0,0,0,2000,3),(0,'USDT',0,0,0,-2000,0)`,
      market_totals: `(0,'BTC-USDT',1,0,1,2,2000)`,
      orders_timeline: `(0,${Math.floor(TIME_US / 60e6)},9)`,
    })
  })

  it('give the balances after an outcome to its last fill alone', () => {
    const balances = [
      ['BTC', '1', '2'],
      ['USDT', '3', '4'],
    ] as const
    const fills = [fill, { ...fill, tradeId: 2 }]
    const rows = rowsOf({ type: 'OrderChanged', cause: 'placed', commandId: 7, order, fills, balances })
    assert.equal(
      rows.fills,
      `(42,9,0,0,0,7,'BTC-USDT','buy',1,100,2,2000,2000,3,'taker',NULL,NULL,NULL,NULL,${TIME_US}),` +
        `(42,9,0,0,1,7,'BTC-USDT','buy',2,100,2,2000,2000,3,'taker',1,2,3,4,${TIME_US})`,
    )
  })

  it("sort members, and count a maker's fills without their volume", () => {
    const balances = [
      ['BTC', '1', '2'],
      ['USDT', '3', '4'],
    ] as const
    const outcome = (memberId: number, liquidity: Fill['liquidity']): AccountEvent => ({
      type: 'OrderChanged',
      cause: 'matched',
      commandId: 7,
      order: { ...order, memberId, orderId: memberId, side: liquidity === 'maker' ? 'sell' : 'buy' },
      fills: [{ ...fill, liquidity }],
      balances,
    })
    const rows = rowsOf(outcome(50, 'maker'), outcome(40, 'taker'))
    assert(rows.orders?.startsWith('(40,40'))
    assert(rows.fills?.startsWith('(40,9,1'))
    assert(rows.balances?.startsWith("(40,'BTC'"))
    assert.equal(rows.market_totals, `(0,'BTC-USDT',0,0,2,2,2000)`)
    assert.equal(rows.asset_totals, `(0,'BTC',0,0,0,0,3),(0,'USDT',0,0,0,0,3)`)
  })

  it('tell deposits, withdrawals and transfers apart', () => {
    const moved = (
      cause: Extract<AccountEvent, { type: 'BalanceChanged' }>['cause'],
      amountMinor: string,
    ): AccountEvent => ({
      type: 'BalanceChanged',
      memberId: 42,
      cause,
      reference: cause,
      asset: 'BTC',
      amountMinor,
      balances: [['BTC', '5', '0']],
    })
    const rows = rowsOf(
      moved('deposit', '10'),
      moved('withdrawal', '-3'),
      moved('transfer_out', '-4'),
      moved('transfer_returned', '4'),
    )
    assert.equal(rows.asset_totals, `(0,'BTC',10,3,0,0,0)`)
    assert(rows.movements?.startsWith(`(42,9,0,0,'deposit','deposit','BTC',10,5,0,${TIME_US}),(42,9,1,0,'withdrawal'`))
    assert.equal(rows.balances, `(42,'BTC',5,0)`)
  })

  it('write a refused order whatever it carries', () => {
    const refused: OrderState = {
      ...order,
      instrument: `no'such`,
      priceTicks: 1e300,
      amountLots: 0.5,
      status: 'rejected',
      reason: 'market_unknown',
    }
    assert.deepEqual(rowsOf({ type: 'OrderRejected', order: refused }), {
      orders: `(42,7,'mine','no\\'such','buy','limit',0,0,NULL,0,0,0,'rejected','market_unknown',${TIME_US},0,${TIME_US},9)`,
      orders_timeline: `(0,${Math.floor(TIME_US / 60e6)},9)`,
    })
  })

  it('are none for what changes none', () => {
    const batch = new OrderRows(0, () => TERMS)
    batch.add({ ...frameOf(), events: [] })
    assert.deepEqual(batch.statements(), [])
    assert.equal(batch.rowsCount, 0)
  })

  it('wait for a market that is not known yet', () => {
    const batch = new OrderRows(0, () => undefined)
    const event: AccountEvent = {
      type: 'OrderChanged',
      cause: 'placed',
      commandId: 7,
      order,
      fills: [fill],
      balances: [],
    }
    assert.throws(() => batch.add(frameOf(event)), MarketUnknown)
  })
})
