import Type, { type Static } from 'typebox'
import { checked } from '#mesh/checked.ts'
import type { Frame } from '#mesh/frames.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import type { LiveStatsRead, LiveStatsResult } from '#mesh/protocol/stats.ts'
import type { PushedSlot } from '#mesh/push/runtime.ts'
import { PushChannel, pushSubject } from '#mesh/subjects.ts'
import { LiveMarket } from './domain/live-market.ts'

interface LiveSlotOptions {
  /** Up to where the markets are made of the log already. */
  readonly afterFrame: number
  readonly markets: Map<string, LiveMarket>
  readonly tell: (subject: string, payload: string) => void
  readonly nowUs: () => number
  readonly nowMs: () => number
}

/** What is new of a market is told at most this often, in milliseconds. */
const TELL_MS = 250
const SECOND_US = 1_000_000
const MINUTE_US = 60_000_000
/** A candle is called closed so long after its end: trades of its last moment may be on their way. */
const GRACE_S = 1

/** Candles and tickers of one engine slot's markets, as they are now. */
export class LiveSlot implements PushedSlot<MarketEvent> {
  readonly afterFrame: number
  readonly #options: LiveSlotOptions
  readonly #markets: Map<string, LiveMarket>
  /** Of whom something is to be told, and when each was told of. */
  readonly #changed = new Set<string>()
  readonly #toldAtMs = new Map<string, number>()
  #minute: number

  constructor(options: LiveSlotOptions) {
    this.#options = options
    this.afterFrame = options.afterFrame
    this.#markets = options.markets
    this.#minute = Math.floor(options.nowUs() / MINUTE_US)
  }

  take({ events }: Frame<MarketEvent>, _frameSequence: number, tells: boolean): void {
    for (const event of events) {
      if (event.type !== 'Traded') continue
      this.#marketOf(event.instrument).take(event)
      this.#changed.add(event.instrument)
    }
    if (tells) this.#tellChanged()
  }

  answer(request: unknown): LiveStatsResult {
    const read: LiveStatsRead = parseRead(request)
    switch (read.read) {
      case 'candles':
        return { read: 'candles', ...this.#known(read.instrument).known() }
      case 'ticker':
        return { read: 'ticker', ticker: this.#tickerOf(this.#known(read.instrument)) }
      case 'tickers':
        return {
          read: 'tickers',
          tickers: [...this.#markets].map(([instrument, market]) => [instrument, this.#tickerOf(market)] as const),
        }
      case 'sequences':
        return {
          read: 'sequences',
          sequences: read.instruments.map((instrument) => {
            const market = this.#markets.get(instrument)
            return [market?.number ?? 0, market?.tradeId ?? 0] as const
          }),
        }
    }
  }

  tick(): void {
    const nowUs = this.#options.nowUs()
    const minute = Math.floor(nowUs / MINUTE_US)
    if (minute !== this.#minute) {
      this.#minute = minute
      for (const [instrument, market] of this.#markets) if (market.expire(nowUs)) this.#changed.add(instrument)
    }
    this.#tellChanged()
    for (const [instrument, market] of this.#markets) this.#tellCandles(instrument, market)
  }

  /** A market in which nothing was traded yet is one without candles. */
  #known(instrument: string): LiveMarket {
    return this.#markets.get(instrument) ?? new LiveMarket()
  }

  #marketOf(instrument: string): LiveMarket {
    let market = this.#markets.get(instrument)
    if (market === undefined) {
      market = new LiveMarket()
      this.#markets.set(instrument, market)
    }
    return market
  }

  #tickerOf(market: LiveMarket) {
    return market.ticker(this.#options.nowUs())
  }

  #tellChanged(): void {
    const nowMs = this.#options.nowMs()
    for (const instrument of this.#changed) {
      if (nowMs - (this.#toldAtMs.get(instrument) ?? Number.NEGATIVE_INFINITY) < TELL_MS) continue
      this.#changed.delete(instrument)
      this.#toldAtMs.set(instrument, nowMs)
      const market = this.#marketOf(instrument)
      this.#tell(PushChannel.ticker, instrument, this.#tickerOf(market))
      this.#tellCandles(instrument, market)
    }
  }

  #tellCandles(instrument: string, market: LiveMarket): void {
    const news = market.news(Math.floor(this.#options.nowUs() / SECOND_US) - GRACE_S)
    if (news !== undefined) this.#tell(PushChannel.candles, instrument, news)
  }

  #tell(channel: PushChannel, instrument: string, message: object): void {
    this.#options.tell(pushSubject(channel, instrument), JSON.stringify(message))
  }
}

const Closed = { additionalProperties: false } as const
const Instrument = Type.String({ maxLength: 32 })
const ReadRequest = Type.Union([
  Type.Object({ read: Type.Enum(['candles', 'ticker']), instrument: Instrument }, Closed),
  Type.Object({ read: Type.Literal('tickers') }, Closed),
  Type.Object({ read: Type.Literal('sequences'), instruments: Type.Array(Instrument, { maxItems: 10_000 }) }, Closed),
])
const parseRead: (value: unknown) => Static<typeof ReadRequest> = checked(ReadRequest)
