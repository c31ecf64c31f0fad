import type { NatsConnection } from '@nats-io/transport-node'
import { openBucket } from '../buckets.ts'
import { Bucket, Log } from '../subjects.ts'
import type { HaltEntry } from './runtime.ts'

export interface HaltedSlot extends HaltEntry {
  readonly log: Log
  readonly slot: number
}

/** Every slot that is halted, for those who look after the exchange. */
export async function haltedSlots(nats: NatsConnection): Promise<HaltedSlot[]> {
  const bucket = await openBucket(nats, Bucket.slots)
  const keys: string[] = []
  for await (const key of await bucket.keys()) keys.push(key)
  const halted: HaltedSlot[] = []
  for (const key of keys.sort()) {
    const entry = await bucket.get(key)
    const [name, slot] = key.split('.')
    const log = Object.values(Log).find((one) => one === name)
    if (entry?.operation === 'PUT' && log !== undefined) {
      halted.push({ ...entry.json<HaltEntry>(), log, slot: Number(slot) })
    }
  }
  return halted
}

/** Halts a slot from outside: nobody takes it over, and gateways refuse what is for it. False when it is halted already. */
export async function haltSlot(
  nats: NatsConnection,
  log: Log,
  slot: number,
  halt: Omit<HaltEntry, 'state' | 'at'>,
): Promise<boolean> {
  const bucket = await openBucket(nats, Bucket.slots)
  const entry = await bucket.get(`${log}.${slot}`)
  if (entry?.operation === 'PUT') return false
  await bucket.put(`${log}.${slot}`, JSON.stringify({ ...halt, state: 'halted', at: new Date().toISOString() }))
  return true
}

/**
 * Lets a halted slot go on: its last owner recovers it from its log, and then the others do. If the cause is still there, it
 * halts again. Returns what was cleared; undefined when the slot is not halted.
 */
export async function clearSlot(nats: NatsConnection, log: Log, slot: number): Promise<HaltedSlot | undefined> {
  const halted = (await haltedSlots(nats)).find((one) => one.log === log && one.slot === slot)
  if (halted === undefined) return undefined
  const bucket = await openBucket(nats, Bucket.slots)
  await bucket.delete(`${log}.${slot}`)
  return halted
}
