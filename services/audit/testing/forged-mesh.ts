import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { encodeFrame, FRAME_VERSION } from '#mesh/frames.ts'
import type { Rules } from '#mesh/machine/rules.ts'
import { type LogMessage, SlotFold } from '#mesh/machine/slot.ts'
import { encodePairMessage } from '#mesh/machine/wire.ts'
import { createStore } from '#mesh/store.ts'
import { ensureStreams, type MeshShape } from '#mesh/streams.ts'
import { commandSubject, framesSubject, Log, STREAM_OF_LOG, sourceName } from '#mesh/subjects.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import { createDefinitionsRules } from '#services/accounts/domain/definitions-rules.ts'
import { appendFirstDefinitions } from '#services/accounts/first-definitions.ts'
import { engineRules } from '#services/engine/domain/rules.ts'

/** What is stored in place of what was said; the slots themselves go on as if nothing had been done to it. */
export type Tamper = (stored: { readonly subject: string; readonly text: string; readonly count: number }) => string

interface Slot {
  readonly name: string
  readonly log: Log
  readonly number: number
  readonly fold: SlotFold<unknown, object, object>
  readonly inbox: LogMessage[]
  lastFrame: number
}

/**
 * A mesh without owners: the real rules on real streams, one slot at a time, so that a test decides what is stored of it.
 * Frames and items between slots are written as the owners write them.
 */
export class ForgedMesh {
  readonly #nats: NatsConnection
  readonly #store: ReturnType<typeof createStore>
  readonly #slots = new Map<string, Slot>()
  readonly #counts = new Map<string, number>()
  readonly #lastOf = new Map<string, number>()
  tamper: Tamper = ({ text }) => text

  private constructor(nats: NatsConnection) {
    this.#nats = nats
    this.#store = createStore(nats)
  }

  static async create(nats: NatsConnection, shape: MeshShape): Promise<ForgedMesh> {
    const mesh = new ForgedMesh(nats)
    await ensureStreams(nats, shape)
    mesh.#add(createAccountsRules(shape), shape.accountSlots)
    mesh.#add(engineRules, shape.marketSlots)
    mesh.#add(createDefinitionsRules(shape), 1)
    await appendFirstDefinitions(nats)
    await mesh.#read(Log.definitions, 1, '')
    await mesh.settle()
    return mesh
  }

  /** Stores commands as one message of the edge. */
  async append(slot: number, commands: readonly object[]): Promise<number> {
    const subject = commandSubject(Log.accounts, slot)
    return await this.#storeInput(subject, commands.map((command) => JSON.stringify(command)).join('\n'))
  }

  /** Stores any message, and gives it to its slot. */
  async say(subject: string, text: string): Promise<number> {
    return await this.#storeInput(subject, text)
  }

  /** Until nobody has anything to do. */
  async settle(): Promise<void> {
    for (let busy = true; busy; ) {
      busy = false
      for (const slot of this.#slots.values()) {
        if (slot.inbox.length === 0) continue
        busy = true
        await this.#work(slot)
      }
    }
  }

  #add<State, Item, Event>(rules: Rules<State, Item, Event>, count: number): void {
    for (let number = 0; number < count; number++) {
      const name = sourceName(rules.log, number)
      const fold = new SlotFold(rules, number) as unknown as Slot['fold']
      this.#slots.set(name, { name, log: rules.log, number, fold, inbox: [], lastFrame: 0 })
    }
  }

  /** Everything at hand, one frame. */
  async #work(slot: Slot): Promise<void> {
    const { fold } = slot
    for (const message of slot.inbox.splice(0)) {
      if (fold.apply(message, 0) >= 0) throw new Error('a forged frame has room for all')
    }
    const { inFrom, inTo, complete, eventLines } = fold.takeDraft()
    const header = { inFrom, inTo, complete, hash: fold.hash, timeUs: fold.timeUs, version: FRAME_VERSION }
    const subject = framesSubject(slot.log, slot.number)
    const text = this.#tampered(subject, encodeFrame(header, eventLines))
    slot.lastFrame = await this.#store.append(subject, text, slot.lastFrame)
    for (const pair of fold.pairsOut.values()) {
      if (pair.unsent.length === 0) continue
      const message = encodePairMessage({ first: pair.stored.count + 1, before: pair.stored.hash }, pair.unsent)
      const sequence = await this.#storeInput(pair.subject, message)
      pair.unsent = []
      pair.stored = { count: pair.count, hash: pair.hash, sequence }
    }
  }

  async #storeInput(subject: string, text: string): Promise<number> {
    const sequence = await this.#store.append(subject, this.#tampered(subject, text), this.#lastOf.get(subject) ?? 0)
    this.#lastOf.set(subject, sequence)
    const log = Object.values(Log).find((name) => subject.startsWith(`${name}.`)) ?? Log.accounts
    await this.#read(log, sequence, text)
    return sequence
  }

  /** Gives a stored message to its slot, as it was said. */
  async #read(log: Log, sequence: number, said: string): Promise<void> {
    const { streams } = await jetstreamManager(this.#nats)
    const stored = await streams.getMessage(STREAM_OF_LOG[log], { seq: sequence })
    if (stored === null) throw new Error(`${log} has no message ${sequence}`)
    const [, number, kind, source] = stored.subject.split('.')
    this.#slots.get(`${log}-${number}`)?.inbox.push({
      sequence,
      timeUs: microseconds(stored.timestamp),
      source: kind === 'from' ? (source ?? '') : 'cmd',
      text: said === '' ? stored.string() : said,
    })
  }

  #tampered(subject: string, text: string): string {
    const count = (this.#counts.get(subject) ?? 0) + 1
    this.#counts.set(subject, count)
    return this.tamper({ subject, text, count })
  }
}

/** `2026-01-02T03:04:05.678901234Z` in microseconds since 1970, rounded as a consumer's delivery rounds it. */
function microseconds(timestamp: string): number {
  const [, seconds, fraction] = /^(.*?)(?:\.([0-9]+))?Z$/.exec(timestamp) ?? []
  const nanos = BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt((fraction ?? '').padEnd(9, '0'))
  return Math.floor(Number(nanos) / 1000)
}
