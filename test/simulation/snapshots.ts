import type { NatsConnection } from '@nats-io/transport-node'
import { parseFrameHeader } from '#mesh/frames.ts'
import { toLogMessage } from '#mesh/machine/log-message.ts'
import { SlotFold } from '#mesh/machine/slot.ts'
import { SnapshotBroken } from '#mesh/machine/snapshots/file.ts'
import { headerOf, packFold, restoreFold } from '#mesh/machine/snapshots/fold.ts'
import type { SlotSnapshots } from '#mesh/machine/snapshots/keeper.ts'
import type { Machine } from '#mesh/machine/snapshots/machine.ts'
import { type LoadedSnapshot, type SnapshotStore, snapshotName } from '#mesh/machine/snapshots/store.ts'
import { usableSnapshots } from '#mesh/machine/snapshots/usable.ts'
import { EVENTS_STREAM, framesSubject, type Log, STREAM_OF_LOG, slotFilter, sourceName } from '#mesh/subjects.ts'
import type { ProcessHost } from './process.ts'
import type { Random } from './random.ts'
import { matches, type SimulatedServer } from './server.ts'

/** Of a slot so many are kept. */
const KEPT = 2
/** Recoveries that leave one, as a share of all. */
const DRAFTED = 0.3

/**
 * The snapshots that all instances find, with what a damaged disk makes of them. Which ones may be used, and what a slot is
 * restored to, is decided by the mesh's own code; only files and object store are not there.
 */
export class SimulatedSnapshots {
  /** What was passed over though nothing had damaged it. */
  readonly wrongs: string[] = []
  /** Slots that were recovered from a snapshot. */
  used = 0
  taken = 0
  /** Whether logs lose their ends: what was read there once leads nowhere, and no snapshot is made of it. */
  isLossy = false
  /** Reads that find a damaged one, as a share of all. */
  damaged = 0.1
  readonly #server: SimulatedServer
  readonly #random: Random
  readonly #kept = new Map<string, LoadedSnapshot[]>()

  constructor(server: SimulatedServer, random: Random) {
    this.#server = server
    this.#random = random
  }

  of<State, Item, Event>(host: ProcessHost, machine: Machine<State, Item, Event>): SlotSnapshots<State, Item, Event> {
    const { log } = machine.rules
    const onSkipped = (slot: number, name: string, error: Error): void => this.#skip(log, slot, name, error)
    const source = {
      store: {
        list: async (_: Log, slot: number) => this.#of(log, slot),
        read: this.#read,
      } as unknown as SnapshotStore,
      nats: host.nats as unknown as NatsConnection,
      machine,
      onSkipped,
    }
    const counted = (): void => {
      this.used++
    }
    return {
      async *usable(slot, lastFrame) {
        for await (const snapshot of usableSnapshots(source, slot, lastFrame)) {
          yield {
            name: snapshot.name,
            restore: (stored) => {
              const fold = restoreFold(machine, slot, snapshot, stored)
              counted()
              return fold
            },
            skip: (error) => onSkipped(slot, snapshot.name, error),
          }
        }
      },
      draft: async (fold, message) => {
        if (!this.#random.chance(DRAFTED)) return undefined
        const snapshot = this.#pack(machine, fold, message)
        return {
          keep: async () => this.#keep(log, fold.slot, snapshot),
          drop: async () => {
            if (!this.isLossy)
              this.wrongs.push(`${sourceName(log, fold.slot)}: its log does not lead to its last frame`)
          },
        }
      },
      none: async (slot) => machine.memory?.unpack(slot, undefined),
      follow: () => {},
    }
  }

  /** The next one of a slot, from the one before and the log, as the helper beside an owner makes it. */
  take<State, Item, Event>(machine: Machine<State, Item, Event>, slot: number): void {
    const { rules } = machine
    const { log } = rules
    const tail = this.#server.stream(EVENTS_STREAM).last(framesSubject(log, slot))
    if (tail === undefined) return
    const frame = parseFrameHeader(tail.data)
    const { inFrom, inTo } = frame
    const before = this.#of(log, slot).find(({ sequence }) => sequence < inFrom[0])
    machine.memory?.unpack(slot, undefined)
    const fold =
      before === undefined ? new SlotFold(rules, slot, new Map(), machine.observe) : restoreFold(machine, slot, before)
    const messages = this.#server
      .stream(STREAM_OF_LOG[log])
      .from(fold.applied[0] + 1)
      .filter(({ seq, subject }) => seq <= inTo[0] && matches(slotFilter(log, slot), subject))
    const last = messages.findLast(({ seq }) => seq < inFrom[0])
    if (last === undefined) return
    let snapshot: LoadedSnapshot | undefined
    for (const message of messages) {
      if (message.seq >= inFrom[0]) snapshot ??= this.#pack(machine, fold, last.data)
      const until = message.seq === inTo[0] ? inTo[1] : Number.MAX_SAFE_INTEGER
      for (let from = 0; from >= 0 && from <= until; ) {
        from = fold.apply(toLogMessage(message), from, until)
        fold.takeDraft()
      }
      fold.forgetSent()
    }
    if (snapshot === undefined || fold.hash !== frame.hash) {
      if (!this.isLossy) this.wrongs.push(`${sourceName(log, slot)}: its log does not lead to its frame ${tail.seq}`)
      return
    }
    this.#keep(log, slot, snapshot)
  }

  #keep(log: Log, slot: number, snapshot: LoadedSnapshot): void {
    const others = this.#of(log, slot).filter(({ name }) => name !== snapshot.name)
    const kept = [snapshot, ...others].sort((a, b) => b.sequence - a.sequence)
    this.#kept.set(sourceName(log, slot), kept.slice(0, KEPT))
    this.taken++
  }

  #pack<State, Item, Event>(
    machine: Machine<State, Item, Event>,
    fold: SlotFold<State, Item, Event>,
    message: Uint8Array,
  ): LoadedSnapshot {
    const header = headerOf(machine, fold, { instance: 'simulation', message })
    const { applied, itemsCount } = header.point
    const name = snapshotName(header)
    const body = Buffer.concat(packFold(machine, fold))
    return { name, sequence: applied[0], itemsCount, header, body }
  }

  #of(log: Log, slot: number): LoadedSnapshot[] {
    return this.#kept.get(sourceName(log, slot)) ?? []
  }

  #read = async (name: LoadedSnapshot): Promise<LoadedSnapshot> => {
    if (this.#random.chance(this.damaged)) throw new SnapshotBroken('snapshot_damaged', `${name.name}: damaged.`)
    return name
  }

  #skip(log: Log, slot: number, name: string, error: Error): void {
    const code = 'code' in error ? String(error.code) : error.name
    if (this.isLossy || code === 'snapshot_damaged' || code === 'snapshot_not_covered') return
    this.wrongs.push(`${sourceName(log, slot)}: the snapshot ${name} was passed over: ${code} ${error.message}`)
  }
}
