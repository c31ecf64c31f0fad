import type { Level } from '#mesh/domain/depth-book.ts'
import type { TimeUs } from './common.ts'

/** What one frame changed of a market's book, on `push.book.<instrument>`. */
export interface BookPush {
  readonly first: number
  readonly last: number
  readonly timeUs: TimeUs
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

export interface PublicTrade {
  readonly tradeId: number
  readonly priceTicks: number
  readonly lots: number
  readonly takerSide: 'buy' | 'sell'
  readonly timeUs: TimeUs
}

/** Trades of one frame, oldest first, their ids without a gap; on `push.trades.<instrument>`. */
export type TradesPush = readonly PublicTrade[]

/** The last 24 hours, by the minute; on `push.ticker.<instrument>`. Sums are decimal integers: lots, and ticks × lots. */
export interface TickerPush {
  /** Of the last trade, 0 before the first. */
  readonly tradeId: number
  readonly timeUs: TimeUs
  /** Null without a trade in 24 hours, but for `last`, which is null without any trade. */
  readonly openTicks: number | null
  readonly highTicks: number | null
  readonly lowTicks: number | null
  readonly lastTicks: number | null
  readonly lots: string
  readonly tickLots: string
  readonly tradesCount: number
}

/** What push-market is asked for, on `rpc.push-market.<slot>.read`. */
export type PushMarketRead =
  | { readonly read: 'book'; readonly instrument: string }
  | { readonly read: 'trades'; readonly instrument: string }
  /** How far each of these markets is. */
  | { readonly read: 'sequences'; readonly instruments: readonly string[] }

export type PushMarketResult =
  | {
      readonly read: 'book'
      readonly sequence: number
      readonly timeUs: TimeUs
      readonly bids: readonly Level[]
      readonly asks: readonly Level[]
    }
  | { readonly read: 'trades'; readonly trades: TradesPush }
  /** [sequence of the book, id of the last trade], 0 for a market that is not there. */
  | { readonly read: 'sequences'; readonly sequences: readonly (readonly [number, number])[] }

export type PrivateChannel = 'orders' | 'fills' | 'balances'

/** What the owners of private channels are asked for. Positions are `<sequence>-<item>-<event>`. */
export type PushPrivateRead =
  /** What a member was told after a position; without one: from where on he will be told. */
  | {
      readonly read: 'after'
      readonly channel: PrivateChannel
      readonly memberId: number
      readonly position?: string
    }
  /** Which of these members were told something after these positions. */
  | {
      readonly read: 'behind'
      readonly channel: PrivateChannel
      readonly members: readonly (readonly [memberId: number, position: string])[]
    }

export type PushPrivateResult =
  | {
      readonly read: 'after'
      /** Where the member is after this. */
      readonly position: string
      /** Messages as on `push.<channel>.<member>`. */
      readonly messages: readonly string[]
      /** There are more. */
      readonly isAll: boolean
      /** The position is older than what is remembered: only reading everything again helps. */
      readonly isLost: boolean
    }
  /** Their places in the question. */
  | { readonly read: 'behind'; readonly behind: readonly number[] }
