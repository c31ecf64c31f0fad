import Type, { type TSchema } from 'typebox'

/** Everything that comes in is closed: a field that is not known is refused, not passed over. */
export const CLOSED = { additionalProperties: false } as const

/** A whole number below 2^53 as a string. */
export const Id = Type.String({ pattern: '^[1-9][0-9]{0,15}$', examples: ['7204123551744001'] })

/** The pattern lets through 16 digits; this says whether they are below 2^53. */
export const isId = (text: string): boolean => Number(text) <= Number.MAX_SAFE_INTEGER

/** What is wrong with a decimal is told apart by the parser (`domain/decimal.ts`), so the schema asks only for a string. */
export const decimal = (description: string, example = '0.25') =>
  Type.String({ format: 'decimal', maxLength: 100, description, examples: [example] })

export const Instrument = Type.String({
  pattern: '^[A-Z0-9]{2,10}-[A-Z0-9]{2,10}$',
  description: '`<base>-<quote>`',
  examples: ['BTC-USDT'],
})
export const Asset = Type.String({ pattern: '^[A-Z0-9]{2,10}$', examples: ['BTC'] })
export const ClientOrderId = Type.String({
  pattern: '^[A-Za-z0-9._-]{1,64}$',
  description: "The member's own name for the order. A repeat with the same content is harmless.",
  examples: ['mine-000017'],
})
export const Reference = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,64}$', examples: ['bank-2031-05-04-17'] })
export const Side = Type.Enum(['buy', 'sell'])
export const OrderTypeName = Type.Enum(['limit', 'market'])
export const Ppm = Type.Integer({ minimum: 0, maximum: 100_000, description: 'Parts per million.' })
export const Time = Type.String({ format: 'date-time', examples: ['2031-05-04T03:02:01.123456Z'] })
export const nullable = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])

// Query parameters are strings.
export const Limit = Type.String({ pattern: '^(?:[1-9][0-9]?|[1-4][0-9]{2}|500)$', description: '1..500, default 100' })
export const Cursor = Type.String({ minLength: 1, maxLength: 200, description: "The last page's `cursor`." })
export const FromTime = Type.String({ maxLength: 40, description: 'From this time on; ISO 8601 with its zone.' })
export const ToTime = Type.String({ maxLength: 40, description: 'Before this time; ISO 8601 with its zone.' })
export const Flag = Type.Enum(['true', 'false'])

export const ProblemSchema = Type.Object(
  {
    code: Type.String({ description: 'Stable; see the table of codes.' }),
    message: Type.String({ description: 'For people; may change.' }),
    field: Type.Optional(Type.String({ description: 'The field that it is about.' })),
    orderId: Type.Optional(Id),
    clientOrderId: Type.Optional(ClientOrderId),
    traceId: Type.Optional(
      Type.String({ description: 'Of the request, where the exchange traces; also the header trace-id.' }),
    ),
  },
  { $id: 'Problem' },
)
