import type { Context, Rules } from '#mesh/machine/rules.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { type Log, sourceName } from '#mesh/subjects.ts'

/** Machines wired together by arrays: each slot has a log, and applies one item of it when it is its turn. */
export interface InProcessMesh {
  add<State, Item, Event>(rules: Rules<State, Item, Event>, slots: number): void
  /** Appends to a slot's log as the edge does. */
  append(log: Log, slot: number, item: object): void
  /** Lets one slot, picked by `pick` among those with something to do, apply its next item. False when nobody has. */
  step(pick: (count: number) => number): boolean
  /** Steps until nothing is under way. */
  drain(pick?: (count: number) => number): void
  /** All that a slot was sent, in the order of its log. */
  logOf(log: Log, slot: number): readonly LoggedItem[]
  stateOf(log: Log, slot: number): unknown
  hashOf(log: Log, slot: number): string
  eventsOf(log: Log, slot: number): readonly object[]
  readonly replies: readonly { readonly replyTo: string; readonly reply: Reply }[]
}

export interface LoggedItem {
  readonly source: string
  readonly timeUs: number
  /** As JSON, as it would travel. */
  readonly text: string
}

interface Slot {
  readonly log: LoggedItem[]
  readonly events: object[]
  appliedCount: number
  readonly state: unknown
  apply(item: unknown, context: Context<unknown>): void
  hash(): string
}

export function createInProcessMesh(startUs = 1_700_000_000_000_000): InProcessMesh {
  const slots = new Map<string, Slot>()
  const replies: { replyTo: string; reply: Reply }[] = []
  let timeUs = startUs

  const slotOf = (name: string): Slot => {
    const slot = slots.get(name)
    if (slot === undefined) throw new Error(`There is no slot ${name}.`)
    return slot
  }
  const store = (name: string, source: string, item: object): void => {
    timeUs += 1
    slotOf(name).log.push({ source, timeUs, text: JSON.stringify(item) })
  }
  const applyNext = (name: string, number: number, slot: Slot): void => {
    const logged = slot.log[slot.appliedCount]
    if (logged === undefined) throw new Error(`${name} has nothing to apply.`)
    slot.appliedCount++
    let tickets = 0
    slot.apply(JSON.parse(logged.text), {
      slot: number,
      timeUs: logged.timeUs,
      source: logged.source,
      emit: (event) => void slot.events.push(event as object),
      send: (log, target, item) => {
        store(sourceName(log, target), name, item)
        return tickets++
      },
      reply: (replyTo, reply) => {
        if (replyTo !== '') replies.push({ replyTo, reply })
      },
    })
  }

  const mesh: InProcessMesh = {
    add: <State, Item, Event>(rules: Rules<State, Item, Event>, count: number) => {
      for (let number = 0; number < count; number++) {
        const state = rules.initialState(number)
        slots.set(sourceName(rules.log, number), {
          log: [],
          events: [],
          appliedCount: 0,
          state,
          // The log holds what the edge and the other machines say to this one; its events are only kept.
          apply: (item, context) => rules.apply(state, item as Item, context as Context<Event>),
          hash: () => rules.stateHash(state),
        })
      }
    },
    append: (log, slot, item) => store(sourceName(log, slot), 'cmd', item),
    step: (pick) => {
      const busy = [...slots].filter(([, slot]) => slot.appliedCount < slot.log.length)
      const chosen = busy[pick(busy.length)]
      if (chosen === undefined) return false
      const [name, slot] = chosen
      applyNext(name, Number(name.slice(name.indexOf('-') + 1)), slot)
      return true
    },
    drain: (pick = () => 0) => {
      while (mesh.step(pick)) {}
    },
    logOf: (log, slot) => slotOf(sourceName(log, slot)).log,
    stateOf: (log, slot) => slotOf(sourceName(log, slot)).state,
    hashOf: (log, slot) => slotOf(sourceName(log, slot)).hash(),
    eventsOf: (log, slot) => slotOf(sourceName(log, slot)).events,
    replies,
  }
  return mesh
}
