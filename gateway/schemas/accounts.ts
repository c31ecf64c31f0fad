import Type from 'typebox'
import { Asset, CLOSED, Cursor, decimal, FromTime, Id, Limit, nullable, Time, ToTime } from './common.ts'

export const Balance = Type.Object({
  asset: Asset,
  available: decimal(''),
  held: decimal('Reserved for open orders.'),
  total: decimal(''),
})
export const Accounts = Type.Object({
  status: Type.Enum(['active', 'blocked', 'closed', 'unknown']),
  accounts: Type.Array(Balance),
})

export const LedgerQuery = Type.Object(
  {
    asset: Type.Optional(Asset),
    from: Type.Optional(FromTime),
    to: Type.Optional(ToTime),
    limit: Type.Optional(Limit),
    cursor: Type.Optional(Cursor),
  },
  CLOSED,
)
export const LedgerEntry = Type.Object({
  id: Type.String({ description: "Position in the member's slot; with the asset it names the entry." }),
  asset: Asset,
  cause: Type.Enum(['trade', 'deposit', 'withdrawal', 'transfer_out', 'transfer_in', 'transfer_returned']),
  amount: decimal('Signed change of available and held together, after the fee.', '-12.5'),
  fee: decimal(''),
  available: decimal('After it.'),
  held: decimal('After it.'),
  orderId: nullable(Id),
  reference: nullable(Type.String()),
  time: Time,
})
export const LedgerPage = Type.Object({ entries: Type.Array(LedgerEntry), cursor: nullable(Cursor) })
