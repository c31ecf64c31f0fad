import type { Reads } from './reads.ts'

export interface Best {
  readonly bidTicks: number
  readonly askTicks: number
}

/** Best prices, at most one second old. */
export interface Bests {
  of(instrument: string, marketSlot: number): Best | Promise<Best>
}

const AGE_MS_MAX = 1_000
/** Asked again so long after the last answer, in the background, while somebody wants to know. */
const REFRESH_MS = 400
const NONE: Best = { bidTicks: 0, askTicks: 0 }

interface SlotBests {
  bests: ReadonlyMap<string, Best>
  /** When the question was sent whose answer this is. */
  askedAtMs: number
  refreshing: Promise<void> | undefined
}

export function createBests(reads: Reads): Bests {
  const slots = new Map<number, SlotBests>()

  const refresh = (slot: number, known: SlotBests): Promise<void> => {
    known.refreshing ??= (async () => {
      const askedAtMs = performance.now()
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

  return {
    of: (instrument, slot) => {
      let known = slots.get(slot)
      if (known === undefined) {
        known = { bests: new Map(), askedAtMs: Number.NEGATIVE_INFINITY, refreshing: undefined }
        slots.set(slot, known)
      }
      const ageMs = performance.now() - known.askedAtMs
      const best = known.bests.get(instrument)
      if (ageMs <= AGE_MS_MAX && best !== undefined) {
        if (ageMs > REFRESH_MS) refresh(slot, known).catch(() => {})
        return best
      }
      const asked = known
      return refresh(slot, asked).then(() => asked.bests.get(instrument) ?? NONE)
    },
  }
}
