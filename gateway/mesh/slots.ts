import type { Logger } from 'pino'
import { followBucket } from '#mesh/buckets.ts'
import { type Bus, timeOf } from '#mesh/bus.ts'
import { ALL_OWNERS, Bucket, type Log } from '#mesh/subjects.ts'
import { Problem } from '../problem.ts'

/** Knows which slots can be asked. */
export interface Slots {
  /** @throws Problem `slot_halted` or `slot_unavailable` */
  check(log: Log, slot: number): void
  /** Resolves when it is known which slots are halted. */
  loaded(): Promise<void>
  stop(): void
}

/** An owner that has not been heard of for 2 s is gone: so many ticks of our own, for while we are held up we hear nobody. */
const TICK_MS = 100
const SILENT_TICKS_MAX = 20

interface SlotHealth {
  heardAtTick: number
  halted: boolean
}

export function watchSlots(nats: Bus, log: Logger, replicas = 1): Slots {
  const slots = new Map<string, SlotHealth>()
  let tick = 0
  const endTicking = timeOf(nats).every(TICK_MS, () => {
    tick++
  })
  const healthOf = (key: string): SlotHealth => {
    let health = slots.get(key)
    if (health === undefined) {
      health = { heardAtTick: 0, halted: false }
      slots.set(key, health)
    }
    return health
  }

  const owners = nats.subscribe(ALL_OWNERS, {
    callback: (error, message) => {
      if (error === null) healthOf(message.subject.slice(ALL_OWNERS.length - 1)).heardAtTick = tick
    },
  })
  const halts = followBucket({
    nats,
    bucket: Bucket.slots,
    replicas,
    log,
    changed: (key, value) => {
      healthOf(key).halted = value !== undefined
    },
  })

  return {
    check: (kind, slot) => {
      const health = healthOf(keyOf(kind, slot))
      if (health.halted) throw new Problem('slot_halted', { retryAfterSeconds: 30 })
      if (tick - health.heardAtTick > SILENT_TICKS_MAX) {
        throw new Problem('slot_unavailable', { retryAfterSeconds: 1 })
      }
    },
    loaded: () => halts.loaded(),
    stop: () => {
      endTicking()
      owners.unsubscribe()
      halts.close()
    },
  }
}

const keys = new Map<Log, string[]>()

/** `accounts.3`, made once. */
function keyOf(log: Log, slot: number): string {
  let bySlot = keys.get(log)
  if (bySlot === undefined) {
    bySlot = []
    keys.set(log, bySlot)
  }
  const key = bySlot[slot] ?? `${log}.${slot}`
  bySlot[slot] = key
  return key
}
