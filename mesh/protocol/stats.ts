import type { MinorString } from './common.ts'
import type { Barrier } from './orders.ts'
import type { TickerPush } from './push.ts'

/** Lengths of candles, shortest first. A place in this list stands for its name where room matters; new ones go to the end. */
export const INTERVALS = [
  '1s',
  '1m',
  '3m',
  '5m',
  '15m',
  '30m',
  '1h',
  '2h',
  '4h',
  '6h',
  '12h',
  '1d',
  '3d',
  '1w',
  '1M',
] as const
export type Interval = (typeof INTERVALS)[number]

export const isInterval = (text: string): text is Interval => (INTERVALS as readonly string[]).includes(text)

/** What was traded from a second on (since 1970), for as long as the interval is. Sums are decimal integers: lots, and ticks × lots. */
export type CandleLine = readonly [
  startS: number,
  openTicks: number,
  highTicks: number,
  lowTicks: number,
  closeTicks: number,
  lots: string,
  tickLots: string,
  trades: number,
]

/** A candle as it is told: which interval of `INTERVALS`, the candle, and 1 when its time is over. */
export type CandleNews = readonly [interval: number, candle: CandleLine, closed: 0 | 1]

/** What is new of a market's candles, on `push.candles.<instrument>`. `number` counts its messages without a gap. */
export interface CandlesPush {
  readonly number: number
  readonly candles: readonly CandleNews[]
}

/** What the owner of a market slot's statistics is asked for, on `rpc.stats.<slot>.read`. */
export type LiveStatsRead =
  /** The latest candle of each interval, and the one before it where that is known. */
  | { readonly read: 'candles'; readonly instrument: string }
  | { readonly read: 'ticker'; readonly instrument: string }
  /** Of all markets of the slot that ever traded. */
  | { readonly read: 'tickers' }
  /** How far each of these markets is. */
  | { readonly read: 'sequences'; readonly instruments: readonly string[] }

export type LiveStatsResult =
  | ({ readonly read: 'candles' } & CandlesPush)
  | { readonly read: 'ticker'; readonly ticker: TickerPush }
  | { readonly read: 'tickers'; readonly tickers: readonly (readonly [instrument: string, ticker: TickerPush])[] }
  /** [number of the last message about candles, id of the last trade], 0 for a market that is not there. */
  | { readonly read: 'sequences'; readonly sequences: readonly (readonly [number, number])[] }

/**
 * What `rpc.stats.query` answers from MySQL. Codes: `projection_behind`, `query_invalid`, `cursor_invalid`,
 * `database_unavailable`.
 */
export type StatsQuery =
  /**
   * Candles that begin from `startS` on (inclusive) and before `endS`, oldest first, at most `limit`: with `startS` the first of
   * them, else the last. `fill`: those without a trade as well, up to the present.
   */
  | {
      readonly query: 'candles'
      readonly instrument: string
      readonly interval: Interval
      readonly startS?: number
      readonly endS?: number
      readonly limit: number
      readonly fill: boolean
    }
  /** All that was ever traded, by market. */
  | { readonly query: 'markets' }
  /** What a member traded, by day and market, newest day first. Days are counted from 1970, UTC. */
  | {
      readonly query: 'member'
      readonly memberId: number
      readonly instrument?: string
      readonly fromDay?: number
      /** Exclusive. */
      readonly toDay?: number
      readonly limit: number
      readonly cursor?: string
      readonly barrier?: Barrier
    }

  /** A member's daily statements, newest day first: of each day a line for each asset that was moved. */
  | {
      readonly query: 'statements'
      readonly memberId: number
      readonly asset?: string
      readonly fromDay?: number
      readonly toDay?: number
      readonly limit: number
      readonly cursor?: string
    }

/** What a member traded of a market on one day. */
export interface MemberDay {
  readonly day: number
  readonly instrument: string
  /** Executions. One with himself counts on both sides. */
  readonly trades: number
  readonly lots: string
  readonly quoteMinor: MinorString
  /** Fees are charged in what is received: base of what was bought, quote of what was sold. */
  readonly baseFeeMinor: MinorString
  readonly quoteFeeMinor: MinorString
}

/** What moved a member's balance of an asset on a day that is over. */
export interface StatementLine {
  readonly day: number
  readonly asset: string
  readonly openingMinor: MinorString
  readonly depositsMinor: MinorString
  readonly withdrawalsMinor: MinorString
  /** What came from other members minus what went to them. */
  readonly transfersMinor: MinorString
  /** What trades brought minus what they cost, before fees. */
  readonly tradesMinor: MinorString
  readonly feesMinor: MinorString
  readonly closingMinor: MinorString
}

export type StatsQueryResult =
  | { readonly query: 'candles'; readonly candles: readonly CandleLine[] }
  | {
      readonly query: 'markets'
      readonly markets: readonly {
        readonly instrument: string
        readonly trades: number
        readonly lots: string
        readonly tickLots: string
      }[]
    }
  | {
      readonly query: 'member'
      readonly days: readonly MemberDay[]
      readonly cursor?: string
      /** What he is let off of fees at present, in parts per million of them. */
      readonly feeDiscountPpm: number
    }
  | { readonly query: 'statements'; readonly lines: readonly StatementLine[]; readonly cursor?: string }

/** The result that goes with a query. */
export type StatsResultOf<Query extends StatsQuery> = Extract<StatsQueryResult, { query: Query['query'] }>

/**
 * What `rpc.stats.progress` answers, and `rpc.stats.rebuild` when everything is emptied and written anew: how far each slot is
 * written, and where its frames end at present.
 */
export interface StatsProgress {
  readonly slots: readonly {
    readonly projection: string
    readonly slot: number
    readonly frameSequence: number
    readonly lastFrame: number
  }[]
}
