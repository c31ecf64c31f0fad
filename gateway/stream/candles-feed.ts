import type { Market } from '#mesh/edge/market.ts'
import { type CandleNews, type CandlesPush, INTERVALS } from '#mesh/protocol/stats.ts'
import type { PublicChannel } from './channels.ts'
import { type AskStats, type Feed, oneAtATime, Topics } from './public-feed.ts'
import { candlesJson } from './public-json.ts'
import { Pace, type Source, type Topic } from './topic.ts'

/** Candles that are told at once, at most: whoever missed more reads them over HTTP. */
const TOLD_MAX = 100
/** Of each interval, the present one and the one before it. */
const KEPT = 2

/** A market's candles of all intervals that somebody follows. */
export class CandlesFeed implements Feed {
  readonly #topics: Topics
  readonly #market: Market
  readonly #ask: AskStats
  readonly #intervals = INTERVALS.map(() => new LatestCandles())
  /** By their places in `INTERVALS`: of the others only what is latest matters. */
  readonly #followed = new Set<number>()
  #isKnown = false
  #number = 0

  constructor(market: Market, ask: AskStats, pace = new Pace()) {
    this.#topics = new Topics(pace)
    this.#market = market
    this.#ask = ask
  }

  take(message: unknown): void {
    const { number, candles } = message as CandlesPush
    this.#add(candles)
    if (!this.#isKnown) return
    const isNext = number === this.#number + 1
    this.#number = Math.max(this.#number, number)
    if (!isNext) void this.load()
    this.#topics.touch()
  }

  load = oneAtATime(async () => {
    const { number, candles } = await this.#ask({ read: 'candles', instrument: this.#market.definition.instrument })
    this.#add(candles)
    this.#number = number
    if (!this.#isKnown) for (const latest of this.#intervals) latest.begin()
    this.#isKnown = true
    this.#topics.ready()
    this.#topics.touch()
  })

  isBehind(number: number): boolean {
    return this.#isKnown && number > this.#number
  }

  topic(channel: PublicChannel): Topic {
    const index = channel.kind === 'candles' ? INTERVALS.indexOf(channel.interval) : -1
    const latest = this.#intervals[index] ?? new LatestCandles()
    return this.#topics.get(channel.name, () => {
      latest.begin()
      this.#followed.add(index)
      return latest.source(channel.name, this.#market, () => this.#isKnown)
    })
  }

  release(name: string): boolean {
    const isLast = this.#topics.release(name)
    if (!this.#topics.all.has(name)) {
      for (const [index, interval] of INTERVALS.entries())
        if (name.endsWith(`:${interval}`)) this.#followed.delete(index)
    }
    return isLast
  }

  get isUnused(): boolean {
    return this.#topics.all.size === 0
  }

  #add(candles: readonly CandleNews[]): void {
    for (const news of candles) {
      const latest = this.#intervals[news[0]]
      latest?.add(news)
      if (!this.#followed.has(news[0])) latest?.begin()
    }
  }
}

/** What is known of one interval's latest candles, in whatever order it comes, and what followers have not been told of it. */
class LatestCandles {
  #told: readonly CandleNews[] = []
  #untold: CandleNews[] = []
  #version = 0

  /** Whoever comes first is given the present and the one before it. */
  begin(): void {
    this.#told = withNews(this.#told, this.#untold).slice(-KEPT)
    this.#untold = []
  }

  add(news: CandleNews): void {
    const [, [startS]] = news
    const known = this.#untold.find(([, candle]) => candle[0] === startS) ?? this.#told.find(([, c]) => c[0] === startS)
    const oldest = this.#told[0]
    if (known === undefined ? oldest !== undefined && startS < oldest[1][0] : !isNewer(news, known)) return
    this.#untold = withNews(this.#untold, [news]).slice(-TOLD_MAX)
  }

  source(channel: string, market: Market, isKnown: () => boolean): Source {
    return {
      snapshot: () =>
        isKnown()
          ? { version: this.#version, text: candlesJson('candles.snapshot', channel, this.#told, market) }
          : undefined,
      news: () => {
        if (!isKnown() || this.#untold.length === 0) return undefined
        const news = this.#untold
        this.begin()
        this.#version++
        return { from: this.#version - 1, to: this.#version, text: candlesJson('candles', channel, news, market) }
      },
    }
  }
}

/** By time, those that are new in the place of those that they replace. */
const withNews = (candles: readonly CandleNews[], news: readonly CandleNews[]): CandleNews[] =>
  [...new Map([...candles, ...news].map((one) => [one[1][0], one])).values()].sort(([, a], [, b]) => a[0] - b[0])

/** Of two of the same time: a candle only grows, and is closed at last. */
const isNewer = ([, candle, closed]: CandleNews, [, known, wasClosed]: CandleNews): boolean =>
  candle[7] === known[7] ? closed > wasClosed : candle[7] > known[7]
