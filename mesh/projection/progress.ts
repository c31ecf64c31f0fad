import type { Pool } from '#mesh/mysql.ts'
import { RpcError } from '#mesh/rpc.ts'
import { Bell } from './bell.ts'
import { hasPassed, loadPositions, type Progress } from './positions.ts'

/** Waits until a projection has come to a point, whichever instance writes the slot. */
export interface ProgressWatch {
  /** What this instance has written itself. */
  written(slot: number, progress: Progress): void
  /**
   * Returns when everything up to and with this message of the slot's log is written.
   * @throws RpcError `projection_behind` when it is not in time.
   */
  passed(slot: number, sequence: number, waitMsMax: number): Promise<void>
}

interface Waiting {
  readonly slot: number
  readonly sequence: number
  readonly pass: () => void
}

/** Between two looks at the positions while somebody waits, in milliseconds. */
const LOOK_MS_MIN = 5
const LOOK_MS_MAX = 50

/**
 * One look at the table of positions serves everybody who waits, and there is none while nobody does.
 * @param hurry asks this instance's own writer of the slot to write at once.
 */
export function watchProgress(pool: Pool, projection: string, hurry: (slot: number) => void): ProgressWatch {
  const known = new Map<number, Progress>()
  const waiting = new Set<Waiting>()
  const bell = new Bell()
  let looking = false

  const settle = (): void => {
    for (const waiter of waiting) {
      const progress = known.get(waiter.slot)
      if (progress !== undefined && hasPassed(progress, waiter.sequence)) waiter.pass()
    }
  }
  const look = async (): Promise<void> => {
    looking = true
    let lookMs = LOOK_MS_MIN
    while (waiting.size > 0) {
      try {
        for (const [slot, progress] of await loadPositions(pool, projection)) known.set(slot, progress)
      } catch {
        // The database may be back before the time of those who wait is up.
      }
      settle()
      if (waiting.size > 0) await bell.wait(lookMs)
      lookMs = Math.min(lookMs * 1.5, LOOK_MS_MAX)
    }
    looking = false
  }

  return {
    written: (slot, progress) => {
      known.set(slot, progress)
      if (waiting.size > 0) settle()
      bell.ring()
    },
    passed: async (slot, sequence, waitMsMax) => {
      const progress = known.get(slot)
      if (progress !== undefined && hasPassed(progress, sequence)) return
      hurry(slot)
      await new Promise<void>((resolve, reject) => {
        const done = (): void => {
          clearTimeout(timer)
          waiting.delete(waiter)
        }
        const timer = setTimeout(() => {
          done()
          reject(new RpcError('projection_behind', `MySQL has not come to message ${sequence} of slot ${slot} yet.`))
        }, waitMsMax)
        const waiter: Waiting = { slot, sequence, pass: () => resolve(done()) }
        waiting.add(waiter)
        if (!looking) void look()
      })
    },
  }
}
