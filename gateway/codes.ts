import type { MachineCode } from '#mesh/protocol/common.ts'

/** What one code means to a client: the HTTP status that goes with it, and the text where nobody has a better one. */
interface Meaning {
  readonly status: number
  readonly text: string
}

/**
 * Every code that a client can meet. Codes are public and stable, texts are not.
 * This table is the only place of the mesh that knows HTTP status; the docs are made from it.
 */
export const CODES = {
  // The request itself.
  json_invalid: { status: 400, text: 'The body is not JSON.' },
  body_not_object: { status: 400, text: 'The body must be a JSON object.' },
  body_too_deep: { status: 400, text: 'The body is nested too deeply.' },
  body_too_large: { status: 413, text: 'The body is too large.' },
  unsupported_media_type: { status: 415, text: 'The body must be sent as application/json.' },
  url_invalid: { status: 400, text: 'The URL cannot be read.' },
  route_unknown: { status: 404, text: 'There is nothing at this path with this method.' },
  unknown_field: { status: 400, text: 'This field is not known here.' },
  duplicate_field: { status: 400, text: 'This field was given twice, once under another name.' },
  missing_field: { status: 400, text: 'This field is required.' },
  field_not_allowed: { status: 400, text: 'This field does not go with the others.' },
  wrong_type: { status: 400, text: 'This field has the wrong type. Decimals and ids are strings.' },
  invalid_value: { status: 400, text: 'This field has a value that is not allowed.' },
  decimal_invalid: { status: 400, text: 'This is not a plain decimal such as "12.5": digits and at most one point.' },
  not_positive: { status: 400, text: 'This must be above zero.' },
  too_many_decimals: { status: 400, text: 'This has more decimals than the market or the asset counts.' },
  off_tick: { status: 400, text: "The price is not a multiple of the market's tick." },
  off_lot: { status: 400, text: "The amount is not a multiple of the market's lot." },
  price_too_large: { status: 400, text: 'The price is beyond what the market can count.' },
  amount_too_large: { status: 400, text: 'The amount is beyond what the market or the asset can count.' },
  cursor_invalid: { status: 400, text: 'This cursor is not one of ours, or belongs to another listing.' },
  query_invalid: { status: 400, text: 'This listing cannot be made.' },

  // Who asks.
  token_missing: { status: 401, text: 'An access token is required, in the header Authorization: Bearer.' },
  token_malformed: { status: 401, text: 'The token is not a JSON Web Token.' },
  token_invalid: { status: 401, text: 'The token is not valid: forged, or not made for this exchange.' },
  token_expired: { status: 401, text: 'The token has expired.' },
  token_revoked: { status: 401, text: 'The token has been revoked, or its session has ended.' },
  scope_missing: { status: 403, text: 'The token does not have the scope that this needs.' },
  admin_required: { status: 403, text: 'Only an admin may do this, with the token of a login.' },
  member_not_listed: { status: 403, text: 'This token may not act for that member.' },
  member_denied: { status: 403, text: 'This member is on the deny list.' },
  auth_not_ready: { status: 503, text: 'Tokens cannot be checked at the moment.' },

  // Members, sessions, tokens.
  credentials_invalid: { status: 401, text: 'E-mail or password is wrong.' },
  refresh_invalid: { status: 401, text: 'This refresh token is unknown or over.' },
  refresh_reused: { status: 401, text: 'This refresh token was used before: its session is ended.' },
  email_taken: { status: 409, text: 'There is a member with this e-mail.' },
  email_invalid: { status: 400, text: 'This is not an e-mail address.' },
  email_denied: { status: 403, text: 'This e-mail is on the deny list.' },
  password_too_short: { status: 400, text: 'The password is too short.' },
  login_rate_limited: { status: 429, text: 'Too many attempts; try again later.' },
  forbidden: { status: 403, text: 'This is not yours to do.' },
  token_unknown: { status: 404, text: 'There is no such token.' },
  too_many_tokens: { status: 422, text: 'There are too many tokens; revoke one first.' },
  lifetime_too_long: { status: 422, text: 'Tokens may not live that long.' },
  not_a_broker: { status: 422, text: 'Only a broker may have a token for other members.' },
  last_admin: { status: 409, text: 'An admin cannot block himself.' },
  own_roles: { status: 409, text: 'Nobody changes his own roles.' },
  own_denial: { status: 409, text: 'Nobody denies himself.' },

  // How much is asked.
  rate_limited: { status: 429, text: 'Too many requests of this member or address.' },
  too_many_requests: { status: 429, text: 'The gateway has more orders than it may pass on; try again soon.' },
  gateway_busy: { status: 503, text: 'The gateway has too many requests in hand; try again soon.' },
  disk_full: { status: 503, text: 'The disks of the exchange are nearly full: only cancels are taken for now.' },

  // Connections of the stream.
  upgrade_required: { status: 426, text: 'This is a WebSocket: connect with an upgrade.' },
  too_many_connections: { status: 503, text: 'There are too many connections; try again soon, or elsewhere.' },
  channel_unknown: { status: 404, text: 'There is no such channel.' },
  too_many_channels: {
    status: 422,
    text: 'There are too many channels on this connection; unsubscribe from one first.',
  },
  slow_consumer: { status: 408, text: 'You take messages more slowly than they come. Go on from your last positions.' },
  heartbeat_missed: { status: 408, text: 'Nothing was heard of you for too long.' },
  server_shutdown: { status: 503, text: 'This server stops: connect again.' },

  // What the machines refuse.
  id_conflict: { status: 409, text: 'This id was used for something else.' },
  client_order_id_conflict: { status: 409, text: 'This clientOrderId was used for another order.' },
  reference_conflict: { status: 409, text: 'This reference was used for something else.' },
  too_old: { status: 409, text: 'The command is older than what the exchange remembers.' },
  sent_in_future: { status: 409, text: 'The command says that it was sent in the future.' },
  member_unknown: { status: 404, text: 'There is no such member.' },
  member_blocked: { status: 403, text: 'This member is blocked.' },
  member_closed: { status: 403, text: 'This membership is closed.' },
  asset_unknown: { status: 404, text: 'There is no such asset.' },
  asset_exists: { status: 409, text: 'There is such an asset, with another scale.' },
  market_unknown: { status: 404, text: 'There is no such market.' },
  market_exists: { status: 409, text: 'There is such a market, with other settings.' },
  amount_invalid: { status: 422, text: 'The amount is not above zero or too large.' },
  amount_below_minimum: { status: 422, text: "The amount is below the market's minimum." },
  price_invalid: { status: 422, text: 'The price is not above zero or too large.' },
  order_value_too_large: { status: 422, text: 'Price times amount is beyond what the market can count.' },
  insufficient_balance: { status: 422, text: 'Not enough is available.' },
  balance_overflow: { status: 422, text: 'The exchange cannot hold more of this asset.' },
  too_many_open_orders: { status: 422, text: 'There are too many open orders; cancel one first.' },
  order_not_open: { status: 409, text: 'The order is not open any more.' },
  order_not_found: { status: 404, text: 'There is no such order.' },
  amend_pending: { status: 409, text: 'An amendment of this order is under way.' },
  market_halted: { status: 409, text: 'The market is halted.' },
  market_cancel_only: { status: 409, text: 'The market takes only cancels.' },
  no_liquidity: { status: 422, text: 'Nothing rests on the other side.' },
  worst_price: { status: 422, text: 'Nothing rests within the worst price.' },
  fills_limit: { status: 422, text: 'The order met more resting orders than one command may fill.' },
  hold_too_small: {
    status: 409,
    text: 'The order changed meanwhile and the reserve does not cover the amendment; try again.',
  },
  amount_not_above_executed: { status: 409, text: 'As much as this has been executed already.' },
  book_full: { status: 422, text: 'The market holds as many open orders as it may.' },
  order_id_known: { status: 409, text: 'This order id is known to the market.' },
  definition_invalid: { status: 422, text: 'These settings cannot make an asset or a market.' },
  definition_conflict: { status: 409, text: 'This was defined otherwise.' },

  // What the exchange cannot do now.
  not_accepted: { status: 503, text: 'The order was not accepted, and will not be: send it again if you wish.' },
  outcome_unknown: {
    status: 504,
    text: 'The outcome cannot be known now: ask for the order by its id or clientOrderId, or repeat the request.',
  },
  publish_unknown: { status: 504, text: 'This is decided and kept; the account hears of it shortly.' },
  slot_halted: { status: 503, text: 'This part of the exchange is halted; an operator has to look.' },
  slot_unavailable: { status: 503, text: 'This part of the exchange has no owner at the moment; try again soon.' },
  projection_behind: { status: 503, text: 'History is not up to date yet; try again soon.' },
  database_unavailable: { status: 503, text: 'History cannot be read at the moment.' },
  ids_unavailable: { status: 503, text: 'No ids can be had at the moment; try again soon.' },
  service_unavailable: { status: 503, text: 'The service that knows this is not there at the moment.' },
  service_timeout: { status: 504, text: 'The service that knows this did not answer in time.' },
  auth_busy: { status: 503, text: 'Too many passwords are being checked; try again soon.' },
  request_invalid: { status: 400, text: 'The request does not fit.' },
  internal_error: { status: 500, text: 'Something went wrong here.' },
} as const satisfies Record<string, Meaning> & Record<MachineCode, Meaning>

export type Code = keyof typeof CODES

export const isCode = (code: string): code is Code => Object.hasOwn(CODES, code)

/** `code | status | text`, one row each, for the README. */
export function codesAsMarkdown(): string {
  const rows = Object.entries(CODES).map(([code, { status, text }]) => `| \`${code}\` | ${status} | ${text} |`)
  return ['| code | status | meaning |', '|---|---|---|', ...rows].join('\n')
}
