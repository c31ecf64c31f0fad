/** @import { NewOrder, OrderType, Side } from './types.ts' */
/** @import { Book } from './book.js' */
/** @import { Fault } from './market-rules.js' */
import { toUnits } from './decimal.js'
import { feeOf, MarketRules, shareOf } from './market-rules.js'

/**
 * @typedef {object} Draft what stands in the form
 * @property {Side} side
 * @property {OrderType} type
 * @property {string} price
 * @property {string} amount
 * @property {string} total
 * @property {'amount' | 'total'} basis which of the two was written last; the other follows from it
 */
/**
 * @typedef {object} Reading what the draft comes to
 * @property {Partial<Record<'price' | 'amount' | 'total', Fault | 'insufficient_balance'>>} faults
 * @property {bigint | undefined} amount in units; of a market order an estimate where it goes by the total
 * @property {bigint | undefined} total the same, the other way round
 * @property {bigint | undefined} fee at most, in the units of what is received
 * @property {NewOrder | undefined} order where nothing is wrong
 * @property {boolean} isThin the book in sight does not hold as much
 */

/**
 * @param {MarketRules} rules
 * @param {Draft} draft
 * @param {Book | undefined} book
 * @param {{ base: string, quote: string } | undefined} available balances; none: they are not looked at
 * @returns {Reading}
 */
export function readDraft(rules, draft, book, available) {
  return draft.type === 'limit' ? readLimit(rules, draft, available) : readMarket(rules, draft, book, available)
}

/**
 * @param {MarketRules} rules
 * @param {Draft} draft
 * @param {{ base: string, quote: string } | undefined} available
 * @returns {Reading}
 */
function readLimit(rules, draft, available) {
  const { side, basis } = draft
  /** @type {Reading['faults']} */
  const faults = {}
  const price = rules.price(draft.price)
  if (typeof price !== 'bigint') faults.price = price
  /** @type {bigint | undefined} */
  let amount
  if (basis === 'amount') {
    const read = rules.amount(draft.amount)
    if (typeof read === 'bigint') amount = read
    else faults.amount = read
  } else {
    const read = rules.total(draft.total)
    if (typeof read !== 'bigint') faults.total = read
    else if (typeof price === 'bigint') {
      amount = rules.amountFor(read, price)
      if (amount < rules.amountMin || amount === 0n) faults.total = 'amount_below_minimum'
    }
  }
  const total = amount === undefined || typeof price !== 'bigint' ? undefined : rules.totalOf(price, amount)
  if (isBeyond(rules, side, amount, total, available)) faults[basis] ??= 'insufficient_balance'
  return {
    faults,
    amount,
    total,
    fee: feeAtMost(rules, side, amount, total),
    isThin: false,
    order:
      Object.keys(faults).length > 0 || amount === undefined || typeof price !== 'bigint'
        ? undefined
        : {
            instrument: rules.market.instrument,
            side,
            type: 'limit',
            price: rules.priceText(price),
            amount: rules.amountText(amount),
          },
  }
}

/**
 * @param {MarketRules} rules
 * @param {Draft} draft
 * @param {Book | undefined} book
 * @param {{ base: string, quote: string } | undefined} available
 * @returns {Reading}
 */
function readMarket(rules, draft, book, available) {
  const { side, basis } = draft
  const { instrument } = rules.market
  const read = basis === 'amount' ? rules.amount(draft.amount) : rules.total(draft.total)
  if (typeof read !== 'bigint') {
    return {
      faults: { [basis]: read },
      amount: undefined,
      total: undefined,
      fee: undefined,
      order: undefined,
      isThin: false,
    }
  }
  const met = book?.isGood ? book.sweep(side, basis === 'amount' ? { amount: read } : { total: read }) : undefined
  const amount = basis === 'amount' ? read : met?.amount
  const total = basis === 'total' ? read : met?.total
  /** @type {Reading['faults']} */
  const faults = {}
  if (isBeyond(rules, side, amount, total, available)) faults[basis] = 'insufficient_balance'
  /** @type {NewOrder} */
  const order =
    basis === 'amount'
      ? { instrument, side, type: 'market', amount: rules.amountText(read) }
      : { instrument, side, type: 'market', quoteAmount: rules.totalText(read) }
  return {
    faults,
    amount,
    total,
    fee: feeAtMost(rules, side, met?.amount, met?.total),
    order: faults[basis] === undefined ? order : undefined,
    isThin: met !== undefined && !met.isWhole,
  }
}

/**
 * @param {MarketRules} rules
 * @param {Side} side
 * @param {bigint | undefined} amount
 * @param {bigint | undefined} total
 * @param {{ base: string, quote: string } | undefined} available
 */
function isBeyond(rules, side, amount, total, available) {
  if (available === undefined) return false
  if (side === 'buy') return total !== undefined && total > (toUnits(available.quote, rules.quoteScale) ?? 0n)
  const base = toUnits(available.base, rules.baseScale) ?? 0n
  return amount !== undefined && amount * 10n ** BigInt(rules.baseScale - rules.amountScale) > base
}

/**
 * As a taker or a maker, whichever costs more: what rests and what does not is the market's to say.
 * @param {MarketRules} rules
 * @param {Side} side
 * @param {bigint | undefined} amount
 * @param {bigint | undefined} total
 */
function feeAtMost(rules, side, amount, total) {
  const { makerFeePpm, takerFeePpm } = rules.market
  const received = side === 'buy' ? amount && amount * 10n ** BigInt(rules.baseScale - rules.amountScale) : total
  return received === undefined ? undefined : feeOf(received, Math.max(makerFeePpm, takerFeePpm))
}

/**
 * A part of what is available: of the base for a sale, of the quote for a purchase.
 * @param {MarketRules} rules
 * @param {Draft} draft
 * @param {{ base: string, quote: string }} available
 * @param {number} percent
 * @returns {{ basis: 'amount' | 'total', text: string }}
 */
export function partOf(rules, draft, available, percent) {
  if (draft.side === 'sell') {
    const base = toUnits(available.base, rules.baseScale) ?? 0n
    const part = shareOf(base, percent) / 10n ** BigInt(rules.baseScale - rules.amountScale)
    return { basis: 'amount', text: rules.amountText(rules.wholeLots(part)) }
  }
  const total = shareOf(toUnits(available.quote, rules.quoteScale) ?? 0n, percent)
  const price = draft.type === 'limit' ? rules.price(draft.price) : undefined
  if (typeof price !== 'bigint') return { basis: 'total', text: rules.totalText(total) }
  return { basis: 'amount', text: rules.amountText(rules.amountFor(total, price)) }
}
