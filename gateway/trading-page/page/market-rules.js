/** @import { Market } from './types.ts' */
import { fromUnits, isPlain, placesOf, rescale, toFixed, toUnits, unitsOf } from './decimal.js'

/**
 * What is wrong with a field, by the same codes as the exchange has.
 * @typedef {'missing_field' | 'decimal_invalid' | 'not_positive' | 'too_many_decimals' | 'off_tick' | 'off_lot' | 'amount_below_minimum'} Fault
 */

/** Prices, amounts and totals of one market, in whole units. */
export class MarketRules {
  /**
   * @param {Market} market
   * @param {(asset: string) => number} scaleOf
   */
  constructor(market, scaleOf) {
    this.market = market
    this.priceScale = placesOf(market.tick)
    this.amountScale = placesOf(market.lot)
    this.baseScale = scaleOf(market.base)
    this.quoteScale = scaleOf(market.quote)
    this.tick = unitsOf(market.tick, this.priceScale)
    this.lot = unitsOf(market.lot, this.amountScale)
    this.amountMin = unitsOf(market.amountMin, this.amountScale)
  }

  /**
   * @param {string} text
   * @returns {bigint | Fault}
   */
  price(text) {
    const units = parse(text, this.priceScale)
    return typeof units === 'bigint' && units % this.tick !== 0n ? 'off_tick' : units
  }

  /**
   * @param {string} text
   * @returns {bigint | Fault}
   */
  amount(text) {
    const units = parse(text, this.amountScale)
    if (typeof units !== 'bigint') return units
    if (units % this.lot !== 0n) return 'off_lot'
    return units < this.amountMin ? 'amount_below_minimum' : units
  }

  /**
   * @param {string} text
   * @returns {bigint | Fault}
   */
  total(text) {
    return parse(text, this.quoteScale)
  }

  /**
   * Exact: a tick times a lot is a whole number of the quote's units.
   * @param {bigint} price
   * @param {bigint} amount
   */
  totalOf(price, amount) {
    return rescale(price * amount, this.priceScale + this.amountScale, this.quoteScale)
  }

  /**
   * The largest amount in whole lots that this total pays at this price.
   * @param {bigint} total
   * @param {bigint} price
   */
  amountFor(total, price) {
    const scale = BigInt(this.priceScale + this.amountScale - this.quoteScale)
    const amount = scale >= 0n ? (total * 10n ** scale) / price : total / (price * 10n ** -scale)
    return this.wholeLots(amount)
  }

  /** @param {bigint} amount */
  wholeLots(amount) {
    return amount - (amount % this.lot)
  }

  /** @param {bigint} price */
  wholeTicks(price) {
    return price - (price % this.tick)
  }

  /** @param {bigint} price */
  priceText(price) {
    return toFixed(price, this.priceScale)
  }

  /** @param {bigint} amount */
  amountText(amount) {
    return fromUnits(amount, this.amountScale)
  }

  /** @param {bigint} total */
  totalText(total) {
    return fromUnits(total, this.quoteScale)
  }
}

/**
 * @param {string} text
 * @param {number} scale
 * @returns {bigint | Fault}
 */
function parse(text, scale) {
  if (text === '') return 'missing_field'
  if (!isPlain(text)) return /^-[0-9]/.test(text) ? 'not_positive' : 'decimal_invalid'
  const units = toUnits(text, scale)
  if (units === undefined) return 'too_many_decimals'
  return units === 0n ? 'not_positive' : units
}

const PPM = 1_000_000n

/**
 * The fee on what is received, rounded up as the exchange does.
 * @param {bigint} received
 * @param {number} ppm
 */
export const feeOf = (received, ppm) => (received * BigInt(ppm) + PPM - 1n) / PPM

/**
 * @param {bigint} units
 * @param {number} percent
 */
export const shareOf = (units, percent) => (units * BigInt(percent)) / 100n
