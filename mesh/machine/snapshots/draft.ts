import { rm } from 'node:fs/promises'
import type { SlotFold } from '../slot.ts'
import type { SnapshotConfig } from './config.ts'
import { writeSnapshotFile } from './file.ts'
import { headerOf, packFold, proveState } from './fold.ts'
import type { Machine } from './machine.ts'
import type { SnapshotStore } from './store.ts'
import type { TakenSnapshot } from './take.ts'

/** What a recovery has replayed so far, and how long that took. */
export interface Replayed {
  readonly items: number
  readonly ms: number
}

/** A snapshot of a replay that has not come to its end: kept when that has proved right, or dropped. */
export interface Draft {
  keep(): Promise<TakenSnapshot>
  drop(): Promise<void>
}

/** Packed for each millisecond of the replay at most: that is a fifth of its time, or less. And what is always little. */
const BYTES_PER_MS = 10_000
const BYTES_LITTLE = 1_000_000

/**
 * A snapshot of what a recovery has just replayed, so that the next one need not repeat it. Nothing where that was little, or where
 * the state is so large that writing it would take a while of its own: then the helper's next one has to do.
 * `message`: the last one that the fold has applied.
 */
export async function draftSnapshot<State, Item, Event>(
  options: {
    readonly machine: Machine<State, Item, Event>
    readonly store: SnapshotStore
    readonly config: SnapshotConfig
    readonly instance: string
  },
  fold: SlotFold<State, Item, Event>,
  message: Uint8Array,
  replayed: Replayed,
): Promise<Draft | undefined> {
  const { machine, store, config, instance } = options
  if (replayed.items < config.everyItems) return undefined
  const beganMs = performance.now()
  const parts = packFold(machine, fold)
  const packedBytes = parts.reduce((sum, { length }) => sum + length, 0)
  if (packedBytes > Math.max(BYTES_LITTLE, replayed.ms * BYTES_PER_MS)) return undefined
  const { slot } = fold
  const { log } = machine.rules
  const header = headerOf(machine, fold, { instance, message })
  const { applied, itemsCount } = header.point
  const path = store.unprovedPathOf(log, slot)
  const { bytes } = await writeSnapshotFile(path, header, parts)
  return {
    drop: () => rm(path, { force: true }),
    keep: async () => {
      const name = await store.keep(path, header, () => proveState(machine, slot, path))
      const ms = Math.round(performance.now() - beganMs)
      return { name, sequence: applied[0], itemsCount, bytes, replayedItems: replayed.items, ms }
    },
  }
}
