import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { followBucket } from '#mesh/buckets.ts'
import { Bucket } from '#mesh/subjects.ts'

/** Who owns which slot, as the mesh itself tells. */
export interface SlotOwners {
  /** `accounts.2` → `accounts-1`; undefined while it is being handed over. */
  ownerOf(part: string): string | undefined
  /** Grows with every owner. */
  epochOf(part: string): number
  close(): void
}

interface Lease {
  readonly instance: string
  readonly epoch: number
  readonly state: string
}

export async function followSlotOwners(nats: NatsConnection): Promise<SlotOwners> {
  const view = followBucket({ nats, bucket: Bucket.leases, log: pino({ level: 'silent' }) })
  await view.loaded()
  const leaseOf = (part: string): Lease | undefined => {
    const text = view.entries.get(part)
    return text === undefined ? undefined : (JSON.parse(text) as Lease)
  }
  return {
    ownerOf: (part) => {
      const lease = leaseOf(part)
      return lease?.state === 'held' ? lease.instance : undefined
    },
    epochOf: (part) => leaseOf(part)?.epoch ?? 0,
    close: () => view.close(),
  }
}
