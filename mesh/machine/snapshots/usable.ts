import { createHash } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import { archivedPart } from '../../archive/attached.ts'
import { type StreamMessage, streamsOf } from '../../bus.ts'
import type { FrameHeader } from '../../frames.ts'
import { Bucket, STREAM_OF_LOG, trimKey } from '../../subjects.ts'
import { SnapshotBroken, type SnapshotFault } from './file.ts'
import type { Machine } from './machine.ts'
import type { LoadedSnapshot, SnapshotName, SnapshotStore } from './store.ts'

export interface SnapshotSource<State, Item, Event> {
  readonly store: SnapshotStore
  readonly nats: NatsConnection
  readonly machine: Machine<State, Item, Event>
  /** Told of each that is passed over. */
  readonly onSkipped: (slot: number, name: string, error: Error) => void
}

/** Snapshots of a slot that may be used now, newest first; those that may not are passed over. */
export async function* usableSnapshots<State, Item, Event>(
  source: SnapshotSource<State, Item, Event>,
  slot: number,
  lastFrame: FrameHeader,
): AsyncGenerator<LoadedSnapshot> {
  const { store, machine, onSkipped } = source
  if (machine.rules.snapshots === undefined) return
  const keptFrom = await firstKept(source, slot)
  for (const name of await store.list(machine.rules.log, slot)) {
    let loaded: LoadedSnapshot
    try {
      checkPosition(name, lastFrame, keptFrom)
      loaded = await store.read(name)
      await checkHeader(source, slot, loaded)
    } catch (error) {
      if (!(error instanceof SnapshotBroken)) throw error
      onSkipped(slot, name.name, error)
      continue
    }
    yield loaded
  }
}

/** From this sequence on the slot's log can be read whole. */
export async function firstKept<State, Item, Event>(
  { nats, machine }: Pick<SnapshotSource<State, Item, Event>, 'nats' | 'machine'>,
  slot: number,
): Promise<number> {
  const stream = STREAM_OF_LOG[machine.rules.log]
  const trims = await streamsOf(nats).bucket(Bucket.trims)
  const entry = await trims.get(trimKey(stream, slot))
  if (entry === null || entry.operation !== 'PUT') return 0
  const keptFrom = Number(entry.string())
  return (await archivedPart(nats, stream, keptFrom - 1)) === undefined ? keptFrom : 0
}

function checkPosition({ name, sequence }: SnapshotName, { inFrom }: FrameHeader, keptFrom: number): void {
  if (inFrom[0] <= sequence) {
    throw new SnapshotBroken(
      'snapshot_not_covered',
      `${name}: the last stored frame begins at ${inFrom.join('-')}, so nothing proves that what was caused before it is stored.`,
    )
  }
  if (sequence < keptFrom) {
    throw new SnapshotBroken('snapshot_log_trimmed', `${name}: the log begins at ${keptFrom} only.`)
  }
}

async function checkHeader<State, Item, Event>(
  { nats, machine }: SnapshotSource<State, Item, Event>,
  slot: number,
  { name, sequence, header }: LoadedSnapshot,
): Promise<void> {
  const refuse = (code: SnapshotFault, message: string): never => {
    throw new SnapshotBroken(code, `${name}: ${message}`)
  }
  const { log, snapshots } = machine.rules
  const { stateVersion, memoryVersion, point, messageHash } = header
  if (stateVersion !== snapshots?.version || memoryVersion !== (machine.memory?.version ?? 0)) {
    refuse('snapshot_version_unknown', `it holds a state of version ${stateVersion}/${memoryVersion}.`)
  }
  if (header.log !== log || header.slot !== slot || point.applied[0] !== sequence) {
    refuse('snapshot_invalid', `it is one of ${header.log}-${header.slot} at ${point.applied[0]}.`)
  }
  const message = await messageAt(nats, STREAM_OF_LOG[log], sequence)
  if (message === undefined || hashOfMessage(message.data) !== messageHash) {
    refuse('snapshot_of_another_log', `${STREAM_OF_LOG[log]} does not hold the message that it ends with.`)
  }
}

/** Of the stream, or of the archive where it was removed. */
async function messageAt(nats: NatsConnection, stream: string, sequence: number): Promise<StreamMessage | undefined> {
  const stored = await streamsOf(nats).at(stream, sequence)
  if (stored !== undefined) return stored
  for await (const message of (await archivedPart(nats, stream, sequence))?.read('>', sequence) ?? []) return message
  return undefined
}

export const hashOfMessage = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')
