import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { OrdersQuery } from '#mesh/protocol/orders.ts'

const Id = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const Barrier = Type.Object({ slot: Type.Integer({ minimum: 0, maximum: 255 }), sequence: Id })
const Word = Type.String({ minLength: 1, maxLength: 64 })
const Page = {
  limit: Type.Integer({ minimum: 1, maximum: 500 }),
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
}
const Period = { fromUs: Type.Optional(Id), toUs: Type.Optional(Id) }
const OfMember = { memberId: Id, barrier: Type.Optional(Barrier) }
const Status = Type.Enum(['new', 'partially_filled', 'executed', 'cancelled', 'closed', 'rejected'])

const query = Compile(
  Type.Union([
    Type.Object({
      query: Type.Literal('order'),
      ...OfMember,
      orderId: Type.Optional(Id),
      clientOrderId: Type.Optional(Word),
    }),
    Type.Object({
      query: Type.Literal('orders'),
      ...OfMember,
      ...Period,
      ...Page,
      instrument: Type.Optional(Word),
      statuses: Type.Optional(Type.Array(Status, { maxItems: 6 })),
      side: Type.Optional(Type.Enum(['buy', 'sell'])),
    }),
    Type.Object({
      query: Type.Literal('trades'),
      ...OfMember,
      ...Period,
      ...Page,
      instrument: Type.Optional(Word),
      orderId: Type.Optional(Id),
    }),
    Type.Object({ query: Type.Literal('ledger'), ...OfMember, ...Period, ...Page, asset: Type.Optional(Word) }),
    Type.Object({ query: Type.Literal('balances'), ...OfMember }),
    Type.Object({ query: Type.Literal('totals'), barriers: Type.Optional(Type.Array(Barrier, { maxItems: 256 })) }),
  ]),
)

/** The query in a request, or undefined for what is none. */
export const parseQuery = (request: unknown): OrdersQuery | undefined =>
  query.Check(request) ? (request as OrdersQuery) : undefined
