import Type from 'typebox'
import { Balance } from './accounts.ts'
import { Asset, CLOSED, decimal, Id, Instrument, Ppm, Reference } from './common.ts'
import { MarketStatusName } from './markets.ts'

export const Funding = Type.Object(
  { reference: Reference, memberId: Id, asset: Asset, amount: decimal('Above zero.') },
  CLOSED,
)
export const Transfer = Type.Object(
  { reference: Reference, fromMemberId: Id, toMemberId: Id, asset: Asset, amount: decimal('Above zero.') },
  CLOSED,
)
export const Booked = Type.Object({
  reference: Reference,
  repeated: Type.Boolean({ description: 'true: it was booked before, and was not booked again.' }),
  accounts: Type.Array(Balance, { description: 'Balances that it touched, after it.' }),
})

export const NewAsset = Type.Object({ asset: Asset, scale: Type.Integer({ minimum: 0, maximum: 18 }) }, CLOSED)
export const NewMarket = Type.Object(
  {
    instrument: Type.Optional(Instrument),
    base: Asset,
    quote: Asset,
    tick: decimal('tick × lot must be a whole number of minor units of the quote.', '0.01'),
    lot: decimal('', '0.00001'),
    amountMin: Type.Optional(decimal('')),
    makerFeePpm: Type.Optional(Ppm),
    takerFeePpm: Type.Optional(Ppm),
    slippagePpm: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 1_000_000, default: 50_000, description: 'Parts per million.' }),
    ),
  },
  CLOSED,
)
export const MarketChange = Type.Object(
  {
    makerFeePpm: Type.Optional(Ppm),
    takerFeePpm: Type.Optional(Ppm),
    status: Type.Optional(MarketStatusName),
  },
  CLOSED,
)

export const Totals = Type.Object({
  assets: Type.Array(
    Type.Object({
      asset: Asset,
      available: decimal('Of all members.'),
      held: decimal('Of all members.'),
      fees: decimal(''),
      clearing: decimal('What is between slots at this moment, signed.'),
      deposited: decimal('Deposits minus withdrawals.'),
    }),
  ),
  markets: Type.Array(
    Type.Object({
      instrument: Instrument,
      openOrders: Type.Integer(),
      bidsHeld: decimal('Quote that rests.'),
      asksHeld: decimal('Base that rests.'),
      trades: Type.Integer(),
    }),
  ),
})
