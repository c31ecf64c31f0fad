import { rm } from 'node:fs/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import { type ReadMessage, streamsOf } from '../../bus.ts'
import { type FrameHeader, parseFrameHeader } from '../../frames.ts'
import { EVENTS_STREAM, framesSubject, STREAM_OF_LOG, slotFilter } from '../../subjects.ts'
import { toLogMessage } from '../log-message.ts'
import { SlotFold } from '../slot.ts'
import { readSnapshotFile, SnapshotBroken, type SnapshotHeader, writeSnapshotFile } from './file.ts'
import { assureState, headerOf, packFold, restoreFold } from './fold.ts'
import type { Machine } from './machine.ts'
import { NoSnapshot } from './no-snapshot.ts'
import type { SnapshotStore } from './store.ts'
import { firstKept, usableSnapshots } from './usable.ts'

export interface TakeOptions<State, Item, Event> {
  readonly nats: NatsConnection
  readonly store: SnapshotStore
  readonly machine: Machine<State, Item, Event>
  readonly slot: number
  readonly instance: string
  readonly kept: number
  readonly uploadBytesPerSecond: number
  readonly logger: Logger
  /** Told of snapshots that could not be begun with. */
  readonly onSkipped: (slot: number, name: string, error: Error) => void
}

export interface TakenSnapshot {
  readonly name: string
  readonly sequence: number
  readonly itemsCount: number
  readonly bytes: number
  /** Items that were applied for it, behind the snapshot that it began with. */
  readonly replayedItems: number
  readonly ms: number
}

/**
 * Makes the next snapshot of the one before and the log, without a look at the slot's owner: so the owner goes on meanwhile.
 * Its position is the end of the last message before the last stored frame. That frame proves that everything which was
 * caused until then is stored: nothing that is on its way has to be kept, and the snapshot may be used at once.
 * It is kept only if the replay from its position leads to that frame's hash, and its file reads back to the same state.
 * @throws NoSnapshot
 */
export async function takeSnapshot<State, Item, Event>(
  options: TakeOptions<State, Item, Event>,
): Promise<TakenSnapshot> {
  const beganMs = performance.now()
  const { store, machine, slot, kept, uploadBytesPerSecond } = options
  const { log } = machine.rules
  const written = await writeFromLog(options)
  const { header, path, bytes, replayedItems } = written
  const name = await store.keep(path, header, () => readBack(machine, slot, path))
  await store.publish(log, slot, name, { uploadBytesPerSecond, kept })
  const { applied, itemsCount } = header.point
  return { name, sequence: applied[0], itemsCount, bytes, replayedItems, ms: Math.round(performance.now() - beganMs) }
}

async function writeFromLog<State, Item, Event>(options: TakeOptions<State, Item, Event>) {
  const { nats, store, machine, slot } = options
  const { log } = machine.rules
  const streams = streamsOf(nats, ANSWER_MS_MAX)
  const tail = await streams.last(EVENTS_STREAM, framesSubject(log, slot))
  if (tail === undefined) throw new NoSnapshot('nothing_new', 'Nothing of this slot is stored yet.')
  const frame = parseFrameHeader(tail.data)
  const fold = await foldToBeginWith(options, frame)
  const replayedFrom = fold.itemsCount
  fold.saysEvents = false
  const reader = await streams.read(STREAM_OF_LOG[log], slotFilter(log, slot), fold.applied[0] + 1)
  let lookedAtMs = performance.now()
  let last: ReadMessage | undefined
  let written: { readonly header: SnapshotHeader; readonly path: string; readonly bytes: number } | undefined
  try {
    for await (const received of reader) {
      if (written === undefined && received.seq >= frame.inFrom[0]) {
        if (last === undefined) throw new NoSnapshot('nothing_new', 'Nothing is stored behind the newest snapshot.')
        const header = headerOf(machine, fold, { instance: options.instance, message: last.data })
        const path = store.unprovedPathOf(log, slot)
        written = { header, path, ...(await writeSnapshotFile(path, header, packFold(machine, fold))) }
      }
      applyTo(fold, received, frame)
      last = received
      if (performance.now() - lookedAtMs > STRETCH_MS_MAX) {
        await new Promise((resolve) => setImmediate(resolve))
        lookedAtMs = performance.now()
      }
      if (received.seq >= frame.inTo[0]) break
    }
  } finally {
    reader.stop()
  }
  if (written === undefined) throw new Error(`The log of ${log}-${slot} has ended before its last frame.`)
  if (fold.hash !== frame.hash) {
    await rm(written.path, { force: true })
    const message = `At ${frame.inTo.join('-')} the replay has hash ${fold.hash}, the stored frame says ${frame.hash}.`
    throw new NoSnapshot('replay_differs', message)
  }
  return { ...written, replayedItems: fold.itemsCount - replayedFrom }
}

/** Longest work without a look at the sockets: the reader's heartbeats come that way. */
const STRETCH_MS_MAX = 10
/** How long an answer of the bus is waited for. */
const ANSWER_MS_MAX = 10_000

async function foldToBeginWith<State, Item, Event>(
  options: TakeOptions<State, Item, Event>,
  frame: FrameHeader,
): Promise<SlotFold<State, Item, Event>> {
  const { nats, store, machine, slot, onSkipped } = options
  const source = { store, nats, machine, onSkipped }
  for await (const snapshot of usableSnapshots(source, slot, frame)) {
    try {
      return restoreFold(machine, slot, snapshot)
    } catch (error) {
      if (!(error instanceof SnapshotBroken)) throw error
      onSkipped(slot, snapshot.name, error)
    }
  }
  const keptFrom = await firstKept(source, slot)
  if (keptFrom > 0) {
    throw new NoSnapshot('log_trimmed', `The log begins at ${keptFrom}, and there is no snapshot to begin with.`)
  }
  machine.memory?.unpack(slot, undefined)
  return new SlotFold(machine.rules, slot, new Map(), machine.observe)
}

function applyTo<State, Item, Event>(
  fold: SlotFold<State, Item, Event>,
  received: ReadMessage,
  { inTo }: FrameHeader,
): void {
  const message = toLogMessage(received)
  const until = message.sequence === inTo[0] ? inTo[1] : Number.MAX_SAFE_INTEGER
  for (let from = 0; from >= 0 && from <= until; ) {
    from = fold.apply(message, from, until)
    fold.takeDraft()
  }
  fold.forgetSent()
}

/** What was written is what is read, by the same code that a recovery uses. */
async function readBack<State, Item, Event>(
  machine: Machine<State, Item, Event>,
  slot: number,
  path: string,
): Promise<void> {
  const { header, body } = await readSnapshotFile(path)
  const fold = restoreFold(machine, slot, { name: path, header, body })
  assureState(machine, header, fold.state)
}
