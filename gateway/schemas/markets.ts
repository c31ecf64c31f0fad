import Type from 'typebox'
import { Asset, CLOSED, decimal, Flag, Instrument, nullable, Ppm, Side, Time } from './common.ts'

export const ServerTime = Type.Object({ time: Time })
export const AssetInfo = Type.Object({ asset: Asset, scale: Type.Integer({ description: 'Decimal places.' }) })
export const Assets = Type.Object({ assets: Type.Array(AssetInfo) })

export const MarketStatusName = Type.Enum(['trading', 'cancel_only', 'halted'])
export const MarketInfo = Type.Object(
  {
    instrument: Instrument,
    base: Asset,
    quote: Asset,
    tick: decimal('The price step, in quote per base.', '0.01'),
    lot: decimal('The amount step, in base.', '0.00001'),
    amountMin: decimal('The smallest amount of a new order.'),
    makerFeePpm: Ppm,
    takerFeePpm: Ppm,
    slippagePpm: Type.Integer({
      description: 'How far a market order without a worst price goes, in parts per million.',
    }),
    status: MarketStatusName,
  },
  { $id: 'Market' },
)
export const Markets = Type.Object({ markets: Type.Array(MarketInfo) })

const Level = Type.Object({ price: decimal(''), amount: decimal('') })
export const OrderBookQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.String({ pattern: '^(?:[1-9][0-9]{0,2}|1000)$', description: 'Levels of each side, 1..1000, default 100' }),
    ),
    refresh: Type.Optional(Flag),
  },
  CLOSED,
)
export const OrderBook = Type.Object({
  instrument: Instrument,
  status: MarketStatusName,
  sequence: Type.String({ description: 'Counts the changes of the book.' }),
  time: nullable(Time),
  bids: Type.Array(Level, { description: 'Best first.' }),
  asks: Type.Array(Level, { description: 'Best first.' }),
})

export const MarketTradesQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.String({ pattern: '^(?:[1-9][0-9]?|[1-4][0-9]{2}|500)$', description: '1..500, default 100' }),
    ),
    refresh: Type.Optional(Flag),
  },
  CLOSED,
)
export const MarketTrades = Type.Object({
  instrument: Instrument,
  trades: Type.Array(
    Type.Object({ tradeId: Type.String(), price: decimal(''), amount: decimal(''), takerSide: Side, time: Time }),
    { description: 'Newest first.' },
  ),
})
