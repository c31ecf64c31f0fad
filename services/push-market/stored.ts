import { type BucketStore, type Bus, streamsOf } from '#mesh/bus.ts'
import { parseFrameHeader } from '#mesh/frames.ts'
import { Bucket, EVENTS_STREAM } from '#mesh/subjects.ts'
import { MarketFace, type StoredMarket } from './domain/market.ts'

/** How far the stored markets are at least: a frame, with its hash, so that another log is not taken for it. */
interface StoredSlot {
  readonly frameSequence: number
  readonly frameHash: number
  readonly instruments: readonly string[]
}

export interface Checkpoint {
  readonly frameSequence: number
  readonly markets: Map<string, MarketFace>
}

const NOTHING: Checkpoint = { frameSequence: 0, markets: new Map() }

/** The markets of a slot, kept in a bucket from time to time so that a start need not read the whole log. */
export class CheckpointStore {
  readonly #nats: Bus
  readonly #bucket: BucketStore

  private constructor(nats: Bus, bucket: BucketStore) {
    this.#nats = nats
    this.#bucket = bucket
  }

  static async open(nats: Bus, replicas: number): Promise<CheckpointStore> {
    return new CheckpointStore(nats, await streamsOf(nats).bucket(Bucket.pushMarket, replicas))
  }

  /** Nothing where there is none, or the log is not the one that it was made from. */
  async load(slot: number): Promise<Checkpoint> {
    const entry = await this.#bucket.get(String(slot))
    if (entry === null || entry.operation !== 'PUT') return { ...NOTHING, markets: new Map() }
    const { frameSequence, frameHash, instruments } = entry.json<StoredSlot>()
    const frame = await streamsOf(this.#nats).at(EVENTS_STREAM, frameSequence)
    if (frame === undefined || parseFrameHeader(frame.data).hash !== frameHash)
      return { ...NOTHING, markets: new Map() }
    const markets = new Map<string, MarketFace>()
    for (const instrument of instruments) {
      const stored = await this.#bucket.get(`${slot}.${instrument}`)
      if (stored === null) return { ...NOTHING, markets: new Map() }
      markets.set(instrument, MarketFace.restore(stored.json<StoredMarket>()))
    }
    return { frameSequence, markets }
  }

  async saveMarket(slot: number, instrument: string, market: MarketFace): Promise<void> {
    await this.#bucket.put(`${slot}.${instrument}`, JSON.stringify(market.store()))
  }

  /** When all markets are saved as they were at this frame, or later. */
  async saveSlot(slot: number, saved: StoredSlot): Promise<void> {
    await this.#bucket.put(String(slot), JSON.stringify(saved))
  }
}
