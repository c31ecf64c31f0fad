import type { JetStreamManager } from '@nats-io/jetstream'
import type { KV } from '@nats-io/kv'
import { openBucket } from '../buckets.ts'
import { RpcError, serveRpc } from '../rpc.ts'
import type { Service } from '../service.ts'
import type { MeshShape } from '../streams.ts'
import { ensureStreams } from '../streams.ts'
import { Bucket, type Log, ownerSubject, slotReadSubject, sourceName } from '../subjects.ts'
import { SlotOwner } from './owner.ts'
import type { Rules } from './rules.ts'
import { SlotHalt, type SlotObserver } from './slot.ts'

export interface SlotsOptions<State, Item, Event> {
  readonly service: Service
  readonly rules: Rules<State, Item, Event>
  /** The slots of this process. */
  readonly slots: readonly number[]
  /** All slots of the mesh; the streams remember them from the first start. */
  readonly shape: MeshShape
  /** Sees every event in order, also in a replay, for what is kept outside the state. */
  readonly observe?: SlotObserver<Event>
  /** Answers reads from memory. */
  readonly answerRead?: (slot: number, state: State, request: unknown, timeUs: number) => object
  /** Whether a read first waits until everything that is stored in the slot's log when it begins is applied. */
  readonly readBarrier?: boolean
}

export interface RunningSlots {
  /** What `/health/ready` and the tests want to know. */
  status(): readonly SlotStatus[]
}

export interface SlotStatus {
  readonly log: Log
  readonly slot: number
  readonly state: 'waiting' | 'replaying' | 'running' | 'halted'
  readonly appliedSequence: number
  readonly hash: number
}

/** What the bucket `slots` holds of a halted slot, under `<log>.<slot>`. */
export interface HaltEntry {
  readonly state: 'halted'
  readonly code: string
  readonly reason: string
  readonly sequence: number
  readonly at: string
  readonly instance: string
}

export const HEARTBEAT_MS = 300
/** An owner that answers nothing for so long is taken for dead. */
const OWNER_SILENT_MS = 1_200

/** Owner of a slot, asked by who wants to become it. */
const ownerQuestion = (log: Log, slot: number): string => `rpc.${log}.${slot}.owner`

/**
 * Runs a machine over its slots: recovers each from its log, then applies what comes, stores the frames and sends what they cause.
 * Resolves when all slots run (or are halted, or wait for another owner to go).
 */
export async function runSlots<State, Item, Event>(options: SlotsOptions<State, Item, Event>): Promise<RunningSlots> {
  const { service } = options
  const manager = await ensureStreams(service.nats, options.shape)
  const halts = await openBucket(service.nats, Bucket.slots)
  const status = new Map<number, () => SlotStatus>()

  const started = options.slots.map((slot) => runSlot(options, manager, halts, slot, status))
  await Promise.all(started)
  return { status: () => [...status.values()].map((read) => read()) }
}

async function runSlot<State, Item, Event>(
  options: SlotsOptions<State, Item, Event>,
  manager: JetStreamManager,
  halts: KV,
  slot: number,
  status: Map<number, () => SlotStatus>,
): Promise<void> {
  const { service, rules } = options
  const name = sourceName(rules.log, slot)
  const key = `${rules.log}.${slot}`
  const log = service.log.child({ slot: name })
  const check = `slot ${name}`
  let state: SlotStatus['state'] = 'waiting'
  let owner: SlotOwner<State, Item, Event> | undefined
  const current = (): SlotStatus => ({
    log: rules.log,
    slot,
    state,
    appliedSequence: owner?.fold.applied[0] ?? 0,
    hash: owner?.fold.hash ?? 0,
  })
  status.set(slot, current)
  const enter = (next: SlotStatus['state']): void => {
    state = next
    service.ready(check, next === 'running' || next === 'halted', next)
  }
  enter('waiting')

  const halt = async (error: SlotHalt): Promise<void> => {
    enter('halted')
    log.fatal({ err: error, code: error.code }, 'slot halted')
    const entry: HaltEntry = {
      state: 'halted',
      code: error.code,
      reason: error.message,
      sequence: owner?.fold.applied[0] ?? 0,
      at: new Date().toISOString(),
      instance: service.instanceId,
    }
    await halts.put(key, JSON.stringify(entry))
  }

  const entry = await halts.get(key)
  if (entry !== null && entry.operation === 'PUT') {
    enter('halted')
    log.error({ entry: entry.json() }, 'slot is halted; clear it when its cause is gone')
    return
  }
  await waitForOwnerToGo(service, rules.log, slot)

  enter('replaying')
  owner = new SlotOwner(options, manager, slot, log, (error) => {
    if (error instanceof SlotHalt) void halt(error).catch(service.fail)
    else service.fail(error)
  })
  const running = owner
  serveRpc(service.nats, ownerQuestion(rules.log, slot), undefined, async () => ({ instance: service.instanceId }))
  try {
    await running.recover()
  } catch (error) {
    if (!(error instanceof SlotHalt)) throw error
    await halt(error)
    return
  }
  enter('running')

  const heartbeat = setInterval(() => {
    if (state !== 'running' || service.nats.isClosed()) return
    service.nats.publish(
      ownerSubject(rules.log, slot),
      JSON.stringify({ instance: service.instanceId, sequence: running.fold.applied[0], timeUs: running.fold.timeUs }),
    )
  }, HEARTBEAT_MS)
  const { answerRead } = options
  if (answerRead !== undefined) {
    serveRpc(service.nats, slotReadSubject(rules.log, slot), undefined, async (request) => {
      if (options.readBarrier === true) await running.barrier()
      if (state !== 'running') throw new RpcError('slot_halted', `Slot ${name} is halted.`)
      return answerRead(slot, running.fold.state, request, running.fold.timeUs)
    })
  }
  service.onStop(async () => {
    clearInterval(heartbeat)
    await running.stop()
  })
  running.start()
}

/** Leaves the slot to an owner that is alive. Without one the bus says so at once; one that is silent is taken for dead. */
async function waitForOwnerToGo(service: Service, log: Log, slot: number): Promise<void> {
  for (;;) {
    try {
      await service.nats.request(ownerQuestion(log, slot), '', { timeout: OWNER_SILENT_MS })
    } catch {
      return
    }
    await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS))
  }
}
