import type { Logger } from 'pino'
import { type BucketEntry, type BucketStore, type Bus, streamsOf, timeOf, Unanswered } from '../bus.ts'
import { RpcError, serveRpc } from '../rpc.ts'
import type { Service } from '../service.ts'
import type { MeshShape } from '../streams.ts'
import { ALIVE_MS, Bucket, type Log, ownerSubject, slotReadSubject, sourceName } from '../subjects.ts'
import { sleep } from '../time.ts'
import { type Leases, openLeases } from './leases.ts'
import { slotCollector } from './metrics.ts'
import { SlotOwner, StepDown } from './owner.ts'
import { RecoveryTurns } from './recovery-turns.ts'
import type { Rules } from './rules.ts'
import { SlotHalt, type SlotObserver } from './slot.ts'
import type { SlotSnapshots } from './snapshots/keeper.ts'
import type { SlotMemory } from './snapshots/machine.ts'

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
  /** What that has kept. */
  readonly memory?: SlotMemory
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
/** Recoveries of a slot that may fail one after the other before the process starts anew: the bus may be away for a while. */
const RECOVERIES_MAX = 10
const RECOVERY_PAUSE_MS = 1_000

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
  const turns = new RecoveryTurns(service.instanceId, leases)
  const runners = options.slots.map((slot) => new SlotRunner(options, halts, leases, turns, slot))
  service.onStop(async () => {
    leases.leave()
    await Promise.all(runners.map((runner) => runner.stop()))
    leases.stop()
  })
  const status = (): SlotStatus[] => runners.map((runner) => runner.status())
  service.onScrape?.(slotCollector(service.nats, rules.log, status))
  const inOrder = turns.order(options.slots).map((slot) => runners[options.slots.indexOf(slot)])
  await Promise.all(inOrder.map((runner) => runner?.start()))
  options.snapshots?.follow(() => status().filter(({ state }) => state === 'running'))
  return { status }
}

const nothing = (): void => {}

/** One slot's life in this process: follow, own, follow again; or halted until an operator clears it. */
class SlotRunner<State, Item, Event> {
  readonly #options: SlotsOptions<State, Item, Event>
  readonly #halts: BucketStore
  readonly #leases: Leases
  readonly #turns: RecoveryTurns
  readonly #slot: number
  readonly #key: string
  readonly #logger: Logger
  #state: SlotStatus['state'] = 'waiting'
  #owner: SlotOwner<State, Item, Event> | undefined
  /** Ends when the slot is halted or recovered anew: what this instance has made of it is worth nothing then. */
  #life = new AbortController()
  #epoch = 0
  #stopped = false
  /** Ends what makes this instance the owner in the eyes of others. */
  #retire: (() => void) | undefined
  /** Tells the start that there is nothing more to wait for. */
  #settled: () => void = nothing

  constructor(
    options: SlotsOptions<State, Item, Event>,
    halts: BucketStore,
    leases: Leases,
    turns: RecoveryTurns,
    slot: number,
  ) {
    this.#options = options
    this.#halts = halts
    this.#leases = leases
    this.#turns = turns
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

  /** Follows the slot, or holds it halted, from here on. @throws what has failed too often */
  start(): Promise<void> {
    return this.#patiently(() => this.#begin())
  }

  async #begin(): Promise<void> {
    this.#enter('waiting')
    const followed = await this.#turns.inTurn(this.#slot, () => this.#recover())
    if (followed === undefined) return
    const { owner, life } = followed
    this.#enter('following')
    this.#leases.follows(this.#slot, true)
    const { promise: owning, resolve: owns } = Promise.withResolvers<void>()
    const settled = this.#settled
    this.#settled = () => {
      this.#settled = nothing
      settled()
      owns()
    }
    this.#live(owner, life.signal).catch((error: unknown) => {
      if (!life.signal.aborted) this.#fail(error)
    })
    // Another one holds it, or this one does and has taken over; a slot that halts meanwhile is held too.
    await this.#leases.untilHeld(this.#slot)
    if (this.#leases.holds(this.#slot)) await owning
  }

  /** Undefined when the slot is halted, from before or by this. */
  async #recover(): Promise<{ owner: SlotOwner<State, Item, Event>; life: AbortController } | undefined> {
    if (this.#stopped) return undefined
    const entry = await this.#haltPatiently()
    if (entry !== undefined) {
      this.#enter('halted')
      this.#logger.error({ entry: entry.json() }, 'slot is halted; clear it when its cause is gone')
      void this.#untilCleared()
      return undefined
    }
    this.#enter('replaying')
    const life = new AbortController()
    const owner = new SlotOwner(this.#options, this.#slot, this.#logger, (error) => {
      if (!life.signal.aborted) this.#fail(error)
    })
    this.#life = life
    this.#owner = owner
    try {
      await owner.recover()
      await owner.follow()
    } catch (error) {
      if (!(error instanceof SlotHalt)) throw error
      await this.#halt(error)
      return undefined
    }
    return { owner, life }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#owner?.stop()
    if (this.#retire !== undefined) await this.#leases.release(this.#slot)
    this.#endService()
  }

  /** Owns the slot and follows it in turn. */
  async #live(owner: SlotOwner<State, Item, Event>, signal: AbortSignal): Promise<void> {
    const isOver = (): boolean => this.#stopped || signal.aborted
    while (!isOver()) {
      this.#epoch = await this.#leases.acquire(this.#slot, signal)
      if ((await this.#haltPatiently()) !== undefined) {
        this.#life.abort()
        this.#settled()
        this.#enter('halted')
        return await this.#untilCleared()
      }
      const owning = await owner.takeOver()
      if (isOver()) return
      if (owning !== undefined) await this.#own(owner, owning.superseded)
      if (isOver()) return
      await owner.follow()
      if (isOver()) return
      this.#enter('following')
    }
  }

  /** Until the slot is another's, or should be. */
  async #own(owner: SlotOwner<State, Item, Event>, superseded: Promise<void>): Promise<void> {
    this.#enter('running')
    this.#retire = this.#serve(owner)
    this.#settled()
    const gone = await this.#untilGone(superseded)
    if (gone === undefined) return
    if (gone === 'lost') this.#endService()
    await owner.pause()
    if (gone === 'move') await this.#leases.release(this.#slot)
    this.#endService()
    this.#logger.info({ gone }, gone === 'move' ? 'slot handed over' : 'slot was taken by another instance')
  }

  async #untilGone(superseded: Promise<void>): Promise<'lost' | 'move' | undefined> {
    const enough = new AbortController()
    const signal = AbortSignal.any([enough.signal, this.#life.signal])
    try {
      return await Promise.race([this.#leases.untilGone(this.#slot, signal), superseded.then((): 'lost' => 'lost')])
    } finally {
      enough.abort()
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

  #endService(): void {
    this.#retire?.()
    this.#retire = undefined
  }

  #enter(next: SlotStatus['state']): void {
    this.#state = next
    const ready = next === 'running' || next === 'following' || next === 'halted'
    this.#options.service.ready(`slot ${sourceName(this.#options.rules.log, this.#slot)}`, ready, next)
  }

  #fail(error: unknown): void {
    if (this.#stopped) return
    const { fail } = this.#options.service
    if (error instanceof SlotHalt) void this.#halt(error).catch(fail)
    else if (error instanceof StepDown || error instanceof Unanswered) void this.#recoverAlone(error).catch(fail)
    else fail(error)
  }

  /** Forgets what is known of this slot and reads its log again, while the others of this process go on. */
  async #recoverAlone(why: Error): Promise<void> {
    this.#logger.warn({ err: why }, 'slot is recovered from its log')
    this.#leases.follows(this.#slot, false)
    this.#life.abort()
    const owner = this.#owner
    const isWrong = this.#state === 'halted' || this.#state === 'differs'
    this.#enter('waiting')
    try {
      if (!isWrong) await this.#patiently(async () => await owner?.assureLog())
      await owner?.stop()
      if (this.#retire !== undefined) await this.#leases.release(this.#slot)
      this.#endService()
      await this.start()
    } catch (error) {
      if (!(error instanceof SlotHalt)) throw error
      await this.#halt(error)
    }
  }

  /** @throws SlotHalt, or what has failed too often */
  async #patiently(work: () => Promise<void>): Promise<void> {
    for (let tries = 1; !this.#stopped; tries++) {
      try {
        return await work()
      } catch (error) {
        if (error instanceof SlotHalt || tries >= RECOVERIES_MAX) throw error
        await this.#owner?.stop()
        this.#logger.warn({ err: error, tries }, 'slot cannot be recovered yet')
        await sleep(timeOf(this.#options.service.nats), RECOVERY_PAUSE_MS)
      }
    }
  }

  async #halt(error: SlotHalt): Promise<void> {
    this.#life.abort()
    this.#leases.follows(this.#slot, false)
    const isOthers = await this.#leases.isOthers(this.#slot)
    await this.#owner?.stop()
    this.#endService()
    if (isOthers) return await this.#keepOut(error)
    this.#enter('halted')
    this.#settled()
    this.#logger.fatal({ err: error, code: error.code }, 'slot halted')
    const entry: HaltEntry = {
      state: 'halted',
      code: error.code,
      reason: error.message,
      sequence: this.#owner?.fold.applied[0] ?? 0,
      at: new Date(timeOf(this.#options.service.nats).wallMs()).toISOString(),
      instance: this.#options.service.instanceId,
    }
    // What was found lies in this process alone until it is written: it must not be forgotten because the bus is away.
    await this.#asOftenAsNeeded(() => this.#halts.put(this.#key, JSON.stringify(entry)))
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
      if (!this.#stopped) this.#fail(new StepDown(`Slot ${this.#key} has no owner.`))
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
  #haltPatiently(): Promise<BucketEntry | undefined> {
    return this.#asOftenAsNeeded(() => this.#halted())
  }

  async #asOftenAsNeeded<Result>(work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (this.#stopped) throw error
        await sleep(timeOf(this.#options.service.nats), RETRY_MS)
      }
    }
  }

  /** Recovers the slot when an operator has cleared it. */
  async #untilCleared(): Promise<void> {
    for (;;) {
      await sleep(timeOf(this.#options.service.nats), HALTED_LOOK_MS)
      if (this.#stopped) return
      const halted = await this.#isHalted().catch(() => true)
      if (!halted) return this.#fail(new StepDown(`Slot ${this.#key} was cleared.`))
    }
  }
}
