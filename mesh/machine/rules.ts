import type { Packer, Unpacker } from '#mesh/domain/packed.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import type { Log } from '#mesh/subjects.ts'

/**
 * A state machine: pure rules over one slot's input log. State is the fold of the log, nothing else:
 * no clock, random, I/O, nor the order of anything unordered (a Map may be iterated only where the result is sorted by id).
 */
export interface Rules<State, Item, Event> {
  /** The log that it reads. */
  readonly log: Log
  initialState(slot: number): State
  /**
   * Applies one item: changes the state in place and tells what happened through the context.
   * A refusal is an event and a reply, not an exception; a throw is a bug and halts the slot.
   */
  apply(state: State, item: Item, context: Context<Event>): void
  /** Depends on what the state means, not on how it is laid out. Hexadecimal. */
  stateHash(state: State): string
  /** How the state is put into a snapshot. Without it there are no snapshots, and recovery reads the whole log. */
  readonly snapshots?: StateSnapshots<State>
}

export interface StateSnapshots<State> {
  /** Another number for every change of what is packed: an older snapshot is then passed over. */
  readonly version: number
  /** All of it, in views of the state's own memory where it is large. */
  pack(state: State, packer: Packer): void
  /** A state that goes on exactly like the one that was packed. @throws PackedInvalid and others, where it is none. */
  unpack(slot: number, packed: Unpacker): State
}

/** What the rules may know and say while one item is applied. */
export interface Context<Event> {
  readonly slot: number
  /** max(last time, the stored message's time) in microseconds. */
  readonly timeUs: number
  /** `cmd` for the edge, else the name of the sending slot: `markets-3`. */
  readonly source: string
  /** Says something in this slot's frame. */
  emit(event: Event): void
  /** Appends an item to another slot's (or this slot's) log. The ticket names it for `reply`. */
  send(log: Log, slot: number, item: object): Ticket
  /**
   * Answers an instance, after everything that this item caused is stored. No-op for an empty `replyTo`.
   * With a ticket the reply gets the position at which that item was stored; with `here` the position of this item in this slot.
   */
  reply(replyTo: string, reply: Reply, position?: Ticket | 'here'): void
}

export type Ticket = number
