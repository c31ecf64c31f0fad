import Type, { type Static } from 'typebox'
import { checked } from '#mesh/checked.ts'
import type { Frame } from '#mesh/frames.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import type { PushMarketRead, PushMarketResult } from '#mesh/protocol/push.ts'
import type { PushedSlot } from '#mesh/push/runtime.ts'
import { RpcError } from '#mesh/rpc.ts'
import { PushChannel, pushSubject } from '#mesh/subjects.ts'
import { MarketFace } from './domain/market.ts'
import type { Checkpoint, CheckpointStore } from './stored.ts'

interface MarketSlotOptions {
  readonly slot: number
  readonly from: Checkpoint
  readonly store: CheckpointStore
  readonly tell: (subject: string, payload: string) => void
  readonly saveMs: number
  readonly nowMs: () => number
  /** The frames do not go on from where the markets were. */
  readonly onBroken: () => void
}

/** The markets of one engine slot, and what is told of them. */
export class MarketSlot implements PushedSlot<MarketEvent> {
  readonly afterFrame: number
  readonly #options: MarketSlotOptions
  readonly #markets: Map<string, MarketFace>
  /** Changed since they were saved. */
  readonly #unsaved = new Set<string>()
  #last: { readonly frameSequence: number; readonly frameHash: number } | undefined
  #savedAtMs: number

  constructor(options: MarketSlotOptions) {
    this.#options = options
    this.afterFrame = options.from.frameSequence
    this.#markets = options.from.markets
    this.#savedAtMs = options.nowMs()
  }

  take({ header, events }: Frame<MarketEvent>, frameSequence: number, tells: boolean): void {
    const touched = new Map<string, MarketFace>()
    for (const event of events) {
      if (event.type === 'MarketOpened') this.#marketOf(event.instrument)
      if (event.type !== 'Traded' && event.type !== 'BookChanged') continue
      const market = this.#marketOf(event.instrument)
      try {
        market.take(event)
      } catch (error) {
        this.#options.onBroken()
        throw error
      }
      touched.set(event.instrument, market)
    }
    for (const [instrument, market] of touched) {
      const { book, trades } = market.news(header.timeUs)
      this.#unsaved.add(instrument)
      if (!tells) continue
      if (book !== undefined) this.#tell(PushChannel.book, instrument, book)
      if (trades.length > 0) this.#tell(PushChannel.trades, instrument, trades)
    }
    this.#last = { frameSequence, frameHash: header.hash }
  }

  onTrimmed(): void {
    this.#options.onBroken()
  }

  answer(request: unknown): PushMarketResult {
    const read: PushMarketRead = parseRead(request)
    if (read.read === 'sequences') {
      const sequences = read.instruments.map((instrument) => {
        const market = this.#markets.get(instrument)
        return [market?.sequence ?? 0, market?.tradeId ?? 0] as const
      })
      return { read: 'sequences', sequences }
    }
    const market = this.#markets.get(read.instrument)
    if (market === undefined) throw new RpcError('market_unknown', `The market ${read.instrument} is not in this slot.`)
    switch (read.read) {
      case 'book':
        return { read: 'book', ...market.book() }
      case 'trades':
        return { read: 'trades', trades: market.trades }
    }
  }

  async tick(): Promise<void> {
    const { nowMs, saveMs } = this.#options
    if (nowMs() - this.#savedAtMs >= saveMs) await this.#save()
  }

  leave(): Promise<void> {
    return this.#save()
  }

  #marketOf(instrument: string): MarketFace {
    let market = this.#markets.get(instrument)
    if (market === undefined) {
      market = new MarketFace()
      this.#markets.set(instrument, market)
      this.#unsaved.add(instrument)
    }
    return market
  }

  #tell(channel: PushChannel, instrument: string, message: object): void {
    this.#options.tell(pushSubject(channel, instrument), JSON.stringify(message))
  }

  /** Markets that change meanwhile are saved as they are then, which is no harm: they pass over what they have. */
  async #save(): Promise<void> {
    const { slot, store, nowMs } = this.#options
    this.#savedAtMs = nowMs()
    if (this.#last === undefined || this.#unsaved.size === 0) return
    const saved = { ...this.#last, instruments: [...this.#markets.keys()] }
    for (const instrument of [...this.#unsaved]) {
      this.#unsaved.delete(instrument)
      try {
        await store.saveMarket(slot, instrument, this.#marketOf(instrument))
      } catch (error) {
        this.#unsaved.add(instrument)
        throw error
      }
    }
    await store.saveSlot(slot, saved)
  }
}

const Closed = { additionalProperties: false } as const
const Instrument = Type.String({ maxLength: 32 })
const OfMarket = Type.Union([Type.Literal('book'), Type.Literal('trades')])
const ReadRequest = Type.Union([
  Type.Object({ read: OfMarket, instrument: Instrument }, Closed),
  Type.Object({ read: Type.Literal('sequences'), instruments: Type.Array(Instrument, { maxItems: 10_000 }) }, Closed),
])
const parseRead: (value: unknown) => Static<typeof ReadRequest> = checked(ReadRequest)
