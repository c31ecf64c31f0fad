import { Packer, Unpacker } from '../../domain/packed.ts'
import { type PairOut, SlotFold, SlotHalt } from '../slot.ts'
import { readSnapshotFile, SnapshotBroken, type SnapshotHeader } from './file.ts'
import type { Machine } from './machine.ts'
import { NoSnapshot } from './no-snapshot.ts'
import type { LoadedSnapshot } from './store.ts'
import { hashOfMessage } from './usable.ts'

/** State and memory of a fold in views of its own memory: to be written before it goes on. */
export function packFold<State, Item, Event>(
  { rules, memory }: Machine<State, Item, Event>,
  fold: SlotFold<State, Item, Event>,
): Uint8Array[] {
  const packer = new Packer()
  rules.snapshots?.pack(fold.state, packer)
  memory?.pack(fold.slot, packer)
  return packer.parts
}

/** Of a fold that stands behind `message`. */
export function headerOf<State, Item, Event>(
  { rules, memory }: Machine<State, Item, Event>,
  fold: SlotFold<State, Item, Event>,
  { instance, message }: { readonly instance: string; readonly message: Uint8Array },
): SnapshotHeader {
  return {
    log: rules.log,
    slot: fold.slot,
    stateVersion: rules.snapshots?.version ?? 0,
    memoryVersion: memory?.version ?? 0,
    point: fold.point(),
    stateHash: rules.stateHash(fold.state),
    messageHash: hashOfMessage(message),
    takenAt: new Date().toISOString(),
    instance,
  }
}

/** Reads the state of a file that was just written; what is kept beside it for reads stays as it is here. @throws NoSnapshot */
export async function proveState<State, Item, Event>(
  machine: Machine<State, Item, Event>,
  slot: number,
  path: string,
): Promise<void> {
  const { header, body } = await readSnapshotFile(path)
  assureState(machine, header, machine.rules.snapshots?.unpack(slot, new Unpacker(body)))
}

/** @throws NoSnapshot `snapshot_differs` */
export function assureState<State, Item, Event>(
  { rules }: Machine<State, Item, Event>,
  header: SnapshotHeader,
  state: State | undefined,
): void {
  const stateHash = state === undefined ? 'none' : rules.stateHash(state)
  if (stateHash === header.stateHash) return
  const message = `The state that was written had hash ${header.stateHash}, what is read back has ${stateHash}.`
  throw new NoSnapshot('snapshot_differs', message)
}

/**
 * The fold as it was, to go on behind the snapshot's position.
 * `stored`: the ends of the pairs that it sends on, as the logs have them now. Not there: as far as the snapshot says.
 * @throws SnapshotBroken @throws SlotHalt `sender_differs`
 */
export function restoreFold<State, Item, Event>(
  { rules, memory, observe }: Machine<State, Item, Event>,
  slot: number,
  { name, header, body }: Pick<LoadedSnapshot, 'name' | 'header' | 'body'>,
  stored?: ReadonlyMap<string, PairOut['stored']>,
): SlotFold<State, Item, Event> {
  const { point } = header
  for (const [subject, { count }] of stored === undefined ? [] : point.pairsOut) {
    if ((stored?.get(subject)?.count ?? 0) >= count) continue
    const message = `${name} has sent ${count} items on ${subject}, which ends before: it has lost its tail, and is to be sent again.`
    throw new SnapshotBroken('snapshot_not_covered', message)
  }
  const ends = stored ?? new Map(point.pairsOut.map(([subject, end]) => [subject, { ...end, sequence: -1 }]))
  try {
    const packed = new Unpacker(body)
    const state = rules.snapshots?.unpack(slot, packed)
    if (state === undefined) throw new Error('These rules have no snapshots.')
    memory?.unpack(slot, packed)
    packed.end()
    return new SlotFold(rules, slot, ends, observe, { point, state })
  } catch (cause) {
    if (cause instanceof SlotHalt) throw cause
    throw new SnapshotBroken('snapshot_invalid', `${name}: ${String(cause)}`, { cause })
  }
}
