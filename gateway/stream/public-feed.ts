import { setTimeout as sleep } from 'node:timers/promises'
import { DepthBook } from '#mesh/domain/depth-book.ts'
import type { Market } from '#mesh/edge/market.ts'
import type {
  BookPush,
  PublicTrade,
  PushMarketRead,
  PushMarketResult,
  TickerPush,
  TradesPush,
} from '#mesh/protocol/push.ts'
import type { LiveStatsRead, LiveStatsResult } from '#mesh/protocol/stats.ts'
import { BookView } from './book-view.ts'
import { DEPTHS, type PublicChannel } from './channels.ts'
import { bboJson, bookChangeJson, bookSnapshotJson, tickerJson, tradesJson } from './public-json.ts'
import { Pace, type Source, Topic } from './topic.ts'

/** What a gateway knows of one thing that a market tells, and the topics that are made of it. */
export interface Feed {
  /** What `subscribe` and `load` bring it up to date with. */
  take(message: unknown): void
  /** Asked for as a whole. */
  load(): Promise<void>
  /** The market is this far by now. @returns whether something has been missed. */
  isBehind(sequence: number, tradeId: number): boolean
  topic(channel: PublicChannel): Topic
  /** Closes a topic that nobody follows. @returns whether none is left */
  release(name: string): boolean
  readonly isUnused: boolean
}

type Ask = <Read extends PushMarketRead>(read: Read) => Promise<Extract<PushMarketResult, { read: Read['read'] }>>
export type AskStats = <Read extends LiveStatsRead>(
  read: Read,
) => Promise<Extract<LiveStatsResult, { read: Read['read'] }>>

/** Changes that arrive while the whole book is on its way, at most. */
const WAITING_MAX = 10_000

/** How long a new owner is waited for that is not yet where its predecessor was, and how often it is asked. */
const BACK_MS_MAX = 2_000
const BACK_LOOK_MS = 100

/** The answer that is not older than what is known; after a while whatever is answered. */
async function notBefore<Answer>(
  ask: () => Promise<Answer>,
  isNotBefore: (answer: Answer) => boolean,
): Promise<Answer> {
  const deadlineMs = performance.now() + BACK_MS_MAX
  for (;;) {
    const answer = await ask()
    if (isNotBefore(answer) || performance.now() > deadlineMs) return answer
    await sleep(BACK_LOOK_MS)
  }
}

/** Who asks while it is under way gets one more run after it. */
export function oneAtATime(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  let isAgain = false
  return async () => {
    if (running !== undefined) {
      isAgain = true
      return running
    }
    const loop = async (): Promise<void> => {
      do {
        isAgain = false
        await run()
      } while (isAgain)
    }
    running = loop().finally(() => {
      running = undefined
    })
    return running
  }
}

/** Topics of one feed by the name of their channel. */
export class Topics {
  readonly all = new Map<string, Topic>()
  readonly #pace: Pace

  constructor(pace: Pace) {
    this.#pace = pace
  }

  get(name: string, source: () => Source): Topic {
    let topic = this.all.get(name)
    if (topic === undefined) {
      topic = new Topic(source(), this.#pace)
      this.all.set(name, topic)
    }
    return topic
  }

  release(name: string): boolean {
    const topic = this.all.get(name)
    if (topic?.count === 0) {
      topic.close()
      this.all.delete(name)
    }
    return this.all.size === 0
  }

  touch(): void {
    for (const topic of this.all.values()) topic.touch()
  }

  ready(): void {
    for (const topic of this.all.values()) topic.ready()
  }
}

/** A market's book, for `orderbook` of all depths and for `bbo`. */
export class BookFeed implements Feed {
  readonly #topics: Topics
  readonly #market: Market
  readonly #ask: Ask
  readonly #book = new DepthBook()
  #waiting: BookPush[] | undefined = []
  #isKnown = false
  #timeUs = 0
  readonly #sources: BookSource[] = []

  constructor(market: Market, ask: Ask, pace = new Pace()) {
    this.#topics = new Topics(pace)
    this.#market = market
    this.#ask = ask
  }

  take(message: unknown): void {
    const push = message as BookPush
    if (this.#waiting !== undefined) {
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push(push)
      return
    }
    if (this.#apply(push) === 'gap') void this.load()
    else this.#topics.touch()
  }

  load = oneAtATime(async () => {
    this.#waiting ??= []
    const { instrument } = this.#market.definition
    const book = await notBefore(
      () => this.#ask({ read: 'book', instrument }),
      ({ sequence }) => sequence >= this.#book.sequence,
    )
    const wentBack = book.sequence < this.#book.sequence
    this.#book.reset(book.sequence, book.bids, book.asks)
    this.#timeUs = book.timeUs
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const push of waiting) this.take(push)
    for (const source of this.#sources) source.begin(!this.#isKnown || wentBack)
    this.#isKnown = true
    this.#topics.ready()
    this.#topics.touch()
  })

  isBehind(sequence: number): boolean {
    return this.#waiting === undefined && sequence > this.#book.sequence
  }

  topic(channel: PublicChannel): Topic {
    const { name, kind } = channel
    return this.#topics.get(name, () => {
      const levels = 'depth' in channel && kind !== 'bbo' ? DEPTHS[channel.depth] : 1
      const source = new BookSource(
        name,
        this.#book,
        new BookView(levels),
        this.#market,
        () => this.#timeUs,
        kind === 'bbo',
      )
      this.#sources.push(source)
      if (this.#isKnown) source.begin(true)
      return source
    })
  }

  release(name: string): boolean {
    const isLast = this.#topics.release(name)
    if (!this.#topics.all.has(name)) {
      const at = this.#sources.findIndex((source) => source.name === name)
      if (at >= 0) this.#sources.splice(at, 1)
    }
    return isLast
  }

  get isUnused(): boolean {
    return this.#topics.all.size === 0
  }

  #apply(push: BookPush): ReturnType<DepthBook['apply']> {
    const applied = this.#book.apply(push)
    if (applied === 'applied') this.#timeUs = push.timeUs
    return applied
  }
}

class BookSource implements Source {
  readonly name: string
  readonly #book: DepthBook
  readonly #view: BookView
  readonly #market: Market
  readonly #timeUs: () => number
  readonly #isBbo: boolean
  #isKnown = false
  /** Another number than any sequence when what followers have cannot be gone on from. */
  #epoch = 0
  #snapshot: { readonly version: number; readonly text: string } | undefined

  constructor(name: string, book: DepthBook, view: BookView, market: Market, timeUs: () => number, isBbo: boolean) {
    this.name = name
    this.#book = book
    this.#view = view
    this.#market = market
    this.#timeUs = timeUs
    this.#isBbo = isBbo
  }

  /** The book is known; `anew`: what followers have is not a part of its past. */
  begin(anew: boolean): void {
    this.#isKnown = true
    if (!anew) return
    this.#epoch += 1
    this.#view.reset(this.#book)
    this.#snapshot = undefined
  }

  snapshot(): { readonly version: number; readonly text: string } | undefined {
    if (!this.#isKnown) return undefined
    this.#snapshot ??= { version: this.#version(), text: this.#whole() }
    return this.#snapshot
  }

  news(): { readonly from: number; readonly to: number; readonly text: string } | undefined {
    if (!this.#isKnown) return undefined
    const from = this.#version()
    const change = this.#view.update(this.#book)
    if (change === undefined) return undefined
    this.#snapshot = undefined
    const text = this.#isBbo
      ? this.#whole()
      : bookChangeJson(this.name, change, this.#view, this.#market, this.#timeUs())
    return { from, to: this.#version(), text }
  }

  #whole(): string {
    const view = this.#view
    return this.#isBbo
      ? bboJson(this.name, view.sequence, view.bids[0], view.asks[0], this.#market, this.#timeUs())
      : bookSnapshotJson(this.name, view, this.#market, this.#timeUs())
  }

  #version(): number {
    return this.#epoch * 2 ** 48 + this.#view.sequence
  }
}

/** Trades that whoever subscribes is given first, and that are kept for those who are told less often. */
const TRADES_KEPT = 100
const TRADES_TOLD_MAX = 1_000

export class TradesFeed implements Feed {
  readonly #topics: Topics
  readonly #market: Market
  readonly #ask: Ask
  #told: PublicTrade[] = []
  #untold: PublicTrade[] = []
  #isKnown = false
  #isLoading = true

  constructor(market: Market, ask: Ask, pace = new Pace()) {
    this.#topics = new Topics(pace)
    this.#market = market
    this.#ask = ask
  }

  take(message: unknown): void {
    this.#add(message as TradesPush)
  }

  load = oneAtATime(async () => {
    this.#isLoading = true
    const { instrument } = this.#market.definition
    const lastOf = (all: TradesPush): number => all.at(-1)?.tradeId ?? 0
    const { trades } = await notBefore(
      () => this.#ask({ read: 'trades', instrument }),
      (answer) => lastOf(answer.trades) >= this.#lastId(),
    )
    this.#isLoading = false
    if (!this.#isKnown || lastOf(trades) < this.#lastId()) {
      this.#isKnown = true
      const waiting = this.#untold
      this.#untold = []
      this.#told = [...trades]
      this.#add(waiting)
      this.#topics.ready()
    } else {
      const lastId = this.#lastId()
      this.#untold.push(...trades.filter(({ tradeId }) => tradeId > lastId))
    }
    this.#topics.touch()
  })

  isBehind(_sequence: number, tradeId: number): boolean {
    return !this.#isLoading && tradeId > this.#lastId()
  }

  topic({ name }: PublicChannel): Topic {
    return this.#topics.get(name, () => ({
      snapshot: () =>
        this.#isKnown
          ? { version: this.#toldId(), text: tradesJson('trades.snapshot', name, this.#told, this.#market) }
          : undefined,
      news: () => {
        if (this.#untold.length === 0 || !this.#isKnown) return undefined
        const news = this.#untold.slice(-TRADES_TOLD_MAX)
        const from = this.#toldId()
        this.#told = [...this.#told, ...news].slice(-TRADES_KEPT)
        this.#untold = []
        return { from, to: this.#toldId(), text: tradesJson('trades', name, news, this.#market) }
      },
    }))
  }

  release(name: string): boolean {
    return this.#topics.release(name)
  }

  get isUnused(): boolean {
    return this.#topics.all.size === 0
  }

  #add(trades: TradesPush): void {
    for (const trade of trades) {
      const lastId = this.#lastId()
      if (this.#isKnown && trade.tradeId <= lastId) continue
      if (this.#isKnown && trade.tradeId > lastId + 1) {
        // It is among those that are asked for now.
        void this.load()
        return
      }
      this.#untold.push(trade)
    }
    if (this.#untold.length > 2 * TRADES_TOLD_MAX) this.#untold = this.#untold.slice(-TRADES_TOLD_MAX)
    if (this.#isKnown && this.#untold.length > 0) this.#topics.touch()
  }

  #toldId(): number {
    return this.#told.at(-1)?.tradeId ?? 0
  }

  #lastId(): number {
    return this.#untold.at(-1)?.tradeId ?? this.#toldId()
  }
}

export class TickerFeed implements Feed {
  readonly #topics: Topics
  readonly #market: Market
  readonly #ask: AskStats
  #latest: TickerPush | undefined
  #latestVersion = 0
  #told: { readonly version: number; readonly ticker: TickerPush } | undefined

  constructor(market: Market, ask: AskStats, pace = new Pace()) {
    this.#topics = new Topics(pace)
    this.#market = market
    this.#ask = ask
  }

  take(message: unknown): void {
    this.#set(message as TickerPush)
  }

  load = oneAtATime(async () => {
    const { ticker } = await this.#ask({ read: 'ticker', instrument: this.#market.definition.instrument })
    if (this.#latest === undefined || ticker.timeUs > this.#latest.timeUs) this.#set(ticker)
  })

  isBehind(_sequence: number, tradeId: number): boolean {
    return this.#latest !== undefined && tradeId > this.#latest.tradeId
  }

  topic({ name }: PublicChannel): Topic {
    return this.#topics.get(name, () => ({
      snapshot: () =>
        this.#told === undefined
          ? undefined
          : { version: this.#told.version, text: tickerJson(name, this.#told.ticker, this.#market) },
      news: () => {
        if (this.#latest === undefined || this.#told?.version === this.#latestVersion) return undefined
        const from = this.#told?.version ?? 0
        this.#told = { version: this.#latestVersion, ticker: this.#latest }
        return { from, to: this.#latestVersion, text: tickerJson(name, this.#latest, this.#market) }
      },
    }))
  }

  release(name: string): boolean {
    return this.#topics.release(name)
  }

  get isUnused(): boolean {
    return this.#topics.all.size === 0
  }

  #set(ticker: TickerPush): void {
    this.#latest = ticker
    this.#latestVersion += 1
    if (this.#told === undefined) {
      this.#told = { version: this.#latestVersion, ticker }
      this.#topics.ready()
    }
    this.#topics.touch()
  }
}
