import Type, { type Static } from 'typebox'
import * as common from './common.ts'

const { CLOSED, ClientOrderId, decimal, Id, Instrument, nullable, OrderTypeName, Side, Time } = common

const alias = (name: string, of: string) => decimal(`Another name of \`${of}\`; \`${name}\` is from the prototype.`)

/** The market's rules for steps and minimum are checked after the shape; see `domain/new-order.ts`. */
export const NewOrder = Type.Object(
  {
    instrument: Type.Optional(Type.String({ maxLength: 21, description: 'Required, under this or another name.' })),
    market: Type.Optional(Type.String({ maxLength: 21, description: 'Another name of `instrument`.' })),
    side: Side,
    type: Type.Optional(Type.Enum(['limit', 'market'], { default: 'limit' })),
    price: Type.Optional(decimal('Required for a limit order: a multiple of the tick.', '50000.01')),
    rate: Type.Optional(alias('rate', 'price')),
    amount: Type.Optional(
      decimal('A multiple of the lot. Required for a limit order; for a market order this or `quoteAmount`.'),
    ),
    volume: Type.Optional(alias('volume', 'amount')),
    quantity: Type.Optional(alias('quantity', 'amount')),
    quoteAmount: Type.Optional(decimal('Market order by quote total: spend or receive at most this much.', '1000')),
    worstPrice: Type.Optional(
      decimal(
        "Market order: nothing is filled beyond this price. Default: the best opposite price and the market's slippage.",
      ),
    ),
    clientOrderId: Type.Optional(ClientOrderId),
    responseType: Type.Optional(
      Type.Enum(['ack', 'result', 'full'], {
        default: 'full',
        description: '`ack`: id and status; `result`: the order; `full`: the order with its fills.',
      }),
    ),
  },
  {
    ...CLOSED,
    examples: [
      {
        instrument: 'BTC-USDT',
        side: 'buy',
        type: 'limit',
        price: '50000.01',
        amount: '0.25',
        clientOrderId: 'mine-17',
      },
    ],
  },
)
export type NewOrder = Static<typeof NewOrder>

export const Amendment = Type.Object(
  {
    price: Type.Optional(decimal('The new price.')),
    rate: Type.Optional(alias('rate', 'price')),
    amount: Type.Optional(decimal('The new total, executed part included.')),
    volume: Type.Optional(alias('volume', 'amount')),
    quantity: Type.Optional(alias('quantity', 'amount')),
    responseType: Type.Optional(Type.Enum(['ack', 'result', 'full'], { default: 'full' })),
  },
  { ...CLOSED, examples: [{ amount: '0.2' }] },
)
export type Amendment = Static<typeof Amendment>

export const OrderStatusName = Type.Enum(['new', 'partially_filled', 'executed', 'cancelled', 'closed', 'rejected'])

export const Fill = Type.Object({
  tradeId: Type.String({ description: 'Counts from 1 in each market.' }),
  price: decimal(''),
  amount: decimal(''),
  quoteAmount: decimal(''),
  fee: decimal('In the asset that this order receives.'),
  feeAsset: common.Asset,
  liquidity: Type.Enum(['maker', 'taker']),
})

export const Order = Type.Object(
  {
    id: Id,
    clientOrderId: nullable(ClientOrderId),
    instrument: Instrument,
    side: Side,
    type: OrderTypeName,
    price: nullable(decimal('null for a market order.')),
    worstPrice: nullable(decimal('null for a limit order.')),
    amount: nullable(decimal('null for a market order by quote total.')),
    quoteAmount: nullable(decimal('null where the order has an amount.')),
    executedAmount: decimal(''),
    executedQuoteAmount: decimal(''),
    remainingAmount: nullable(decimal('null for a market order by quote total.')),
    averagePrice: nullable(decimal("null while nothing is executed; eight decimals beyond the tick's, rounded down.")),
    fee: decimal('All fees so far.'),
    feeAsset: common.Asset,
    status: OrderStatusName,
    reason: nullable(Type.String({ description: 'Why it was rejected or closed: one of the codes.' })),
    createdAt: Type.String({ ...Time, description: 'When the gateway took it.' }),
    receivedAt: nullable(Type.String({ ...Time, description: "The time of the market's log." })),
    updatedAt: Time,
    sequence: Type.String({ description: "Position of its last change in the member's slot; grows." }),
    fills: Type.Optional(Type.Array(Fill, { description: 'With `responseType: full`, and when one order is read.' })),
  },
  { $id: 'Order' },
)

const OrderAck = Type.Object(
  { id: Id, clientOrderId: nullable(ClientOrderId), status: OrderStatusName, sequence: Type.String() },
  { $id: 'OrderAck' },
)

/** By `responseType`. */
export const PlacedOrder = Type.Union([Order, OrderAck])

export const OrderPage = Type.Object({ orders: Type.Array(Order), cursor: nullable(common.Cursor) })

export const OrdersQuerySchema = Type.Object(
  {
    instrument: Type.Optional(Instrument),
    side: Type.Optional(Side),
    status: Type.Optional(
      Type.String({
        pattern: '^[a-z_]{3,16}(?:,[a-z_]{3,16}){0,7}$',
        description: 'Statuses with commas between them; `open` is `new,partially_filled`. Default: all.',
      }),
    ),
    from: Type.Optional(common.FromTime),
    to: Type.Optional(common.ToTime),
    limit: Type.Optional(common.Limit),
    cursor: Type.Optional(common.Cursor),
  },
  CLOSED,
)

export const CancelOrdersQuery = Type.Object(
  { instrument: Type.Optional(Instrument), market: Type.Optional(Instrument), side: Type.Optional(Side) },
  CLOSED,
)
export const CancelledOrders = Type.Object({
  cancelled: Type.Array(Id, { description: 'Cancelled by this request.' }),
  refused: Type.Array(Type.Object({ id: Id, code: Type.String() }), {
    description: 'Were open when the request came and ended otherwise first.',
  }),
  pending: Type.Array(Id, { description: 'The market has not answered in time; their cancels are on their way.' }),
})

export const Trade = Type.Object({ ...Fill.properties, orderId: Id, instrument: Instrument, side: Side, time: Time })
export const TradePage = Type.Object({ trades: Type.Array(Trade), cursor: nullable(common.Cursor) })
export const TradesQuerySchema = Type.Object(
  {
    instrument: Type.Optional(Instrument),
    orderId: Type.Optional(Id),
    from: Type.Optional(common.FromTime),
    to: Type.Optional(common.ToTime),
    limit: Type.Optional(common.Limit),
    cursor: Type.Optional(common.Cursor),
  },
  CLOSED,
)
