import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { type BucketView, followBucket } from '../buckets.ts'
import { type BucketStore, type Bus, streamsOf, timeOf } from '../bus.ts'
import { ALIVE_MS, aliveSubject, Bucket } from '../subjects.ts'
import { sleep, type Time } from '../time.ts'

/** Who may run a slot. Written by compare-and-set; good for liveness only, the frames' own compare-and-set keeps order. */
interface LeaseEntry {
  readonly instance: string
  /** Of the instance's process: its successor has the same name. */
  readonly life?: string
  /** Grows with every owner. */
  readonly epoch: number
  /** `released`: its owner has let go after its last frame; `to` is who should take it. */
  readonly state: 'held' | 'released'
  readonly to?: string
}

interface Alive {
  readonly instance: string
  readonly life?: string
  /** Slots that it follows closely enough to take over at once. */
  readonly following: readonly number[]
}

/**
 * An instance that was not heard of for so long is taken for dead: by this process's own monotonic clock, without the times in which
 * it did not hear itself. Who stood still, or whose bus did, takes nobody for dead for that.
 */
const SILENT_MS_MAX = 1_200
const DECIDE_MS = 100
/** A newcomer gets slots of others only when it has been there for so long, so that a crash loop moves nothing. */
const SETTLED_MS = 2_000

/** `self`: this instance, be it before a restart. `other`: another one that lives. */
export type Holder = 'self' | 'other' | 'nobody'

/** The slots of one log, or of whatever else is shared out by name, among the instances that run it. */
export interface Leases {
  /** Resolves with the epoch when this instance may run the slot: nobody does, and it is this one's turn. Never after the signal. */
  acquire(slot: number, signal?: AbortSignal): Promise<number>
  /** Resolves when an instance that lives holds the slot, this one or another. */
  untilHeld(slot: number): Promise<void>
  /** Whether this instance holds it, as far as it knows. */
  holds(slot: number): boolean
  /** Who has held it last, as far as this instance knows. */
  holder(slot: number): Holder
  /** Whether another instance that lives holds it. Where one is named, it listens long enough to know who lives. */
  isOthers(slot: number): Promise<boolean>
  /** `lost`: somebody else has taken it. `move`: it should go to another instance. Undefined when the process stops, or at the signal. */
  untilGone(slot: number, signal?: AbortSignal): Promise<'lost' | 'move' | undefined>
  /** Lets go of a slot, for whoever should have it; when this process stops, for one of the others. */
  release(slot: number): Promise<void>
  /** From here on every slot should go to the others. */
  leave(): void
  /** Whether this instance could take over the slot at once. */
  follows(slot: number, yes: boolean): void
  stop(): void
}

export async function openLeases(options: {
  readonly nats: Bus
  readonly log: string
  readonly instanceId: string
  readonly logger: Logger
  readonly replicas?: number | undefined
}): Promise<Leases> {
  const { nats, log, instanceId, logger, replicas = 1 } = options
  const kv = await streamsOf(nats).bucket(Bucket.leases, replicas)
  const wakes = new Set<() => void>()
  const wake = (): void => {
    for (const each of [...wakes]) each()
  }
  const view = followBucket({ nats, bucket: Bucket.leases, replicas, log: logger, changed: wake })
  await view.loaded()
  return new LeaseTable(nats, kv, view, log, instanceId, logger, wakes)
}

interface Heard {
  readonly life: string | undefined
  readonly sinceMs: number
  atMs: number
  readonly following: ReadonlySet<number>
}

class LeaseTable implements Leases {
  readonly #nats: Bus
  readonly #kv: BucketStore
  readonly #view: BucketView
  readonly #log: string
  readonly #instanceId: string
  readonly #logger: Logger
  readonly #wakes: Set<() => void>
  /** The other instances. */
  readonly #heard = new Map<string, Heard>()
  readonly #life = randomUUID()
  readonly #following = new Set<number>()
  readonly #time: Time
  readonly #timers: (() => void)[]
  readonly #startedAtMs: number
  /** When this instance has last heard itself through the bus. What it has not heard until then was not said. */
  #echoAtMs: number
  #stopped = false
  #leaving = false

  constructor(
    nats: Bus,
    kv: BucketStore,
    view: BucketView,
    log: string,
    instanceId: string,
    logger: Logger,
    wakes: Set<() => void>,
  ) {
    this.#nats = nats
    this.#time = timeOf(nats)
    this.#startedAtMs = this.#time.nowMs()
    this.#echoAtMs = this.#startedAtMs
    this.#kv = kv
    this.#view = view
    this.#log = log
    this.#instanceId = instanceId
    this.#logger = logger
    this.#wakes = wakes
    const hearing = nats.subscribe(aliveSubject(log), {
      callback: (error, message) => {
        if (!error) this.#hear(message.json<Alive>())
      },
    })
    this.#timers = [
      () => hearing.unsubscribe(),
      this.#time.every(ALIVE_MS, () => this.#beat()),
      this.#time.every(DECIDE_MS, () => {
        for (const each of [...wakes]) each()
      }),
    ]
    this.#beat()
  }

  async acquire(slot: number, signal?: AbortSignal): Promise<number> {
    for (;;) {
      if (this.#stopped || signal?.aborted) return await new Promise(() => {})
      const entry = this.#entry(slot)
      if (this.#mayTake(slot, entry)) {
        const epoch = (entry?.epoch ?? 0) + 1
        const mine = { instance: this.#instanceId, life: this.#life, epoch, state: 'held' } as const
        if (await this.#put(slot, mine, entry)) {
          this.#logger.info({ slot: `${this.#log}-${slot}`, epoch, after: entry?.instance }, 'slot acquired')
          return epoch
        }
      }
      await this.#change()
    }
  }

  async untilHeld(slot: number): Promise<void> {
    for (;;) {
      const entry = this.#entry(slot)
      if (this.#stopped || (entry?.state === 'held' && this.#holderLives(entry))) return
      await this.#change()
    }
  }

  holds(slot: number): boolean {
    const entry = this.#entry(slot)
    return entry?.state === 'held' && this.#isMine(entry)
  }

  holder(slot: number): Holder {
    const entry = this.#entry(slot)
    if (entry?.instance === this.#instanceId) return 'self'
    return entry?.state === 'held' && this.#holderLives(entry) ? 'other' : 'nobody'
  }

  async isOthers(slot: number): Promise<boolean> {
    const entry = this.#entry(slot)
    if (entry?.state !== 'held' || entry.instance === this.#instanceId) return false
    const listenedMs = this.#time.nowMs() - this.#startedAtMs
    if (listenedMs < SILENT_MS_MAX) await sleep(this.#time, SILENT_MS_MAX - listenedMs)
    return this.holder(slot) === 'other'
  }

  async untilGone(slot: number, signal?: AbortSignal): Promise<'lost' | 'move' | undefined> {
    for (;;) {
      if (this.#stopped || signal?.aborted) return undefined
      const entry = this.#entry(slot)
      // A bucket that the server lost says nothing about who owns what.
      if (entry !== undefined && (!this.#isMine(entry) || entry.state !== 'held')) return 'lost'
      const preferred = this.#preferred(slot, SETTLED_MS)
      if (preferred !== undefined && preferred !== this.#instanceId) return 'move'
      await this.#change()
    }
  }

  async release(slot: number): Promise<void> {
    const entry = this.#entry(slot)
    if (entry === undefined || !this.#isMine(entry)) return
    const to = this.#preferred(slot, 0)
    await this.#put(slot, { ...entry, state: 'released', ...(to === undefined ? {} : { to }) }, entry)
  }

  leave(): void {
    this.#following.clear()
    this.#leaving = true
    this.#beat()
  }

  follows(slot: number, yes: boolean): void {
    if (this.#leaving) return
    if (yes === this.#following.has(slot)) return
    if (yes) this.#following.add(slot)
    else this.#following.delete(slot)
    this.#beat()
  }

  stop(): void {
    this.#stopped = true
    for (const cancel of this.#timers) cancel()
    for (const each of [...this.#wakes]) each()
    this.#view.close()
  }

  #beat(): void {
    if (this.#nats.isClosed()) return
    const alive: Alive = { instance: this.#instanceId, life: this.#life, following: [...this.#following] }
    this.#nats.publish(aliveSubject(this.#log), JSON.stringify(alive))
  }

  #hear({ instance, life, following }: Alive): void {
    const nowMs = this.#time.nowMs()
    if (instance === this.#instanceId) {
      const deafMs = nowMs - this.#echoAtMs - ALIVE_MS
      // Whose signs were lost on the same way as this one's own is as alive as he was before.
      if (deafMs > ALIVE_MS) for (const other of this.#heard.values()) other.atMs = Math.min(nowMs, other.atMs + deafMs)
      this.#echoAtMs = nowMs
      return
    }
    const known = this.#heard.get(instance)
    const isBack = known === undefined || known.life !== life || this.#echoAtMs - known.atMs > SILENT_MS_MAX
    const sinceMs = isBack ? nowMs : known.sinceMs
    this.#heard.set(instance, { life, sinceMs, atMs: nowMs, following: new Set(following) })
  }

  /** In the order of their names: all instances see the same. */
  #living(settledMs: number): [instance: string, following: ReadonlySet<number>][] {
    const nowMs = this.#time.nowMs()
    const living: [string, ReadonlySet<number>][] = [[this.#instanceId, this.#following]]
    for (const [instance, { sinceMs, atMs, following }] of this.#heard) {
      if (this.#echoAtMs - atMs > SILENT_MS_MAX) this.#heard.delete(instance)
      else if (nowMs - sinceMs >= settledMs) living.push([instance, following])
    }
    return living.sort(([a], [b]) => (a < b ? -1 : 1))
  }

  #lives(instance: string): boolean {
    return this.#living(0).some(([name]) => name === instance)
  }

  #isMine({ instance, life = this.#life }: LeaseEntry): boolean {
    return instance === this.#instanceId && life === this.#life
  }

  #holderLives(entry: LeaseEntry): boolean {
    if (entry.instance === this.#instanceId) return this.#isMine(entry)
    return this.#lives(entry.instance) && !this.#isSucceeded(entry)
  }

  /** Whether another process has taken up the holder's name: the holder is dead then, however short the silence was. */
  #isSucceeded({ instance, life }: LeaseEntry): boolean {
    const now = this.#heard.get(instance)?.life
    return life !== undefined && now !== undefined && life !== now
  }

  /** Whose turn it is: slots go round the living instances that follow them. */
  #preferred(slot: number, settledMs: number): string | undefined {
    const candidates = this.#living(settledMs).filter(([, following]) => following.has(slot))
    return candidates[slot % candidates.length]?.[0]
  }

  #mayTake(slot: number, entry: LeaseEntry | undefined): boolean {
    if (!this.#following.has(slot)) return false
    // Its own, from before a restart.
    if (entry?.instance === this.#instanceId && entry.state === 'held') return true
    if (entry?.state === 'released' && entry.to !== undefined && this.#lives(entry.to))
      return entry.to === this.#instanceId
    if (entry?.state === 'held') {
      const listenedMs = this.#echoAtMs - this.#startedAtMs
      if (this.#holderLives(entry)) return false
      if (listenedMs < SILENT_MS_MAX && !this.#isSucceeded(entry)) return false
    }
    return this.#preferred(slot, 0) === this.#instanceId
  }

  #key(slot: number): string {
    return `${this.#log}.${slot}`
  }

  #entry(slot: number): LeaseEntry | undefined {
    const text = this.#view.entries.get(this.#key(slot))
    return text === undefined ? undefined : (JSON.parse(text) as LeaseEntry)
  }

  /** Compare-and-set on what was seen. */
  async #put(slot: number, next: LeaseEntry, seen: LeaseEntry | undefined): Promise<boolean> {
    const key = this.#key(slot)
    try {
      const current = await this.#kv.get(key)
      const stored = current === null || current.operation !== 'PUT' ? undefined : current.json<LeaseEntry>()
      if (JSON.stringify(stored) !== JSON.stringify(seen)) return false
      await this.#kv.put(key, JSON.stringify(next), { previousSeq: current?.revision ?? 0 })
      return true
    } catch (error) {
      this.#logger.debug({ err: error, key }, 'a lease was not written')
      return false
    }
  }

  /** Something may have changed: an entry, or who is heard of. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wakes.delete(done)
        resolve()
      }
      this.#wakes.add(done)
    })
  }
}
