import { setTimeout as sleep } from 'node:timers/promises'
import { JetStreamApiCodes, JetStreamApiError, jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import type { Block } from '#mesh/protocol/guid.ts'
import { RpcError } from '#mesh/rpc.ts'
import { Bucket, GUID_BOUND_SUBJECT } from '#mesh/subjects.ts'
import { boundSeen, busWasAway, leaseTaken, newLeaser, planLease, takeBlock } from './domain/lease.ts'

export interface Allocator {
  /** Up to `count` ids. @throws RpcError `guid_unavailable` */
  block(count: number): Promise<Block>
  /** Leases ahead of the first question. */
  warmUp(): Promise<void>
}

export interface AllocatorParts {
  readonly nats: NatsConnection
  readonly log: Logger
  readonly replicas: number
  /** Milliseconds since 1970; never falls within a process. */
  readonly clock: () => number
  /** 0 to 1, another one in each process. */
  readonly salt: number
}

/** How long a request waits for a lease, in milliseconds. */
const LEASE_WAIT_MS_MAX = 5_000
/** What is sent while the bus is away is lost: the wait for its answer is short. */
const ANSWER_MS_MAX = 1_000
const RETRY_MS = 100
const BOUND_KEY = 'bound'

/** Gives out blocks by the rules of domain/lease.ts, on the bound in the bucket `guid`. */
export function createAllocator({ nats, log, replicas, clock, salt }: AllocatorParts): Allocator {
  const leaser = newLeaser(salt)
  let bucket: KV | undefined
  let leasing: Promise<void> | undefined

  const lease = (): Promise<void> => {
    leasing ??= tryLease().finally(() => {
      leasing = undefined
    })
    return leasing
  }
  const tryLease = async (): Promise<void> => {
    try {
      bucket ??= await new Kvm(jetstream(nats, { timeout: ANSWER_MS_MAX })).create(Bucket.guid, {
        history: 1,
        replicas,
        allow_direct: false,
      })
      const entry = await bucket.get(BOUND_KEY)
      const bound = entry === null || entry.operation !== 'PUT' ? 1 : parseBound(entry.string())
      const plan = planLease(leaser, bound, clock())
      if (plan.kind === 'wait') return void (await sleep(plan.ms))
      await bucket.put(BOUND_KEY, String(plan.end), { previousSeq: entry?.revision ?? 0 })
      // Whether the bound is what was read before the bus was away is not known: the range is left to nobody.
      if (leaser.doubt) return
      leaseTaken(leaser, plan, clock())
      nats.publish(GUID_BOUND_SUBJECT, String(plan.end))
    } catch (error) {
      if (isOvertaken(error)) return void (await sleep(Math.random() * 5))
      bucket = undefined
      log.warn({ err: error }, 'no lease of ids')
      await sleep(RETRY_MS)
    }
  }

  nats.subscribe(GUID_BOUND_SUBJECT, {
    callback: (error, message) => {
      if (!error) boundSeen(leaser, parseBound(message.string()))
    },
  })
  void (async () => {
    for await (const { type } of nats.status()) {
      if (type === 'disconnect' || type === 'staleConnection') busWasAway(leaser)
      if (type !== 'reconnect') continue
      busWasAway(leaser)
      void lease()
    }
  })()

  return {
    async block(count) {
      const deadlineMs = performance.now() + LEASE_WAIT_MS_MAX
      for (;;) {
        const block = takeBlock(leaser, count, clock())
        if (block !== undefined) return block
        if (performance.now() > deadlineMs) throw new RpcError('guid_unavailable', 'No lease of ids could be had.')
        await lease()
      }
    },
    async warmUp() {
      while (leaser.lease === undefined && !nats.isClosed()) await lease()
    },
  }
}

/** A wall clock that does not fall while the process runs, and follows when it is set forward. */
export function risingClock(): () => number {
  let last = 0
  return () => {
    last = Math.max(last, performance.timeOrigin + performance.now(), Date.now())
    return last
  }
}

function parseBound(text: string): number {
  const bound = Number(text)
  if (!Number.isSafeInteger(bound) || bound < 1) throw new Error(`The bound of ids is "${text}".`)
  return bound
}

const isOvertaken = (error: unknown): boolean =>
  error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence
