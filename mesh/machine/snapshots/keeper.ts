import type { Logger } from 'pino'
import type { FrameHeader } from '../../frames.ts'
import { counter, gauge } from '../../metrics.ts'
import { RpcError, serveRpc } from '../../rpc.ts'
import { natsUrlOf, type Service } from '../../service.ts'
import type { MeshShape } from '../../streams.ts'
import { slotSnapshotSubject, sourceName } from '../../subjects.ts'
import { type PairOut, type SlotFold, SlotHalt } from '../slot.ts'
import type { SnapshotConfig } from './config.ts'
import { draftSnapshot, type Replayed } from './draft.ts'
import { SnapshotBroken } from './file.ts'
import { restoreFold } from './fold.ts'
import type { SnapshotHelper } from './helper.ts'
import type { Machine } from './machine.ts'
import { SnapshotStore } from './store.ts'
import type { TakenSnapshot } from './take.ts'
import { firstKept, usableSnapshots } from './usable.ts'

export interface SnapshotsOptions<State, Item, Event> {
  readonly service: Service
  readonly config: SnapshotConfig
  readonly shape: MeshShape
  readonly machine: Machine<State, Item, Event>
  readonly slots: readonly number[]
  /** Takes them, of the same machine. */
  readonly helper: SnapshotHelper
}

/** A snapshot that a slot may be recovered from. */
export interface UsableSnapshot<State, Item, Event> {
  readonly name: string
  /** @throws SnapshotBroken @throws SlotHalt */
  restore(stored: ReadonlyMap<string, PairOut['stored']>): SlotFold<State, Item, Event>
  /** It did not lead where it should; the one before it comes next. */
  skip(error: Error): void
}

/** A snapshot whose replay has not come to its end. What goes wrong with it stops no recovery. */
export interface DraftSnapshot {
  keep(): Promise<void>
  drop(): Promise<void>
}

/** What the runtime of a machine wants of its snapshots. */
export interface SlotSnapshots<State, Item, Event> {
  /** Newest first. `lastFrame`: of the slot. */
  usable(slot: number, lastFrame: FrameHeader): AsyncIterable<UsableSnapshot<State, Item, Event>>
  /** The log will be read from its beginning. @throws SlotHalt `log_trimmed` where it no longer has that */
  none(slot: number): Promise<void>
  /**
   * In a replay that stands where the slot's last frame begins: a snapshot of that, if the replay was long enough that the next
   * recovery should not have to repeat it. To be kept when the replay has proved right, or dropped.
   * `message`: the last one applied. `replayed`: how much that was, and how long it took.
   */
  draft(fold: SlotFold<State, Item, Event>, message: Uint8Array, replayed: Replayed): Promise<DraftSnapshot | undefined>
  /** From now on snapshots are taken of the slots that are told, when they are due. */
  follow(owned: () => Iterable<{ readonly slot: number; readonly itemsCount: number }>): void
}

/** What `/health/ready` shows of a slot's snapshots. */
interface Shown {
  last?: { readonly name: string; readonly at: string; readonly bytes?: number; readonly ms?: number }
  skipped?: { readonly name: string; readonly code: string }[]
  failure?: string
}

const age = gauge('exchange_slot_snapshot_age_seconds', "Age of the slot's newest snapshot.", ['log', 'slot'])
const bytes = gauge('exchange_slot_snapshot_bytes', "Size of the slot's newest snapshot.", ['log', 'slot'])
const failures = counter('exchange_slot_snapshot_failures_total', 'Snapshots that were not taken, or cannot be used.', [
  'log',
  'slot',
])

const LOOK_MS = 1_000
/** After one that failed. */
const PAUSE_MS = 60_000
/** After one that was taken, so many times what that used of a core: they cost a twentieth of one, however large the state and the flow. */
const REST_FACTOR = 20
/** Snapshots of a machine's slots: read at recovery, taken by a helper when they are due or asked for. */
export async function openSnapshots<State, Item, Event>(
  options: SnapshotsOptions<State, Item, Event>,
): Promise<SlotSnapshots<State, Item, Event>> {
  const { service, config, shape } = options
  const { nats, log: logger } = service
  const store = await SnapshotStore.open({ directory: config.directory, nats, replicas: shape.replicas ?? 1, logger })
  return new SnapshotKeeper(options, store)
}

class SnapshotKeeper<State, Item, Event> implements SlotSnapshots<State, Item, Event> {
  readonly #options: SnapshotsOptions<State, Item, Event>
  readonly #store: SnapshotStore
  readonly #logger: Logger
  readonly #shown = new Map<number, Shown>()
  /** What the newest snapshot covers, and when it was taken or found, or its taking was given up. */
  readonly #newest = new Map<number, { itemsCount: number; atMs: number }>()
  readonly #busy = new Map<number, Promise<TakenSnapshot>>()
  readonly #startedMs = performance.now()
  #notBeforeMs = 0

  constructor(options: SnapshotsOptions<State, Item, Event>, store: SnapshotStore) {
    this.#options = options
    this.#store = store
    this.#logger = options.service.log
    const { service, machine, slots } = options
    for (const slot of slots) {
      failures.inc({ log: machine.rules.log, slot }, 0)
      serveRpc(service.nats, slotSnapshotSubject(machine.rules.log, slot), 'snapshots', () => this.#now(slot))
    }
    this.#show()
    service.onScrape(() => this.#measure())
  }

  #measure(): void {
    const { log } = this.#options.machine.rules
    for (const [slot, { last }] of this.#shown) {
      if (last === undefined) {
        age.remove({ log, slot })
        continue
      }
      age.set({ log, slot }, (Date.now() - Date.parse(last.at)) / 1000)
      if (last.bytes !== undefined) bytes.set({ log, slot }, last.bytes)
    }
  }

  async *usable(slot: number, lastFrame: FrameHeader): AsyncGenerator<UsableSnapshot<State, Item, Event>> {
    const { machine, service } = this.#options
    const skip = (_slot: number, name: string, error: Error): void => this.#skip(slot, name, error)
    const source = { store: this.#store, nats: service.nats, machine, onSkipped: skip }
    for await (const snapshot of usableSnapshots(source, slot, lastFrame)) {
      const { name, itemsCount, header } = snapshot
      this.#newest.set(slot, { itemsCount, atMs: performance.now() })
      this.#shownOf(slot).last = { name, at: header.takenAt }
      this.#show()
      yield {
        name,
        restore: (stored) => restoreFold(machine, slot, snapshot, stored),
        skip: (error) => this.#skip(slot, name, error),
      }
    }
    this.#newest.delete(slot)
  }

  async none(slot: number): Promise<void> {
    const { machine, service } = this.#options
    const keptFrom = await firstKept({ nats: service.nats, machine }, slot)
    if (keptFrom > 0) {
      throw new SlotHalt(
        'log_trimmed',
        `The log of this slot begins at ${keptFrom}, and no snapshot of it can be used. Put a good one into ${this.#options.config.directory}, or set ARCHIVE_DIR, then clear the slot.`,
      )
    }
  }

  async draft(
    fold: SlotFold<State, Item, Event>,
    message: Uint8Array,
    replayed: Replayed,
  ): Promise<DraftSnapshot | undefined> {
    const { config, machine, service } = this.#options
    const { slot } = fold
    const options = { machine, config, store: this.#store, instance: service.instanceId }
    const orAlarm = async <Result>(work: Promise<Result>): Promise<Result | undefined> => {
      try {
        return await work
      } catch (error) {
        this.#failed(slot, error)
        return undefined
      }
    }
    const draft = await orAlarm(draftSnapshot(options, fold, message, replayed))
    if (draft === undefined) return undefined
    return {
      drop: () => orAlarm(draft.drop()),
      keep: async () => {
        const taken = await orAlarm(draft.keep())
        if (taken === undefined) return
        this.#took(slot, taken)
        // Nothing waits for that: who starts anew here finds the file.
        void orAlarm(this.#store.publish(machine.rules.log, slot, taken.name, config))
      },
    }
  }

  follow(owned: () => Iterable<{ readonly slot: number; readonly itemsCount: number }>): void {
    const timer = setInterval(() => {
      if (this.#busy.size > 0 || performance.now() < this.#notBeforeMs) return
      const due = [...owned()]
        .map((one) => ({ slot: one.slot, newItems: this.#dueItems(one) }))
        .filter(({ newItems }) => newItems > 0)
      const [longest] = due.sort((a, b) => b.newItems - a.newItems)
      if (longest !== undefined) void this.#take(longest.slot).catch(() => {})
    }, LOOK_MS)
    timer.unref()
    this.#options.service.onStop(() => clearInterval(timer))
  }

  /** What the next snapshot of a slot would have that the newest has not; 0 while none is due. */
  #dueItems({ slot, itemsCount }: { readonly slot: number; readonly itemsCount: number }): number {
    const { everyItems, everySeconds } = this.#options.config
    const newest = this.#newest.get(slot) ?? { itemsCount: 0, atMs: this.#startedMs }
    const newItems = itemsCount - newest.itemsCount
    const isOld = performance.now() - newest.atMs >= everySeconds * 1000
    return newItems >= everyItems || isOld ? newItems : 0
  }

  async #now(slot: number): Promise<TakenSnapshot> {
    try {
      return await this.#take(slot)
    } catch (error) {
      const code = codeOf(error)
      throw new RpcError(code === 'nothing_new' ? 'snapshot_nothing_new' : 'snapshot_failed', String(error), { code })
    }
  }

  /** One at a time; who asks for one that is under way gets that one. */
  #take(slot: number): Promise<TakenSnapshot> {
    const running = this.#busy.get(slot)
    if (running !== undefined) return running
    const take = this.#askHelper(slot)
    this.#busy.set(slot, take)
    return take
      .then((taken) => {
        this.#took(slot, taken)
        return taken
      })
      .catch((error: unknown) => {
        if (codeOf(error) === 'nothing_new') {
          const newest = this.#newest.get(slot) ?? { itemsCount: 0 }
          this.#newest.set(slot, { ...newest, atMs: performance.now() })
        } else {
          this.#notBeforeMs = performance.now() + PAUSE_MS
          this.#failed(slot, error)
        }
        throw error
      })
      .finally(() => {
        this.#busy.delete(slot)
        this.#show()
      })
  }

  #took(slot: number, taken: TakenSnapshot): void {
    const { log } = this.#options.machine.rules
    const { name, itemsCount, bytes, ms } = taken
    this.#newest.set(slot, { itemsCount, atMs: performance.now() })
    this.#shown.set(slot, { last: { name, at: new Date().toISOString(), bytes, ms } })
    this.#logger.info({ slot: sourceName(log, slot), ...taken }, 'snapshot taken')
  }

  #failed(slot: number, error: unknown): void {
    const { log } = this.#options.machine.rules
    this.#shownOf(slot).failure = String(error)
    failures.inc({ log, slot })
    const alarm = { alarm: true, code: 'snapshot_failed' }
    this.#logger.error({ ...alarm, err: error, slot: sourceName(log, slot) }, 'a snapshot was not taken')
  }

  #askHelper(slot: number): Promise<TakenSnapshot> {
    const { service, machine, helper, shape, config } = this.#options
    const task = {
      natsUrl: natsUrlOf(service.env),
      log: machine.rules.log,
      slot,
      service: service.name,
      instance: service.instanceId,
      directory: config.directory,
      archiveDirectory: config.archiveDirectory,
      replicas: shape.replicas ?? 1,
      kept: config.kept,
      uploadBytesPerSecond: config.uploadBytesPerSecond,
    }
    return helper.take(task, (cpuMs) => {
      this.#notBeforeMs = Math.max(this.#notBeforeMs, performance.now() + REST_FACTOR * cpuMs)
    })
  }

  #skip(slot: number, name: string, error: Error): void {
    const { log } = this.#options.machine.rules
    const code = error instanceof SlotHalt ? 'snapshot_differs' : codeOf(error)
    this.#logger.error({ err: error, code, snapshot: name, slot: sourceName(log, slot) }, 'a snapshot is passed over')
    failures.inc({ log, slot })
    const shown = this.#shownOf(slot)
    shown.skipped = [...(shown.skipped ?? []), { name, code }]
    delete shown.last
    this.#show()
  }

  #shownOf(slot: number): Shown {
    const shown = this.#shown.get(slot) ?? {}
    this.#shown.set(slot, shown)
    return shown
  }

  #show(): void {
    const { log } = this.#options.machine.rules
    const bySlot = Object.fromEntries([...this.#shown].sort(([a], [b]) => a - b))
    this.#options.service.ready(`snapshots ${log}`, true, structuredClone(bySlot))
  }
}

function codeOf(error: unknown): string {
  if (error instanceof SnapshotBroken) return error.code
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'internal_error'
}
