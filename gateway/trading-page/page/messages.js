/** @import { MarketRules } from './market-rules.js' */

/**
 * The exchange's codes in words for who trades. What is not here is said by the exchange's own message.
 * @type {Readonly<Record<string, string>>}
 */
const WORDS = {
  insufficient_balance: 'Not enough is available for this order.',
  too_many_open_orders: 'You have too many open orders. Cancel one first.',
  market_halted: 'This market is halted at the moment.',
  market_cancel_only: 'This market only takes cancels at the moment.',
  no_liquidity: 'There is nothing to trade with on the other side of the book.',
  worst_price: 'Nothing rests within the price protection of a market order. Use a limit order.',
  fills_limit: 'The order would meet too many resting orders at once. Make it smaller.',
  order_value_too_large: 'Price times amount is more than this market can count.',
  order_not_open: 'This order is not open any more.',
  order_not_found: 'There is no such order.',
  amend_pending: 'A change of this order is already under way.',
  amount_not_above_executed: 'As much as this has been executed already.',
  hold_too_small: 'The order changed meanwhile. Try again.',
  book_full: 'This market holds as many open orders as it may.',
  not_accepted: 'The order was not accepted, and will not be. You can send it again.',
  outcome_unknown: 'It is not known yet what became of the order. Look into your open orders before you send it again.',
  slot_halted: 'This part of the exchange is halted. Please try again later.',
  slot_unavailable: 'This part of the exchange does not answer at the moment. Please try again.',
  projection_behind: 'History is not up to date yet. Please try again in a moment.',
  database_unavailable: 'History cannot be read at the moment.',
  disk_full: 'The exchange only takes cancels at the moment.',
  gateway_busy: 'The exchange is very busy. Please try again in a moment.',
  too_many_requests: 'The exchange is very busy. Please try again in a moment.',
  rate_limited: 'Too many requests. Please wait a moment.',
  member_blocked: 'This account is blocked.',
  member_closed: 'This account is closed.',
  member_denied: 'This account is blocked.',
  credentials_invalid: 'E-mail or password is wrong.',
  login_rate_limited: 'Too many attempts. Please try again later.',
  auth_busy: 'Many people log in at the moment. Please try again.',
  email_taken: 'There is an account with this e-mail already. Log in instead.',
  email_invalid: 'This is not an e-mail address.',
  email_denied: 'No account can be opened with this e-mail.',
  password_too_short: 'The password needs at least 8 characters.',
  token_missing: 'Please log in.',
  token_expired: 'Your session is over. Please log in again.',
  token_revoked: 'Your session was ended. Please log in again.',
  offline: 'The exchange cannot be reached. Check your connection.',
}

/** @param {{ readonly code: string, readonly message: string }} error */
export const wordsOf = ({ code, message }) => WORDS[code] ?? message

/**
 * What is wrong with a field of the form, with the market's own numbers.
 * @param {string} code
 * @param {'price' | 'amount' | 'total'} field
 * @param {MarketRules} rules
 */
export function fieldWords(code, field, rules) {
  const { market } = rules
  const name = field === 'price' ? 'Price' : field === 'amount' ? 'Amount' : 'Total'
  switch (code) {
    case 'missing_field':
      return `${name} is missing.`
    case 'decimal_invalid':
      return `${name} must be a number such as 1250.5, with a point for decimals.`
    case 'not_positive':
      return `${name} must be above zero.`
    case 'too_many_decimals':
      return field === 'total'
        ? `${name} can have ${rules.quoteScale} decimals at most.`
        : `${name} must be in steps of ${field === 'price' ? market.tick : market.lot}.`
    case 'off_tick':
      return `${name} must be in steps of ${market.tick}.`
    case 'off_lot':
      return `${name} must be in steps of ${market.lot}.`
    case 'amount_below_minimum':
      return field === 'total'
        ? `${name} is too small: the least is ${market.amountMin} ${market.base}.`
        : `The least amount is ${market.amountMin} ${market.base}.`
    case 'price_too_large':
    case 'amount_too_large':
      return `${name} is too large.`
    default:
      return WORDS[code] ?? `${name} is not accepted (${code}).`
  }
}
