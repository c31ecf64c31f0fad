import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { INTERVALS, type StatsQuery } from '#mesh/protocol/stats.ts'

const Whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
/** Seconds from 1970 to the end of 9999. */
const Second = Type.Integer({ minimum: 0, maximum: 253_402_300_799 })
const Day = Type.Integer({ minimum: 0, maximum: 2_932_896 })
const Instrument = Type.String({ minLength: 1, maxLength: 32 })

const Days = {
  fromDay: Type.Optional(Day),
  toDay: Type.Optional(Day),
  limit: Type.Integer({ minimum: 1, maximum: 500 }),
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
}

export const CANDLES_MAX = 1_000

const query = Compile(
  Type.Union([
    Type.Object({
      query: Type.Literal('candles'),
      instrument: Instrument,
      interval: Type.Enum([...INTERVALS]),
      startS: Type.Optional(Second),
      endS: Type.Optional(Second),
      limit: Type.Integer({ minimum: 1, maximum: CANDLES_MAX }),
      fill: Type.Boolean(),
    }),
    Type.Object({ query: Type.Literal('markets') }),
    Type.Object({
      query: Type.Literal('member'),
      memberId: Whole,
      instrument: Type.Optional(Instrument),
      ...Days,
      barrier: Type.Optional(Type.Object({ slot: Type.Integer({ minimum: 0, maximum: 255 }), sequence: Whole })),
    }),
    Type.Object({
      query: Type.Literal('statements'),
      memberId: Whole,
      asset: Type.Optional(Type.String({ minLength: 1, maxLength: 16 })),
      ...Days,
    }),
  ]),
)

/** The query in a request, or undefined for what is none. */
export const parseQuery = (request: unknown): StatsQuery | undefined =>
  query.Check(request) ? (request as StatsQuery) : undefined

/** A row of a member's listing by day, and within a day by the name of a market or an asset: where a page ended. */
export interface DayCursor {
  readonly day: number
  readonly name: string
}

export const encodeCursor = ({ day, name }: DayCursor): string => `${day}.${name}`

/** Undefined for what is no cursor of these listings. */
export function decodeCursor(cursor: string): DayCursor | undefined {
  const [, day, name] = /^([0-9]{1,7})\.([A-Z0-9]{2,10}(?:-[A-Z0-9]{2,10})?)$/.exec(cursor) ?? []
  return day === undefined || name === undefined ? undefined : { day: Number(day), name }
}
