import type { Packer, Unpacker } from '../../domain/packed.ts'
import type { Rules } from '../rules.ts'
import type { SlotObserver } from '../slot.ts'

/** A machine as a snapshot's writer and its reader know it: the same in the process that runs it and in the helper beside it. */
export interface Machine<State, Item, Event> {
  readonly rules: Rules<State, Item, Event>
  readonly observe?: SlotObserver<Event>
  readonly memory?: SlotMemory
}

/** What `observe` has kept for reads beside the state of each slot. */
export interface SlotMemory {
  /** Another number for every change of what is packed. */
  readonly version: number
  pack(slot: number, packer: Packer): void
  /** In place of all that was kept of the slot; nothing packed: forgets it. */
  unpack(slot: number, packed: Unpacker | undefined): void
}
