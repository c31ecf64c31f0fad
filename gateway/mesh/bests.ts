import type { Side } from '#mesh/protocol/common.ts'
import { systemTime, type Time } from '#mesh/time.ts'
import type { Reads } from './reads.ts'

interface Best {
  readonly bidTicks: number
  readonly askTicks: number
}

export interface Bests {
  /**
   * The best price that an order of this side would meet, in ticks, at most one second old; 0 where nothing rests.
   * That nothing rests is never taken from memory: what has come to rest meanwhile is to be met.
   */
  opposite(side: Side, instrument: string, marketSlot: number): number | Promise<number>
}

const AGE_MS_MAX = 1_000
/** Asked again so long after the last answer, in the background, while somebody wants to know. */
const REFRESH_MS = 400

interface SlotBests {
  bests: ReadonlyMap<string, Best>
  /** When the question was sent whose answer this is. */
  askedAtMs: number
  refreshing: Promise<void> | undefined
}

export function createBests(reads: Reads, time: Time = systemTime): Bests {
  const slots = new Map<number, SlotBests>()

  const refresh = (slot: number, known: SlotBests): Promise<void> => {
    known.refreshing ??= (async () => {
      const askedAtMs = time.nowMs()
      try {
        const { markets } = await reads.market(slot, { read: 'bests' })
        known.bests = new Map(
          markets.map(({ instrument, bestBidTicks, bestAskTicks }) => [
            instrument,
            { bidTicks: bestBidTicks, askTicks: bestAskTicks },
          ]),
        )
        known.askedAtMs = askedAtMs
      } finally {
        known.refreshing = undefined
      }
    })()
    return known.refreshing
  }

  const knownOf = (slot: number): SlotBests => {
    let known = slots.get(slot)
    if (known === undefined) {
      known = { bests: new Map(), askedAtMs: Number.NEGATIVE_INFINITY, refreshing: undefined }
      slots.set(slot, known)
    }
    return known
  }

  return {
    opposite: (side, instrument, slot) => {
      const known = knownOf(slot)
      const ticks = (): number => {
        const best = known.bests.get(instrument)
        return best === undefined ? 0 : side === 'buy' ? best.askTicks : best.bidTicks
      }
      const ageMs = time.nowMs() - known.askedAtMs
      const remembered = ticks()
      if (ageMs > AGE_MS_MAX || remembered === 0) return refresh(slot, known).then(ticks)
      if (ageMs > REFRESH_MS) refresh(slot, known).catch(() => {})
      return remembered
    },
  }
}
