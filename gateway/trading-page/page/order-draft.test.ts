import assert from 'node:assert/strict'
import fc from 'fast-check'
import { marketOf } from '#mesh/edge/market.ts'
import { isFault, parseNewOrder } from '#mesh/edge/new-order.ts'
import { Book } from './book.js'
import { MarketRules } from './market-rules.js'
import { type Draft, partOf, readDraft } from './order-draft.js'
import { MARKET, SCALES } from './testing.ts'

const RULES = new MarketRules(MARKET, SCALES)
const RICH = { base: '1000000', quote: '1000000000' }
const draft = (parts: Partial<Draft>): Draft => ({
  side: 'buy',
  type: 'limit',
  price: '',
  amount: '',
  total: '',
  basis: 'amount',
  ...parts,
})
const bookOf = (): Book => {
  const book = new Book(RULES, 10)
  book.take({ type: 'orderbook.snapshot', sequence: '1', bids: [['99', '2']], asks: [['100', '1']], checksum: 0 })
  book.isGood = true
  return book
}

describe('the order form', () => {
  it('makes a limit order of price and amount', () => {
    const { order, faults, total, fee } = readDraft(RULES, draft({ price: '60000.5', amount: '0.25' }), undefined, RICH)
    assert.deepEqual(faults, {})
    assert.deepEqual(order, { instrument: 'BTC-USDT', side: 'buy', type: 'limit', price: '60000.50', amount: '0.25' })
    assert.equal(total, 1_500_012_500_000n)
    // 0.2 % of what is received, 0.25 BTC.
    assert.equal(fee, 50_000n)
  })
  it('makes it of price and total, in whole lots and never above the total', () => {
    const { order, total } = readDraft(RULES, draft({ price: '300', total: '100', basis: 'total' }), undefined, RICH)
    assert.equal(order?.amount, '0.333')
    assert.equal(total, 9_990_000_000n)
  })
  it('makes a market order of an amount or of a total, and says what to expect', () => {
    const byAmount = readDraft(RULES, draft({ type: 'market', amount: '0.5' }), bookOf(), RICH)
    assert.deepEqual(byAmount.order, { instrument: 'BTC-USDT', side: 'buy', type: 'market', amount: '0.5' })
    assert.equal(byAmount.total, 5_000_000_000n)
    const byTotal = readDraft(
      RULES,
      draft({ type: 'market', total: '50', basis: 'total', side: 'sell' }),
      bookOf(),
      RICH,
    )
    assert.deepEqual(byTotal.order, { instrument: 'BTC-USDT', side: 'sell', type: 'market', quoteAmount: '50' })
    assert.equal(byTotal.amount, 505n)
    assert.equal(readDraft(RULES, draft({ type: 'market', amount: '5' }), bookOf(), RICH).isThin, true)
  })
  it('expects nothing where there is no book', () => {
    const { order, total } = readDraft(RULES, draft({ type: 'market', amount: '0.5' }), undefined, RICH)
    assert.deepEqual([order?.amount, total], ['0.5', undefined])
  })

  const faulty: [parts: Partial<Draft>, field: 'price' | 'amount' | 'total', code: string][] = [
    [{ amount: '1' }, 'price', 'missing_field'],
    [{ price: '1,5', amount: '1' }, 'price', 'decimal_invalid'],
    [{ price: '-1', amount: '1' }, 'price', 'not_positive'],
    [{ price: '0', amount: '1' }, 'price', 'not_positive'],
    [{ price: '1.001', amount: '1' }, 'price', 'too_many_decimals'],
    [{ price: '1' }, 'amount', 'missing_field'],
    [{ price: '1', amount: '0.0001' }, 'amount', 'too_many_decimals'],
    [{ price: '1', amount: '0.009' }, 'amount', 'amount_below_minimum'],
    [{ price: '1', basis: 'total' }, 'total', 'missing_field'],
    [{ price: '1000', total: '1', basis: 'total' }, 'total', 'amount_below_minimum'],
    [{ price: '60000', amount: '20000' }, 'amount', 'insufficient_balance'],
    [{ side: 'sell', price: '1', amount: '1000000.001' }, 'amount', 'insufficient_balance'],
    [{ type: 'market' }, 'amount', 'missing_field'],
    [{ type: 'market', basis: 'total', total: '1000000000.01' }, 'total', 'insufficient_balance'],
  ]
  for (const [parts, field, code] of faulty) {
    it(`${JSON.stringify(parts)}: ${field} is ${code}`, () => {
      const { faults, order } = readDraft(RULES, draft(parts), bookOf(), RICH)
      assert.deepEqual([faults[field], order], [code, undefined])
    })
  }
  it('says off_tick and off_lot where a step is not a power of ten', () => {
    const rules = new MarketRules({ ...MARKET, tick: '0.05', lot: '0.5', amountMin: '0.5' }, SCALES)
    assert.equal(rules.price('1.02'), 'off_tick')
    assert.equal(rules.amount('1.2'), 'off_lot')
    assert.equal(rules.amount('1.5'), 15n)
  })
  it('does not look at balances of nobody', () => {
    assert.deepEqual(readDraft(RULES, draft({ price: '1', amount: '1000' }), undefined, undefined).faults, {})
  })

  it('sends only what the exchange reads as the same', () => {
    const market = marketOf(
      { ...MARKET, marketSlot: 1, amountLotsMin: 10, baseMinorPerLot: '100000', quoteMinorPerTickLot: '1000' },
      { asset: 'BTC', scale: 8 },
      { asset: 'USDT', scale: 8 },
    )
    const text = fc.oneof(
      fc.tuple(fc.bigInt({ min: 0n, max: 10n ** 10n }), fc.integer({ min: 0, max: 4 })).map(([units, scale]) => {
        const digits = units.toString().padStart(scale + 1, '0')
        return scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
      }),
      fc.constantFrom('', 'x', '-1', '1e3', '0'),
    )
    fc.assert(
      fc.property(text, text, (price, amount) => {
        const { order, faults } = readDraft(RULES, draft({ price, amount }), undefined, undefined)
        const parsed = parseNewOrder(order ?? { instrument: 'BTC-USDT', side: 'buy', price, amount }, () => market)
        if (order === undefined) {
          // What is too large is the exchange's to say, and a field that is empty is missing here.
          if (isFault(parsed) && !parsed.code.endsWith('_too_large') && price !== '' && amount !== '')
            assert.equal(faults[parsed.field as 'price' | 'amount'], parsed.code, `${price} × ${amount}`)
        } else if (!isFault(parsed)) {
          assert.equal(BigInt(parsed.priceTicks), RULES.price(price))
          assert.equal(BigInt(parsed.amountLots), RULES.amount(amount))
        } else assert(parsed.code.endsWith('_too_large'), parsed.code)
      }),
    )
  })
})

describe('a part of what is available', () => {
  const available = { base: '1.23456789', quote: '1000' }
  const table: [parts: Partial<Draft>, percent: number, basis: string, text: string][] = [
    [{ side: 'sell' }, 100, 'amount', '1.234'],
    [{ side: 'sell' }, 50, 'amount', '0.617'],
    [{ price: '300' }, 100, 'amount', '3.333'],
    [{ price: '300' }, 25, 'amount', '0.833'],
    [{}, 25, 'total', '250'],
    [{ type: 'market' }, 75, 'total', '750'],
  ]
  for (const [parts, percent, basis, text] of table) {
    it(`${percent} % of it, ${JSON.stringify(parts)}: ${basis} ${text}`, () =>
      assert.deepEqual(partOf(RULES, draft(parts), available, percent), { basis, text }))
  }
  it('always pays', () =>
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 8n }), fc.bigInt({ min: 0n, max: 10n ** 17n }), (ticks, money) => {
        const quote = `${money / 10n ** 8n}.${(money % 10n ** 8n).toString().padStart(8, '0')}`
        const wanted = draft({ price: RULES.priceText(ticks) })
        const { text } = partOf(RULES, wanted, { base: '0', quote }, 100)
        const { faults } = readDraft(RULES, { ...wanted, amount: text }, undefined, { base: '0', quote })
        assert.notEqual(faults.amount, 'insufficient_balance')
      }),
    ))
})
