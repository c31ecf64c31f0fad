import Type from 'typebox'
import { INTERVALS } from '#mesh/protocol/stats.ts'
import { Asset, CLOSED, Cursor, decimal, Flag, FromTime, Instrument, Limit, nullable, Time, ToTime } from './common.ts'

const IntervalName = Type.Enum([...INTERVALS], {
  description:
    'UTC; `1w` from Monday, `1M` from the first of the month, `3d` counted from 1970-01-01. `1s` goes back a day.',
})

export const CandleFields = {
  start: Time,
  open: decimal(''),
  high: decimal(''),
  low: decimal(''),
  close: decimal(''),
  volume: decimal('In base.'),
  quoteVolume: decimal('In quote.'),
  trades: Type.Integer(),
}

export const CandlesQuery = Type.Object(
  {
    interval: IntervalName,
    start: Type.Optional(
      Type.String({ maxLength: 40, description: 'Candles that begin then or later; ISO 8601 with its zone.' }),
    ),
    end: Type.Optional(
      Type.String({ maxLength: 40, description: 'Candles that begin before; ISO 8601 with its zone.' }),
    ),
    limit: Type.Optional(
      Type.String({
        pattern: '^(?:[1-9][0-9]{0,2}|1000)$',
        description: '1..1000, default 500: with `start` the first ones from there, else the last ones.',
      }),
    ),
    fill: Type.Optional(
      Type.Enum(['true', 'false'], {
        description:
          '`true`: also candles in which nothing was traded, at the price of the last trade. Default `false`.',
      }),
    ),
    refresh: Type.Optional(Flag),
  },
  CLOSED,
)
export const Candles = Type.Object({
  instrument: Instrument,
  interval: IntervalName,
  candles: Type.Array(Type.Object(CandleFields, { $id: 'Candle' }), {
    description: 'Oldest first; the last one may go on.',
  }),
})

export const TickerFields = {
  time: Time,
  open: nullable(decimal('')),
  high: nullable(decimal('')),
  low: nullable(decimal('')),
  last: nullable(decimal('')),
  volume: decimal('In base.'),
  quoteVolume: decimal('In quote.'),
  vwap: nullable(decimal('Mean price by volume, rounded down.')),
  change: nullable(decimal('Last less open.')),
  changePercent: nullable(decimal('Four decimals.')),
  tradesCount: Type.Integer(),
}
export const RefreshQuery = Type.Object({ refresh: Type.Optional(Flag) }, CLOSED)
export const Ticker = Type.Object({ instrument: Instrument, ...TickerFields }, { $id: 'Ticker' })
export const Tickers = Type.Object({ tickers: Type.Array(Ticker) })

export const Statistics = Type.Object({
  time: Time,
  markets: Type.Integer({ description: 'How many there are.' }),
  trades24h: Type.Integer(),
  trades: Type.Integer({ description: 'Ever.' }),
  volumes: Type.Array(Type.Object({ asset: Asset, volume24h: decimal('Of 24 hours.'), volume: decimal('Ever.') }), {
    description: 'What was traded, by the asset in which prices are.',
  }),
})

export const MemberStatisticsQuery = Type.Object(
  {
    instrument: Type.Optional(Instrument),
    from: Type.Optional(FromTime),
    to: Type.Optional(ToTime),
    limit: Type.Optional(Limit),
    cursor: Type.Optional(Cursor),
  },
  CLOSED,
)
export const StatementsQuery = Type.Object(
  {
    asset: Type.Optional(Asset),
    from: Type.Optional(FromTime),
    to: Type.Optional(ToTime),
    limit: Type.Optional(Limit),
    cursor: Type.Optional(Cursor),
  },
  CLOSED,
)
export const Statements = Type.Object({
  lines: Type.Array(
    Type.Object({
      day: Type.String({ format: 'date', description: 'UTC, by the time of the ledger.', examples: ['2031-05-04'] }),
      asset: Asset,
      opening: decimal('What there was when the day began, held included.'),
      deposits: decimal(''),
      withdrawals: decimal(''),
      transfers: decimal('What came from other members less what went to them.'),
      trades: decimal('What trades brought less what they cost, before fees.'),
      fees: decimal(''),
      closing: decimal('Opening + deposits − withdrawals + transfers + trades − fees.'),
    }),
    {
      description:
        'Newest day first: a line for each asset that was moved. A day has its statement some minutes after its end.',
    },
  ),
  cursor: nullable(Cursor),
})

export const MemberStatistics = Type.Object({
  days: Type.Array(
    Type.Object({
      day: Type.String({ format: 'date', description: 'UTC, by the time of the trade.', examples: ['2031-05-04'] }),
      instrument: Instrument,
      trades: Type.Integer({ description: 'Executions.' }),
      volume: decimal('In base.'),
      quoteVolume: decimal('In quote.'),
      baseFee: decimal('Fees of what was bought, in base.'),
      quoteFee: decimal('Fees of what was sold, in quote.'),
    }),
    { description: 'Newest day first. A day on which nothing was traded has none.' },
  ),
  feeDiscountPpm: Type.Integer({
    description: 'What new orders are let off of the fees of their market, in parts per million of them.',
  }),
  cursor: nullable(Cursor),
})
