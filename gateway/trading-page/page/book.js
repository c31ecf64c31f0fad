/** @import { BookChange, BookSnapshot, WrittenLevel } from './types.ts' */
/** @import { MarketRules } from './market-rules.js' */
import { unitsOf } from './decimal.js'

/**
 * @typedef {object} Level
 * @property {WrittenLevel} written as the exchange wrote it: what the checksum covers
 * @property {bigint} price
 * @property {bigint} amount
 */
/**
 * @typedef {object} Row one row of a side: a level, or several that are grouped
 * @property {bigint} price
 * @property {bigint} amount
 * @property {bigint} sum of this row and all better ones
 */

const CHECKSUM_LEVELS = 10

/** An order book put together from the messages of a channel, which proves each of them by sequence and checksum. */
export class Book {
  /**
   * @param {MarketRules} rules
   * @param {number} depth levels of each side that the channel has
   */
  constructor(rules, depth) {
    this.rules = rules
    this.depth = depth
    /** @type {Level[]} best first */
    this.bids = []
    /** @type {Level[]} best first */
    this.asks = []
    this.sequence = 0n
    /** Whether it is what the exchange has; a broken one waits for its next snapshot. */
    this.isGood = false
  }

  /**
   * @param {BookSnapshot | BookChange} message
   * @returns {boolean} whether the book goes on; `false`: it has just broken, and a new snapshot has to be asked for
   */
  take(message) {
    if (message.type === 'orderbook.snapshot') {
      this.bids = message.bids.map((level) => this.#read(level))
      this.asks = message.asks.map((level) => this.#read(level))
      this.sequence = BigInt(message.sequence)
    } else {
      if (!this.isGood) return true
      if (BigInt(message.first) !== this.sequence + 1n) return this.breakOff()
      for (const level of message.bids) put(this.bids, this.#read(level), -1)
      for (const level of message.asks) put(this.asks, this.#read(level), 1)
      this.bids.length = Math.min(this.bids.length, this.depth)
      this.asks.length = Math.min(this.asks.length, this.depth)
      this.sequence = BigInt(message.last)
    }
    this.isGood = this.checksum() === message.checksum
    return this.isGood
  }

  breakOff() {
    this.isGood = false
    return false
  }

  checksum() {
    /** @type {string[]} */
    const parts = []
    for (let index = 0; index < CHECKSUM_LEVELS; index++) {
      for (const level of [this.bids[index], this.asks[index]]) if (level !== undefined) parts.push(...level.written)
    }
    return crc32(parts.join(':'))
  }

  /**
   * The best rows of a side; prices are grouped away from the middle, so that no row promises more than there is.
   * @param {'bids' | 'asks'} side
   * @param {bigint} step in the price's units
   * @param {number} rowsMax
   * @returns {Row[]} best first
   */
  rows(side, step, rowsMax) {
    /** @type {Row[]} */
    const rows = []
    let sum = 0n
    for (const { price, amount } of this[side]) {
      const group = side === 'bids' ? price - (price % step) : ((price + step - 1n) / step) * step
      const last = rows.at(-1)
      sum += amount
      if (last?.price === group) {
        last.amount += amount
        last.sum = sum
      } else if (rows.length === rowsMax) break
      else rows.push({ price: group, amount, sum })
    }
    return rows
  }

  /**
   * What a market order would meet: by an amount, or by a total to spend or receive.
   * @param {'buy' | 'sell'} side
   * @param {{ amount: bigint } | { total: bigint }} wanted
   * @returns {{ amount: bigint, total: bigint, worst: bigint, isWhole: boolean }} `isWhole`: there is enough in sight
   */
  sweep(side, wanted) {
    const { rules } = this
    let [amount, total, worst] = [0n, 0n, 0n]
    for (const level of side === 'buy' ? this.asks : this.bids) {
      const room = 'amount' in wanted ? wanted.amount - amount : rules.amountFor(wanted.total - total, level.price)
      if (room <= 0n) return { amount, total, worst, isWhole: true }
      const isEnough = room < level.amount
      const taken = isEnough ? room : level.amount
      amount += taken
      total += rules.totalOf(level.price, taken)
      worst = level.price
      if (isEnough) return { amount, total, worst, isWhole: true }
    }
    const isWhole =
      'amount' in wanted ? amount === wanted.amount : worst > 0n && rules.amountFor(wanted.total - total, worst) === 0n
    return { amount, total, worst, isWhole }
  }

  /**
   * @param {WrittenLevel} written
   * @returns {Level}
   */
  #read(written) {
    const { priceScale, amountScale } = this.rules
    return { written, price: unitsOf(written[0], priceScale), amount: unitsOf(written[1], amountScale) }
  }
}

/**
 * Puts a level where it belongs; without an amount it goes away.
 * @param {Level[]} levels best first
 * @param {Level} level
 * @param {1 | -1} sign 1: the lowest price is the best
 */
function put(levels, level, sign) {
  let [from, to] = [0, levels.length]
  while (from < to) {
    const middle = (from + to) >> 1
    const other = levels[middle]?.price ?? 0n
    if (sign === 1 ? other < level.price : other > level.price) from = middle + 1
    else to = middle
  }
  const isThere = levels[from]?.price === level.price
  if (level.amount > 0n) levels.splice(from, isThere ? 1 : 0, level)
  else if (isThere) levels.splice(from, 1)
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0)
  return value
})

/**
 * CRC-32 of plain ASCII.
 * @param {string} text
 */
export function crc32(text) {
  let value = 0xffffffff
  for (let index = 0; index < text.length; index++) {
    value = (value >>> 8) ^ (TABLE[(value ^ text.charCodeAt(index)) & 255] ?? 0)
  }
  return (value ^ 0xffffffff) >>> 0
}
