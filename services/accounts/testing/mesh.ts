import type { Context, Rules } from '#mesh/machine/rules.ts'
import type { AccountEdgeCommand, AccountEvent } from '#mesh/protocol/accounts.ts'
import type { DefinitionCommand, DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, sourceName } from '#mesh/subjects.ts'
import { type AccountsOptions, createAccountsRules } from '../domain/accounts-rules.ts'
import type { AccountsState } from '../domain/accounts-state.ts'
import { createDefinitionsRules, type DefinitionsState } from '../domain/definitions-rules.ts'

/** An item as a slot read it. */
export interface Read {
  readonly source: string
  readonly text: string
  readonly timeUs: number
}

interface Machine {
  readonly name: string
  readonly log: Read[]
  /** What it said, in order. */
  readonly said: string[]
  apply(read: Read): void
  stateHash(): string
}

/** First of the times that the test mesh gives to what it stores: one microsecond apart. */
export const START_US = 1_700_000_000_000_000

/**
 * All machines of a mesh in memory: each pair (source, target) is a queue, and which of the queues goes on is up to the test.
 * Items travel as JSON, as they do on the bus.
 */
export class TestMesh<EngineState> {
  timeUs = START_US
  readonly replies: Reply[] = []
  readonly accountEvents: AccountEvent[] = []
  readonly definitionEvents: DefinitionEvent[] = []
  readonly accounts: AccountsState[] = []
  readonly definitions: DefinitionsState
  readonly engines: EngineState[] = []
  readonly marketEvents: MarketEvent[] = []
  readonly machines = new Map<string, Machine>()
  readonly #queues = new Map<string, { readonly target: string; readonly source: string; readonly texts: string[] }>()
  readonly #options: AccountsOptions

  constructor(options: AccountsOptions, engineRules: Rules<EngineState, MarketItem, MarketEvent>) {
    this.#options = options
    const accountsRules = createAccountsRules(options)
    for (let slot = 0; slot < options.accountSlots; slot++) {
      this.accounts.push(this.#add(accountsRules, slot, this.accountEvents))
    }
    this.definitions = this.#add(createDefinitionsRules(options), 0, this.definitionEvents)
    for (let slot = 0; slot < options.marketSlots; slot++) {
      this.engines.push(this.#add(engineRules, slot, this.marketEvents))
    }
  }

  /** Called after each item that an account slot has read. */
  onAccountsRead: (state: AccountsState, read: Read, said: readonly string[]) => void = () => {}

  /** Appends a member's command to his slot. */
  edge(command: AccountEdgeCommand): void {
    this.append(Log.accounts, accountSlotOf(command.memberId, this.#options.accountSlots), 'cmd', command)
  }

  define(command: DefinitionCommand): void {
    this.append(Log.definitions, 0, 'cmd', command)
  }

  append(log: Log, slot: number, source: string, item: object): void {
    const target = sourceName(log, slot)
    const key = `${target}<${source}`
    let queue = this.#queues.get(key)
    if (queue === undefined) {
      queue = { target, source, texts: [] }
      this.#queues.set(key, queue)
    }
    queue.texts.push(JSON.stringify(item))
  }

  /** Lets one queue go on by one item; `choose` picks it. @returns whether there was one. */
  step(choose: (count: number) => number = () => 0): boolean {
    const open = [...this.#queues.values()].filter(({ texts }) => texts.length > 0)
    const queue = open[choose(open.length)]
    const text = queue?.texts.shift()
    if (queue === undefined || text === undefined) return false
    const read: Read = { source: queue.source, text, timeUs: this.timeUs++ }
    const machine = this.machines.get(queue.target)
    if (machine === undefined) throw new RangeError(`nobody reads ${queue.target}`)
    const saidBefore = machine.said.length
    machine.apply(read)
    const state = this.accounts.find(({ slot }) => sourceName(Log.accounts, slot) === queue.target)
    if (state !== undefined) this.onAccountsRead(state, read, machine.said.slice(saidBefore))
    return true
  }

  /** Until nothing is on its way. */
  run(choose?: (count: number) => number): this {
    while (this.step(choose)) {}
    return this
  }

  /** The replies since the last call. */
  takeReplies(): Reply[] {
    return this.replies.splice(0)
  }

  #add<State, Item, Event>(rules: Rules<State, Item, Event>, slot: number, events: Event[]): State {
    const name = sourceName(rules.log, slot)
    const machine = createMachine(rules, slot, {
      emit: (event) => events.push(event),
      send: (log, target, item) => this.append(log, target, name, item),
      reply: (reply) => this.replies.push(reply),
    })
    this.machines.set(name, machine)
    return machine.state
  }
}

interface Outlets<Event> {
  emit(event: Event): void
  send(log: Log, slot: number, item: object): void
  reply(reply: Reply): void
}

/** One slot; what it says goes to the outlets and is written down, so that a replay can be compared. */
export function createMachine<State, Item, Event>(
  rules: Rules<State, Item, Event>,
  slot: number,
  outlets: Outlets<Event>,
): Machine & { readonly state: State } {
  const state = rules.initialState(slot)
  const log: Read[] = []
  const said: string[] = []
  let tickets = 0
  return {
    name: sourceName(rules.log, slot),
    state,
    log,
    said,
    apply: (read) => {
      log.push(read)
      const context: Context<Event> = {
        slot,
        timeUs: read.timeUs,
        source: read.source,
        emit: (event) => {
          said.push(JSON.stringify(event))
          outlets.emit(event)
        },
        send: (target, targetSlot, item) => {
          said.push(JSON.stringify({ target, targetSlot, item }))
          outlets.send(target, targetSlot, item)
          return tickets++
        },
        reply: (replyTo, reply, position) => {
          if (replyTo === '') return
          said.push(JSON.stringify({ replyTo, reply, position }))
          outlets.reply(reply)
        },
      }
      rules.apply(state, JSON.parse(read.text) as Item, context)
    },
    stateHash: () => rules.stateHash(state),
  }
}

/** The same log again, from nothing. */
export function replay<State, Item, Event>(
  rules: Rules<State, Item, Event>,
  slot: number,
  log: readonly Read[],
): Machine & { readonly state: State } {
  const machine = createMachine(rules, slot, { emit: () => {}, send: () => {}, reply: () => {} })
  for (const read of log) machine.apply(read)
  return machine
}

/** What is wrong in a slot's books, by asset: the sum over everything, and over the members alone. Empty when all is well. */
export function imbalances(state: AccountsState): string[] {
  const found: string[] = []
  const sums = state.books.assetBooks().map(() => ({ available: 0n, held: 0n }))
  for (let member = 0; member < state.members.count; member++) {
    for (let row = state.members.firstBalanceOf(member); row >= 0; row = state.books.nextOf(row)) {
      const sum = sums[state.books.assetOf(row)]
      if (sum === undefined) continue
      if (state.books.available(row) < 0n || state.books.held(row) < 0n)
        found.push(`negative: ${state.books.after(row)}`)
      sum.available += state.books.available(row)
      sum.held += state.books.held(row)
    }
  }
  for (const [asset, books] of state.books.assetBooks().entries()) {
    const { available, held } = sums[asset] ?? { available: 0n, held: 0n }
    let total = available + held + books.feesMinor - books.depositedMinor
    for (const minor of books.marketsMinor.values()) total += minor
    for (const minor of books.transfersMinor.values()) total += minor
    if (total !== 0n) found.push(`${books.asset}: off by ${total}`)
    if (available !== books.availableMinor || held !== books.heldMinor) found.push(`${books.asset}: sums are stale`)
  }
  return found
}
