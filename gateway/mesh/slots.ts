import { Kvm } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import { ALL_OWNERS, Bucket, type Log } from '#mesh/subjects.ts'
import { Problem } from '../problem.ts'

/** Knows which slots can be asked. */
export interface Slots {
  /** @throws Problem `slot_halted` or `slot_unavailable` */
  check(log: Log, slot: number): void
  stop(): void
}

/** An owner that has not been heard of for so long is gone, in milliseconds. */
const OWNER_MS_MAX = 2_000

interface SlotHealth {
  heardAtMs: number
  halted: boolean
}

export async function watchSlots(nats: NatsConnection, onFailure: (error: unknown) => void): Promise<Slots> {
  const slots = new Map<string, SlotHealth>()
  const startedAtMs = performance.now()
  const healthOf = (key: string): SlotHealth => {
    let health = slots.get(key)
    if (health === undefined) {
      health = { heardAtMs: startedAtMs, halted: false }
      slots.set(key, health)
    }
    return health
  }

  const owners = nats.subscribe(ALL_OWNERS, {
    callback: (error, message) => {
      if (error === null) healthOf(message.subject.slice(ALL_OWNERS.length - 1)).heardAtMs = performance.now()
    },
  })
  const bucket = await new Kvm(nats).create(Bucket.slots, { history: 5 })
  const halts = await bucket.watch()
  void (async () => {
    for await (const entry of halts) healthOf(entry.key).halted = entry.operation === 'PUT'
  })().catch(onFailure)

  return {
    check: (log, slot) => {
      const health = healthOf(keyOf(log, slot))
      if (health.halted) throw new Problem('slot_halted', { retryAfterSeconds: 30 })
      if (performance.now() - health.heardAtMs > OWNER_MS_MAX) {
        throw new Problem('slot_unavailable', { retryAfterSeconds: 1 })
      }
    },
    stop: () => {
      owners.unsubscribe()
      halts.stop()
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
  bySlot[slot] ??= `${log}.${slot}`
  return bySlot[slot]
}
