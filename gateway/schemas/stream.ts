import Type, { type TObject, type TSchema } from 'typebox'
import * as common from './common.ts'
import * as orders from './orders.ts'
import { CandleFields, TickerFields } from './statistics.ts'

const { CLOSED, decimal, Id, Instrument, nullable, Side, Time } = common

/** What clients send. Every message has an `op`, and may have an `id` that its answer repeats. */

const MessageId = Type.String({
  pattern: '^[A-Za-z0-9._:-]{1,64}$',
  description: 'Repeated in the answer.',
  examples: ['7'],
})
const MemberId = Type.String({
  pattern: '^[1-9][0-9]{0,15}$',
  description: "The member for whom a broker's token acts.",
})
const Position = Type.String({
  maxLength: 48,
  description: "A position in the member's slot; opaque, but grows.",
  examples: ['48211-0-2'],
})
const ChannelName = Type.String({
  maxLength: 64,
  description:
    '`orderbook:<instrument>`, with `:10`, `:50` (default), `:500` or `:full` for its depth; `trades:<instrument>`, `ticker:<instrument>`, `bbo:<instrument>`; `candles:<instrument>:<interval>` with `1s`, `1m`, `3m`, `5m`, `15m`, `30m`, `1h`, `2h`, `4h`, `6h`, `12h`, `1d`, `3d`, `1w` or `1M`; `orders`, `fills`, `balances`.',
  examples: ['orderbook:BTC-USDT:10'],
})
const Channels = Type.Array(ChannelName, { minItems: 1, maxItems: 500 })
const OrderReference = Type.String({
  maxLength: 80,
  description: 'Its id, or `client:{clientOrderId}`.',
  examples: ['7204123551744001'],
})

const message = <Properties extends Record<string, TSchema>>(op: string, properties: Properties, description: string) =>
  Type.Object({ op: Type.Literal(op), id: Type.Optional(MessageId), ...properties }, { ...CLOSED, description })

/** The order itself is checked like the body of the HTTP request, so that its faults have the same names. */
const body = (of: TObject): TSchema => Type.Unsafe<unknown>({ ...Type.Unknown(), 'x-body': of })

export const Subscribe = message(
  'subscribe',
  {
    channels: Channels,
    positions: Type.Optional(
      Type.Object(
        { orders: Type.Optional(Position), fills: Type.Optional(Position), balances: Type.Optional(Position) },
        { ...CLOSED, description: 'Where you were, by private channel: you get what you have missed since.' },
      ),
    ),
    memberId: Type.Optional(MemberId),
  },
  'Subscribes to channels. Repeated, it is harmless; with positions private channels begin again there.',
)
export const Unsubscribe = message(
  'unsubscribe',
  { channels: Channels, memberId: Type.Optional(MemberId) },
  'Ends subscriptions.',
)
export const Login = message(
  'login',
  { token: Type.String({ maxLength: 8_192, description: 'An access token.' }) },
  'Proves who you are, for private channels and orders. Again with a new token of the same member before the old one expires.',
)
export const Ping = message('ping', {}, 'Answered by `pong`.')
export const Place = message(
  'place',
  { order: body(orders.NewOrder), memberId: Type.Optional(MemberId) },
  'Places an order, as `POST /order` does.',
)
export const Amend = message(
  'amend',
  { order: OrderReference, change: body(orders.Amendment), memberId: Type.Optional(MemberId) },
  'Amends an order, as `PATCH /order/{reference}` does.',
)
export const Cancel = message(
  'cancel',
  { order: OrderReference, memberId: Type.Optional(MemberId) },
  'Cancels an order, as `DELETE /order/{reference}` does.',
)
export const CancelAll = message(
  'cancelAll',
  {
    instrument: Type.Optional(Instrument),
    side: Type.Optional(Side),
    memberId: Type.Optional(MemberId),
  },
  'Cancels open orders, as `DELETE /orders` does.',
)

export const CLIENT_MESSAGES = {
  subscribe: Subscribe,
  unsubscribe: Unsubscribe,
  login: Login,
  ping: Ping,
  place: Place,
  amend: Amend,
  cancel: Cancel,
  cancelAll: CancelAll,
} as const
export type Op = keyof typeof CLIENT_MESSAGES

/** What the server sends. Every message has a `type`. */

const told = <Properties extends Record<string, TSchema>>(type: string, properties: Properties, description: string) =>
  Type.Object({ type: Type.Literal(type), ...properties }, { description })

const Answered = {
  id: nullable(MessageId),
  op: nullable(Type.String()),
  traceId: Type.Optional(Type.String({ description: 'Of an order, cancel or amendment, where the exchange traces.' })),
}
const Level = Type.Tuple([decimal('Price'), decimal('Amount; 0: the level is gone.')])
const Levels = Type.Array(Level, { description: 'Best first.' })
const Sequence = Type.String({ pattern: '^[0-9]+$' })
const Checksum = Type.Integer({
  description:
    'CRC32 of the best ten levels as they are written: `bidPrice:bidAmount:askPrice:askAmount:…`, best first; where a side has no more levels the other goes on alone.',
})
const PublicTrade = Type.Object({
  tradeId: Type.String(),
  price: decimal(''),
  amount: decimal(''),
  takerSide: Side,
  time: Time,
})
const ToldCandles = Type.Array(
  Type.Object({
    ...CandleFields,
    closed: Type.Boolean({ description: 'Its time is over. Should a trade come late, it is told once more.' }),
  }),
)
const Private = {
  memberId: Id,
  position: Position,
  previous: Type.String({
    ...Position,
    description:
      'Nothing of yours lies between this position and `position`. If it is beyond your last one, you missed something.',
  }),
}
const Balance = Type.Object({ asset: common.Asset, available: decimal(''), held: decimal(''), total: decimal('') })

export const SERVER_MESSAGES = {
  welcome: told(
    'welcome',
    {
      connection: Type.String(),
      time: Time,
      heartbeatSeconds: Type.Integer(),
      channelsMax: Type.Integer(),
      messageBytesMax: Type.Integer(),
    },
    'The first message of a connection, with its limits.',
  ),
  result: told(
    'result',
    { ...Answered, status: Type.Integer({ description: 'As over HTTP.' }), result: Type.Unknown() },
    'The answer to a message that was carried out; `result` is the body that HTTP would have.',
  ),
  error: told(
    'error',
    { ...Answered, status: Type.Integer({ description: 'As over HTTP.' }), error: common.ProblemSchema },
    'The answer to a message that was refused.',
  ),
  pong: told('pong', { id: nullable(MessageId), time: Time }, 'The answer to a ping.'),
  heartbeat: told('heartbeat', { time: Time }, 'Comes every few seconds: without it the connection is broken.'),
  'orderbook.snapshot': told(
    'orderbook.snapshot',
    {
      channel: Type.String(),
      sequence: Sequence,
      time: nullable(Time),
      bids: Levels,
      asks: Levels,
      checksum: Checksum,
    },
    'The whole book as far as the depth goes. First of all, and again whenever you could not take the changes.',
  ),
  'orderbook.change': told(
    'orderbook.change',
    {
      channel: Type.String(),
      first: Sequence,
      last: Sequence,
      time: nullable(Time),
      bids: Levels,
      asks: Levels,
      checksum: Checksum,
    },
    'Levels that are another now, also those that come into sight; keep no more than the depth. `first` is one more than the last `last`.',
  ),
  'trades.snapshot': told(
    'trades.snapshot',
    { channel: Type.String(), trades: Type.Array(PublicTrade) },
    'The latest trades, at most 100, oldest first. First of all, and again after you could not take some.',
  ),
  trades: told('trades', { channel: Type.String(), trades: Type.Array(PublicTrade) }, 'New trades, oldest first.'),
  ticker: told(
    'ticker',
    { channel: Type.String(), ...TickerFields },
    'The last 24 hours, by the minute. At most four times a second.',
  ),
  'candles.snapshot': told(
    'candles.snapshot',
    { channel: Type.String(), candles: ToldCandles },
    'The present candle and the one before it, as far as something was traded in them. First of all, and again after you could not take some: read what is between over HTTP.',
  ),
  candles: told(
    'candles',
    { channel: Type.String(), candles: ToldCandles },
    'Candles that are new or another now, oldest first; each takes the place of the one with the same `start`. Where nothing is traded there is no candle. About four times a second.',
  ),
  bbo: told(
    'bbo',
    { channel: Type.String(), sequence: Sequence, time: nullable(Time), bid: nullable(Level), ask: nullable(Level) },
    'The best levels, whenever one of them is another.',
  ),
  position: told(
    'position',
    { channel: Type.String(), memberId: Id, position: Position },
    'From here on you are told everything on this private channel.',
  ),
  reload: told(
    'reload',
    { channel: Type.String(), memberId: Id, position: Position },
    'Your position is older than what is remembered: read everything again over HTTP. From the given position on you are told everything.',
  ),
  orders: told(
    'orders',
    {
      channel: Type.String(),
      ...Private,
      cause: Type.Enum([
        'accepted',
        'placed',
        'matched',
        'cancelled',
        'amended',
        'rejected',
        'cancel_refused',
        'amend_refused',
      ]),
      order: Type.Optional(orders.Order),
      orderId: Type.Optional(Id),
      code: Type.Optional(Type.String()),
    },
    'What happened to an order: the whole order as it is now. A cancel or an amendment that was refused: its id and the code.',
  ),
  fills: told(
    'fills',
    { channel: Type.String(), ...Private, fills: Type.Array(orders.Trade) },
    'Executions of one order.',
  ),
  balances: told(
    'balances',
    {
      channel: Type.String(),
      ...Private,
      cause: Type.Enum([
        'reserved',
        'released',
        'placed',
        'matched',
        'cancelled',
        'amended',
        'deposit',
        'withdrawal',
        'transfer_out',
        'transfer_in',
        'transfer_returned',
      ]),
      orderId: Type.Optional(Id),
      reference: Type.Optional(Type.String()),
      asset: Type.Optional(common.Asset),
      amount: Type.Optional(decimal('Signed.')),
      balances: Type.Array(Balance),
    },
    'Balances that changed, as they are now, and why.',
  ),
  server_shutdown: told(
    'server_shutdown',
    { seconds: Type.Integer({ description: 'The connection ends within so many seconds.' }) },
    'A planned stop: connect again, which brings you to another server.',
  ),
  closing: told(
    'closing',
    {
      code: Type.String(),
      message: Type.String(),
      positions: Type.Array(Type.Object({ channel: Type.String(), memberId: Id, position: Position }), {
        description: 'What was sent last on your private channels.',
      }),
    },
    'The last message: why the connection ends. The code is the close reason as well.',
  ),
} as const
