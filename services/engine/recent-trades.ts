import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'
import { Side } from '#mesh/protocol/common.ts'
import type { MarketEvent, MarketReadResult } from '#mesh/protocol/engine.ts'

export const TRADES_MAX = 1000

type Trade = Extract<MarketReadResult, { read: 'trades' }>['trades'][number]

/** The last trades of each market, for reads. Outside the state: fed by the events, also by those of a replay. */
export interface RecentTrades {
  observe(event: MarketEvent): void
  /** Newest first, at most `TRADES_MAX`. */
  newest(instrument: string, tradesMax: number): Trade[]
  pack(packer: Packer): void
}

/** `packed`: what others have seen before. */
export function createRecentTrades(packed?: Unpacker): RecentTrades {
  const rings = new Map<string, Ring>()
  for (const instrument of (packed?.json() ?? []) as string[]) {
    if (packed !== undefined) rings.set(instrument, Ring.unpack(packed))
  }
  return {
    observe: (event) => {
      if (event.type !== 'Traded') return
      let ring = rings.get(event.instrument)
      if (ring === undefined) {
        ring = new Ring()
        rings.set(event.instrument, ring)
      }
      ring.add(event)
    },
    newest: (instrument, tradesMax) => rings.get(instrument)?.newest(tradesMax) ?? [],
    pack: (packer) => {
      packer.json([...rings.keys()])
      for (const ring of rings.values()) ring.pack(packer)
    },
  }
}

const WORDS = 3
const TRADES_MIN = 16

/** Three words per trade: price, lots (below zero: the taker sold), time. A trade's id follows from the last one's. */
class Ring {
  #words = new Float64Array(TRADES_MIN * WORDS)
  #lastTradeId = 0
  #count = 0

  add(trade: Trade): void {
    const at = this.#placeOf(trade.tradeId)
    while (at >= this.#words.length) this.#grow()
    this.#words[at] = trade.priceTicks
    this.#words[at + 1] = trade.takerSide === Side.buy ? trade.lots : -trade.lots
    this.#words[at + 2] = trade.timeUs
    this.#lastTradeId = trade.tradeId
    if (this.#count < TRADES_MAX) this.#count++
  }

  newest(tradesMax: number): Trade[] {
    const trades: Trade[] = []
    for (let back = 0; back < Math.min(tradesMax, this.#count); back++) {
      const tradeId = this.#lastTradeId - back
      const at = this.#placeOf(tradeId)
      const lots = this.#words[at + 1] ?? 0
      trades.push({
        tradeId,
        priceTicks: this.#words[at] ?? 0,
        lots: Math.abs(lots),
        takerSide: lots > 0 ? Side.buy : Side.sell,
        timeUs: this.#words[at + 2] ?? 0,
      })
    }
    return trades
  }

  pack(packer: Packer): void {
    packer.numbers([this.#lastTradeId, this.#count]).bytes(this.#words)
  }

  static unpack(packed: Unpacker): Ring {
    const ring = new Ring()
    const [lastTradeId = 0, count = 0] = packed.numbers()
    const buffer = packed.buffer(TRADES_MAX * WORDS * 8, 'atMost')
    if (buffer.byteLength < count * WORDS * 8) throw new PackedInvalid('There are more trades than room for them.')
    ring.#lastTradeId = lastTradeId
    ring.#count = count
    ring.#words = new Float64Array(buffer)
    return ring
  }

  /** Ids are dense, so that the last trades never share a place. */
  #placeOf(tradeId: number): number {
    return ((tradeId - 1) % TRADES_MAX) * WORDS
  }

  #grow(): void {
    const words = new Float64Array(Math.min(this.#words.length * 2, TRADES_MAX * WORDS))
    words.set(this.#words)
    this.#words = words
  }
}
