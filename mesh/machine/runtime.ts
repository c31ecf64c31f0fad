import type { Logger } from 'pino'
import { type BucketEntry, type BucketStore, type Bus, streamsOf, timeOf } from '../bus.ts'
import { RpcError, serveRpc } from '../rpc.ts'
import type { Service } from '../service.ts'
import type { MeshShape } from '../streams.ts'
import { ALIVE_MS, Bucket, type Log, ownerSubject, slotReadSubject, sourceName } from '../subjects.ts'
import { sleep } from '../time.ts'
import { type Leases, openLeases } from './leases.ts'
import { slotCollector } from './metrics.ts'
import { SlotOwner } from './owner.ts'
import type { Rules } from './rules.ts'
import { SlotHalt, type SlotObserver } from './slot.ts'
import type { SlotSnapshots } from './snapshots/keeper.ts'

/** What a machine needs of the process that it runs in. */
export type MachineHost = Pick<Service, 'instanceId' | 'log' | 'onStop' | 'ready' | 'fail'> &
  Partial<Pick<Service, 'onScrape'>> & { readonly nats: Bus }

export interface SlotsOptions<State, Item, Event> {
  readonly service: MachineHost
  readonly rules: Rules<State, Item, Event>
  /** The slots of this process. */
  readonly slots: readonly number[]
  /** All slots of the mesh; the streams remember them from the first start. */
  readonly shape: MeshShape
  /** Sees every event in order, also in a replay, for what is kept outside the state. */
  readonly observe?: SlotObserver<Event>
  /** Answers reads from memory. */
  readonly answerRead?: (slot: number, state: State, request: unknown, timeUs: number) => object
  /** Where recovery begins, and what is taken while the slots run. Without them it begins with the log. */
  readonly snapshots?: SlotSnapshots<State, Item, Event> | undefined
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
  /** `differs`: this instance makes something else of the log than the owner, and keeps out of it. */
  readonly state: 'waiting' | 'replaying' | 'following' | 'running' | 'halted' | 'differs'
  readonly epoch: number
  readonly appliedSequence: number
  /** Items applied since the log began. */
  readonly itemsCount: number
  /** Messages that were read and are not applied. */
  readonly queuedCount: number
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

/** How often a halted slot is looked at again. */
const HALTED_LOOK_MS = 1_000
const RETRY_MS = 100
/** A cleared slot's last owner starts anew at once, the others so much later: until then they run what else it had. */
const OTHERS_AFTER_MS = 5_000

/**
 * Runs a machine over its slots: recovers each from its log and follows it; owns those whose turn it is, stores their frames
 * and sends what they cause. Slots go round the instances that run the log.
 * Resolves when every slot is followed, owned or halted.
 */
export async function runSlots<State, Item, Event>(options: SlotsOptions<State, Item, Event>): Promise<RunningSlots> {
  const { service, rules } = options
  const streams = streamsOf(service.nats)
  await streams.ensure(options.shape)
  const halts = await streams.bucket(Bucket.slots, options.shape.replicas)
  const leases = await openLeases({
    nats: service.nats,
    log: rules.log,
    instanceId: service.instanceId,
    logger: service.log,
    replicas: options.shape.replicas,
  })
  const runners = options.slots.map((slot) => new SlotRunner(options, halts, leases, slot))
  service.onStop(async () => {
    leases.leave()
    await Promise.all(runners.map((runner) => runner.stop()))
    leases.stop()
  })
  const status = (): SlotStatus[] => runners.map((runner) => runner.status())
  service.onScrape?.(slotCollector(service.nats, rules.log, status))
  await Promise.all(runners.map((runner) => runner.start()))
  options.snapshots?.follow(() => status().filter(({ state }) => state === 'running'))
  return { status }
}

/** One slot's life in this process: follow, own, follow again; or halted until an operator clears it. */
class SlotRunner<State, Item, Event> {
  readonly #options: SlotsOptions<State, Item, Event>
  readonly #halts: BucketStore
  readonly #leases: Leases
  readonly #slot: number
  readonly #key: string
  readonly #logger: Logger
  #state: SlotStatus['state'] = 'waiting'
  #owner: SlotOwner<State, Item, Event> | undefined
  #epoch = 0
  #stopped = false
  /** Ends what makes this instance the owner in the eyes of others. */
  #retire: (() => void) | undefined
  /** Tells the start that there is nothing more to wait for. */
  #settled: () => void = () => {}

  constructor(options: SlotsOptions<State, Item, Event>, halts: BucketStore, leases: Leases, slot: number) {
    this.#options = options
    this.#halts = halts
    this.#leases = leases
    this.#slot = slot
    this.#key = `${options.rules.log}.${slot}`
    this.#logger = options.service.log.child({ slot: sourceName(options.rules.log, slot) })
  }

  status(): SlotStatus {
    return {
      log: this.#options.rules.log,
      slot: this.#slot,
      state: this.#state,
      epoch: this.#epoch,
      appliedSequence: this.#owner?.fold.applied[0] ?? 0,
      itemsCount: this.#owner?.fold.itemsCount ?? 0,
      queuedCount: this.#owner?.queuedCount ?? 0,
      hash: this.#owner?.fold.hash ?? 0,
    }
  }

  async start(): Promise<void> {
    this.#enter('waiting')
    const entry = await this.#haltPatiently()
    if (entry !== undefined) {
      this.#enter('halted')
      this.#logger.error({ entry: entry.json() }, 'slot is halted; clear it when its cause is gone')
      void this.#untilCleared()
      return
    }
    this.#enter('replaying')
    const owner = new SlotOwner(this.#options, this.#slot, this.#logger, (error) => this.#fail(error))
    this.#owner = owner
    try {
      await owner.recover()
      await owner.follow()
    } catch (error) {
      if (!(error instanceof SlotHalt)) throw error
      await this.#halt(error)
      return
    }
    this.#enter('following')
    this.#leases.follows(this.#slot, true)
    const { promise: owning, resolve: owns } = Promise.withResolvers<void>()
    this.#settled = owns
    this.#live(owner).catch((error: unknown) => this.#fail(error))
    // Another one holds it, or this one does and has taken over; a slot that halts meanwhile is held too.
    await this.#leases.untilHeld(this.#slot)
    if (this.#leases.holds(this.#slot)) await owning
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#owner?.stop()
    if (this.#retire !== undefined) await this.#leases.release(this.#slot)
    this.#retire?.()
  }

  async #live(owner: SlotOwner<State, Item, Event>): Promise<void> {
    while (!this.#stopped) {
      this.#epoch = await this.#leases.acquire(this.#slot)
      if ((await this.#haltPatiently()) !== undefined) {
        this.#settled()
        this.#enter('halted')
        return await this.#untilCleared()
      }
      await owner.takeOver()
      this.#enter('running')
      this.#retire = this.#serve(owner)
      this.#settled()
      const gone = await this.#leases.untilGone(this.#slot)
      if (gone === undefined || this.#stopped || this.#state === 'halted') return
      if (gone === 'lost') {
        await owner.assureLog()
        throw new Error(`Slot ${this.#key} was taken by another instance.`)
      }
      await owner.pause()
      await this.#leases.release(this.#slot)
      if (this.status().state === 'halted') return
      this.#retire?.()
      this.#retire = undefined
      this.#logger.info('slot handed over')
      await owner.follow()
      this.#enter('following')
    }
  }

  /** Answers reads and tells that the slot has an owner, until the returned function is called. */
  #serve(owner: SlotOwner<State, Item, Event>): () => void {
    const { service, rules, answerRead, readBarrier } = this.#options
    const subject = ownerSubject(rules.log, this.#slot)
    const tell = (): void => {
      if (this.#state !== 'running' || service.nats.isClosed()) return
      const { applied, timeUs } = owner.fold
      const sign = { instance: service.instanceId, epoch: this.#epoch, sequence: applied[0], timeUs }
      service.nats.publish(subject, JSON.stringify(sign))
    }
    tell()
    const endHeartbeat = timeOf(service.nats).every(ALIVE_MS, tell)
    const reads =
      answerRead === undefined
        ? undefined
        : serveRpc(service.nats, slotReadSubject(rules.log, this.#slot), undefined, async (request) => {
            if (readBarrier === true) await owner.barrier()
            if (this.#state !== 'running') throw new RpcError('slot_unavailable', `Slot ${this.#key} has moved.`)
            return answerRead(this.#slot, owner.fold.state, request, owner.fold.timeUs)
          })
    return () => {
      endHeartbeat()
      if (!service.nats.isClosed()) reads?.drain().catch(() => {})
    }
  }

  #enter(next: SlotStatus['state']): void {
    this.#state = next
    const ready = next === 'running' || next === 'following' || next === 'halted'
    this.#options.service.ready(`slot ${sourceName(this.#options.rules.log, this.#slot)}`, ready, next)
  }

  #fail(error: unknown): void {
    if (this.#stopped) return
    if (error instanceof SlotHalt) void this.#halt(error).catch(this.#options.service.fail)
    else this.#options.service.fail(error)
  }

  async #halt(error: SlotHalt): Promise<void> {
    this.#leases.follows(this.#slot, false)
    if (await this.#leases.isOthers(this.#slot)) return await this.#keepOut(error)
    this.#enter('halted')
    this.#settled()
    this.#retire?.()
    this.#retire = undefined
    this.#logger.fatal({ err: error, code: error.code }, 'slot halted')
    const entry: HaltEntry = {
      state: 'halted',
      code: error.code,
      reason: error.message,
      sequence: this.#owner?.fold.applied[0] ?? 0,
      at: new Date(timeOf(this.#options.service.nats).wallMs()).toISOString(),
      instance: this.#options.service.instanceId,
    }
    await this.#halts.put(this.#key, JSON.stringify(entry))
    void this.#untilCleared()
  }

  /** Not the owner's trouble: if it is, the owner will find out and halt the slot itself. */
  async #keepOut(error: SlotHalt): Promise<void> {
    this.#enter('differs')
    this.#settled()
    this.#logger.fatal({ err: error, code: error.code }, 'this instance cannot follow the slot, its owner goes on')
    const time = timeOf(this.#options.service.nats)
    void (async () => {
      while (!this.#stopped && (await this.#leases.isOthers(this.#slot))) {
        if (await this.#isHalted().catch(() => false)) {
          this.#enter('halted')
          return await this.#untilCleared()
        }
        await sleep(time, HALTED_LOOK_MS)
      }
      if (!this.#stopped) this.#options.service.fail(new Error(`Slot ${this.#key} has no owner; recovering it.`))
    })()
  }

  async #halted(): Promise<BucketEntry | undefined> {
    const entry = await this.#halts.get(this.#key)
    return entry !== null && entry.operation === 'PUT' ? entry : undefined
  }

  async #isHalted(): Promise<boolean> {
    return (await this.#halted()) !== undefined
  }

  /** While the bucket has no leader nobody knows, and the slot waits. */
  async #haltPatiently(): Promise<BucketEntry | undefined> {
    for (;;) {
      try {
        return await this.#halted()
      } catch (error) {
        if (this.#stopped) throw error
        await sleep(timeOf(this.#options.service.nats), RETRY_MS)
      }
    }
  }

  /** A slot that an operator has cleared is recovered by a process that starts anew. */
  async #untilCleared(): Promise<void> {
    for (;;) {
      await sleep(timeOf(this.#options.service.nats), HALTED_LOOK_MS)
      if (this.#stopped) return
      const halted = await this.#isHalted().catch(() => true)
      if (halted) continue
      if (!this.#leases.holds(this.#slot)) await sleep(timeOf(this.#options.service.nats), OTHERS_AFTER_MS)
      return this.#fail(new Error(`Slot ${this.#key} was cleared; recovering it.`))
    }
  }
}
