import assert from 'node:assert/strict'
import { PRICE_TICKS_MAX } from '#mesh/domain/money.ts'
import { type Market, marketOf } from '#mesh/edge/market.ts'
import { isFault, parseAmendment, parseNewOrder, worstPriceTicks } from '#mesh/edge/new-order.ts'
import { checkerOf } from './check.ts'
import { Amendment, NewOrder } from './orders.ts'

const BTC_USDT: Market = marketOf(
  {
    instrument: 'BTC-USDT',
    base: 'BTC',
    quote: 'USDT',
    tick: '0.05',
    lot: '0.00001',
    baseMinorPerLot: '1000',
    quoteMinorPerTickLot: '50',
    amountLotsMin: 10,
    makerFeePpm: 1000,
    takerFeePpm: 2000,
    slippagePpm: 50_000,
    marketSlot: 0,
    status: 'trading',
  },
  { asset: 'BTC', scale: 8 },
  { asset: 'USDT', scale: 8 },
)
const markets = (instrument: string) => (instrument === 'BTC-USDT' ? BTC_USDT : undefined)
const newOrder = checkerOf(NewOrder)
const amendment = checkerOf(Amendment)

const LIMIT = { instrument: 'BTC-USDT', side: 'buy', type: 'limit', price: '100.05', amount: '0.5' }
const MARKET = { instrument: 'BTC-USDT', side: 'sell', type: 'market', amount: '0.5' }

/** Code and field, the way a body goes: shape first, then the market's rules. */
function outcomeOf(body: unknown): string {
  if (!newOrder.accepts(body)) {
    const { code, details } = newOrder.problem(body)
    return details.field === undefined ? code : `${code} ${details.field}`
  }
  const parsed = parseNewOrder(body, markets)
  return isFault(parsed) ? `${parsed.code} ${parsed.field}` : 'ok'
}

describe('a new order as it comes in', () => {
  const table: [what: string, body: unknown, outcome: string][] = [
    ['limit', LIMIT, 'ok'],
    ['limit is the default', { ...LIMIT, type: undefined }, 'ok'],
    ['market by amount', MARKET, 'ok'],
    ['market by quote total', { ...MARKET, amount: undefined, quoteAmount: '10' }, 'ok'],
    ['market with a worst price', { ...MARKET, worstPrice: '1.05' }, 'ok'],
    ['alias market', { ...LIMIT, instrument: undefined, market: 'BTC-USDT' }, 'ok'],
    ['alias volume', { ...LIMIT, amount: undefined, volume: '1' }, 'ok'],
    ['alias quantity', { ...LIMIT, amount: undefined, quantity: '1' }, 'ok'],
    ['alias rate', { ...LIMIT, price: undefined, rate: '1' }, 'ok'],
    ['every character of a clientOrderId', { ...LIMIT, clientOrderId: 'aZ09._-' }, 'ok'],
    ['a null', null, 'body_not_object'],
    ['an array', [], 'body_not_object'],
    ['a number', 1, 'body_not_object'],
    ['a text', 'x', 'body_not_object'],
    ['nothing', {}, 'missing_field side'],
    ['an unknown field', { ...LIMIT, color: 'red' }, 'unknown_field color'],
    ['a prototype key', JSON.parse('{"__proto__": 1, "side": "buy"}'), 'unknown_field __proto__'],
    ['instrument and market', { ...LIMIT, market: 'BTC-USDT' }, 'duplicate_field market'],
    ['amount and volume', { ...LIMIT, volume: '1' }, 'duplicate_field volume'],
    ['amount and quantity', { ...LIMIT, quantity: '1' }, 'duplicate_field quantity'],
    ['volume and quantity', { ...LIMIT, amount: undefined, volume: '1', quantity: '1' }, 'duplicate_field quantity'],
    ['price and rate', { ...LIMIT, rate: '1' }, 'duplicate_field rate'],
    ['no instrument', { ...LIMIT, instrument: undefined }, 'missing_field instrument'],
    ['an unknown market', { ...LIMIT, instrument: 'BTC-EUR' }, 'market_unknown instrument'],
    ['an unknown market by alias', { ...LIMIT, instrument: undefined, market: 'x' }, 'market_unknown market'],
    ['another side', { ...LIMIT, side: 'short' }, 'invalid_value side'],
    ['a side that is no text', { ...LIMIT, side: 1 }, 'wrong_type side'],
    ['another type', { ...LIMIT, type: 'stop' }, 'invalid_value type'],
    ['a price that is a number', { ...LIMIT, price: 100.05 }, 'wrong_type price'],
    ['an amount that is null', { ...LIMIT, amount: null }, 'wrong_type amount'],
    ['an amount in an array', { ...LIMIT, amount: ['1'] }, 'wrong_type amount'],
    ['no price', { ...LIMIT, price: undefined }, 'missing_field price'],
    ['no amount', { ...LIMIT, amount: undefined }, 'missing_field amount'],
    ['a market order without an amount', { ...MARKET, amount: undefined }, 'missing_field amount'],
    ['a market order with a price', { ...MARKET, price: '1' }, 'field_not_allowed price'],
    ['a market order with a rate', { ...MARKET, rate: '1' }, 'field_not_allowed rate'],
    ['both amounts', { ...MARKET, quoteAmount: '1' }, 'field_not_allowed quoteAmount'],
    ['a limit order with a worst price', { ...LIMIT, worstPrice: '1' }, 'field_not_allowed worstPrice'],
    ['a limit order by quote total', { ...LIMIT, quoteAmount: '1' }, 'field_not_allowed quoteAmount'],
    ['NaN', { ...LIMIT, price: 'NaN' }, 'decimal_invalid price'],
    ['Infinity', { ...LIMIT, amount: 'Infinity' }, 'decimal_invalid amount'],
    ['1e9', { ...LIMIT, amount: '1e9' }, 'decimal_invalid amount'],
    ['an empty price', { ...LIMIT, price: '' }, 'decimal_invalid price'],
    ['a negative price', { ...LIMIT, price: '-1' }, 'not_positive price'],
    ['a negative amount', { ...LIMIT, amount: '-0.5' }, 'not_positive amount'],
    ['a zero price', { ...LIMIT, price: '0' }, 'not_positive price'],
    ['a zero amount', { ...LIMIT, amount: '0.00' }, 'not_positive amount'],
    ['a zero quote total', { ...MARKET, amount: undefined, quoteAmount: '0' }, 'not_positive quoteAmount'],
    ['price decimals', { ...LIMIT, price: '100.001' }, 'too_many_decimals price'],
    ['amount decimals', { ...LIMIT, amount: '0.500001' }, 'too_many_decimals amount'],
    ['quote decimals', { ...MARKET, amount: undefined, quoteAmount: '1.000000001' }, 'too_many_decimals quoteAmount'],
    ['off tick', { ...LIMIT, price: '100.01' }, 'off_tick price'],
    ['off tick under its other name', { ...LIMIT, price: undefined, rate: '100.01' }, 'off_tick rate'],
    ['worst price off tick', { ...MARKET, worstPrice: '100.01' }, 'off_tick worstPrice'],
    ['below the minimum', { ...LIMIT, amount: '0.00009' }, 'amount_below_minimum amount'],
    [
      'a quote total of nothing',
      { ...MARKET, amount: undefined, quoteAmount: '0.00000049' },
      'amount_below_minimum quoteAmount',
    ],
    ['the largest price', { ...LIMIT, price: '107374182.35', amount: '0.0001' }, 'ok'],
    ['a larger price', { ...LIMIT, price: '107374182.40' }, 'price_too_large price'],
    ['a huge amount', { ...LIMIT, amount: '90071992547.40992' }, 'amount_too_large amount'],
    ['price × amount too large', { ...LIMIT, price: '107374182.35', amount: '50' }, 'order_value_too_large amount'],
    [
      'quote total too large',
      { ...MARKET, amount: undefined, quoteAmount: '99999999999' },
      'order_value_too_large quoteAmount',
    ],
    ['a clientOrderId with a blank', { ...LIMIT, clientOrderId: 'a b' }, 'invalid_value clientOrderId'],
    ['a clientOrderId with a line end', { ...LIMIT, clientOrderId: 'a\n' }, 'invalid_value clientOrderId'],
    ['an empty clientOrderId', { ...LIMIT, clientOrderId: '' }, 'invalid_value clientOrderId'],
    ['a long clientOrderId', { ...LIMIT, clientOrderId: 'a'.repeat(65) }, 'invalid_value clientOrderId'],
    ['another responseType', { ...LIMIT, responseType: 'none' }, 'invalid_value responseType'],
  ]
  for (const [what, body, outcome] of table) {
    it(`${what}: ${outcome}`, () => assert.equal(outcomeOf(body && JSON.parse(JSON.stringify(body)) && body), outcome))
  }

  it('counts in ticks and lots', () => {
    const parsed = parseNewOrder({ ...LIMIT, side: 'buy', type: 'limit' }, markets)
    assert(!isFault(parsed))
    assert.equal(parsed.priceTicks, 2001)
    assert.equal(parsed.amountLots, 50_000)
    assert.equal(parsed.quoteTickLots, 0)
  })

  it('counts a quote total in tick × lot, rounded down', () => {
    const parsed = parseNewOrder(
      { instrument: 'BTC-USDT', side: 'buy', type: 'market', quoteAmount: '0.00000099' },
      markets,
    )
    assert(!isFault(parsed))
    assert.equal(parsed.quoteTickLots, 1)
    assert.equal(parsed.amountLots, 0)
  })

  it('compares what was meant, not how it was written', () => {
    const hash = (body: object) => {
      const full = { ...LIMIT, ...body }
      assert(newOrder.accepts(full))
      const parsed = parseNewOrder(full, markets)
      assert(!isFault(parsed))
      return parsed.contentHash
    }
    const same = hash({})
    assert.equal(hash({ price: '100.050' }), same)
    assert.equal(hash({ amount: undefined, volume: '0.50' }), same)
    assert.equal(hash({ responseType: 'ack' }), same)
    assert.notEqual(hash({ price: '100.1' }), same)
    assert.notEqual(hash({ amount: '0.6' }), same)
    assert.notEqual(hash({ side: 'sell' }), same)
  })
})

describe('an amendment as it comes in', () => {
  const table: [what: string, body: unknown, outcome: string][] = [
    ['price', { price: '100' }, 'ok'],
    ['amount', { amount: '1' }, 'ok'],
    ['both, by other names', { rate: '100', volume: '1' }, 'ok'],
    ['nothing', {}, 'missing_field amount'],
    ['another field', { side: 'buy' }, 'unknown_field side'],
    ['twice', { price: '1', rate: '1' }, 'duplicate_field rate'],
    ['off tick', { price: '100.01' }, 'off_tick price'],
    ['off lot', { amount: '0.000001' }, 'too_many_decimals amount'],
    ['zero', { amount: '0' }, 'not_positive amount'],
    ['below the minimum', { amount: '0.00001' }, 'amount_below_minimum amount'],
    ['too large', { price: '107374182.35', amount: '50' }, 'order_value_too_large amount'],
  ]
  for (const [what, body, outcome] of table) {
    it(`${what}: ${outcome}`, () => {
      const parsed = amendment.accepts(body) ? parseAmendment(body, BTC_USDT) : amendment.problem(body)
      const found =
        'code' in parsed ? `${parsed.code} ${'field' in parsed ? parsed.field : (parsed.details.field ?? '')}` : 'ok'
      assert.equal(found, outcome)
    })
  }
})

describe('the worst price of a market order', () => {
  it('goes as far as the slippage', () => {
    assert.equal(worstPriceTicks('buy', 1000, 50_000), 1050)
    assert.equal(worstPriceTicks('buy', 1, 50_000), 1)
    assert.equal(worstPriceTicks('sell', 1000, 50_000), 950)
    assert.equal(worstPriceTicks('sell', 1, 50_000), 1)
  })
  it('stays within what a market counts', () => {
    assert.equal(worstPriceTicks('buy', PRICE_TICKS_MAX, 100_000), PRICE_TICKS_MAX)
  })
  it('is the narrowest where nothing rests', () => {
    assert.equal(worstPriceTicks('buy', 0, 50_000), 1)
    assert.equal(worstPriceTicks('sell', 0, 50_000), PRICE_TICKS_MAX)
  })
})
