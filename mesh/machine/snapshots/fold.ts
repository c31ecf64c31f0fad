import { Packer, Unpacker } from '../../domain/packed.ts'
import { type PairOut, SlotFold, SlotHalt } from '../slot.ts'
import { SnapshotBroken } from './file.ts'
import type { Machine } from './machine.ts'
import type { LoadedSnapshot } from './store.ts'

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
