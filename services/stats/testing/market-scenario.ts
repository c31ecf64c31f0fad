import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { encodeFrame } from '#mesh/frames.ts'
import type { PublicTrade } from '#mesh/protocol/push.ts'
import { framesSubject, Log } from '#mesh/subjects.ts'

/** What one engine slot would say of trades in its markets, made from a seed, in frames that follow each other. */
export class MarketScenario {
  readonly slot: number
  /** Of each market, oldest first. */
  readonly trades: ReadonlyMap<string, PublicTrade[]>
  timeUs: number
  /** Where the last frame stands in EVENTS. */
  frameSequence = 0
  #sequence = 0
  #hash = 1
  #random: number

  constructor(slot: number, instruments: readonly string[], fromUs: number) {
    this.slot = slot
    this.trades = new Map(instruments.map((instrument) => [instrument, []]))
    this.timeUs = fromUs
    this.#random = slot + 17
  }

  /** One frame with so many trades, up to `pauseS` seconds after one another. */
  async publish(nats: NatsConnection, trades: number, pauseS: number): Promise<void> {
    const instruments = [...this.trades.keys()]
    this.#sequence++
    this.#hash = (this.#hash * 48_271) % 2_147_483_647
    const lines = Array.from({ length: trades }, (_, index) => {
      this.timeUs += this.#below(pauseS) * 1_000_000 + this.#below(1_000_000)
      const instrument = instruments[this.#below(instruments.length)] ?? ''
      const known = this.trades.get(instrument) ?? []
      const trade: PublicTrade = {
        tradeId: known.length + 1,
        priceTicks: 1_000 + this.#below(200),
        lots: 1 + this.#below(1_000_000),
        takerSide: this.#below(2) === 0 ? 'buy' : 'sell',
        timeUs: this.timeUs,
      }
      known.push(trade)
      return JSON.stringify({ type: 'Traded', instrument, ...trade, position: [this.#sequence, index, 0] })
    })
    const header = {
      inFrom: [this.#sequence, 0] as const,
      inTo: [this.#sequence, Math.max(0, trades - 1)] as const,
      complete: true,
      hash: this.#hash,
      timeUs: this.timeUs,
      version: 1,
    }
    const subject = framesSubject(Log.markets, this.slot)
    const follows = { expect: { lastSubjectSequence: this.frameSequence } }
    this.frameSequence = (await jetstream(nats).publish(subject, encodeFrame(header, lines), follows)).seq
  }

  #below(bound: number): number {
    this.#random = (this.#random * 48_271) % 2_147_483_647
    return this.#random % Math.max(1, Math.floor(bound))
  }
}
