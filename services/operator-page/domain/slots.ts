import type { HaltedSlot } from '#mesh/machine/halts.ts'
import { DEFINITIONS_SLOT, LOG_OF_SERVICE, Log } from '#mesh/subjects.ts'

/** An owner's sign of life. */
export interface Sign {
  readonly instance: string
  readonly epoch: number
  /** Of the last applied message. */
  readonly sequence: number
}

export interface Slot {
  /** As operators know it: accounts, engine or definitions. */
  readonly service: string
  readonly slot: number
  readonly state: 'ok' | 'behind' | 'ownerless' | 'halted'
  readonly owner: string | null
  readonly epoch: number | null
  readonly applied: number | null
  readonly stored: number
  readonly followers: readonly string[]
  /** Why it halted. */
  readonly halted: Pick<HaltedSlot, 'code' | 'reason' | 'sequence' | 'at'> | null
}

export interface Place {
  readonly service: string
  readonly log: Log
  readonly slot: number
}

interface Shape {
  readonly accountSlots: number
  readonly marketSlots: number
}

export const slotCounts = ({ accountSlots, marketSlots }: Shape): Record<Log, number> => ({
  [Log.accounts]: accountSlots,
  [Log.markets]: marketSlots,
  [Log.definitions]: DEFINITIONS_SLOT + 1,
})

export function slotPlaces(shape: Shape): Place[] {
  const counts = slotCounts(shape)
  return [...LOG_OF_SERVICE].flatMap(([service, log]) =>
    Array.from({ length: counts[log] }, (_, slot) => ({ service, log, slot })),
  )
}

export interface SlotFacts {
  readonly sign: Sign | undefined
  readonly stored: number
  readonly followers: readonly string[]
  readonly halted: HaltedSlot | undefined
}

/** `stored` was looked up before the owner's sign came: an owner that has applied less is behind. */
export function slotOf({ service, slot }: Place, { sign, stored, followers, halted }: SlotFacts): Slot {
  const isBehind = sign !== undefined && sign.sequence < stored
  const state = halted !== undefined ? 'halted' : sign === undefined ? 'ownerless' : isBehind ? 'behind' : 'ok'
  return {
    service,
    slot,
    state,
    owner: sign?.instance ?? null,
    epoch: sign?.epoch ?? null,
    applied: sign?.sequence ?? null,
    // What it has applied since then was stored before.
    stored: Math.max(stored, sign?.sequence ?? 0),
    followers,
    halted:
      halted === undefined
        ? null
        : { code: halted.code, reason: halted.reason, sequence: halted.sequence, at: halted.at },
  }
}
