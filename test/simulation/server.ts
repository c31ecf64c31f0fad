import type { StreamState } from '#mesh/bus.ts'
import { EVENTS_STREAM, Log, STREAM_OF_LOG } from '#mesh/subjects.ts'
import type { Link } from './link.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** JetStream's code of a failed compare-and-set. */
const WRONG_LAST_SEQUENCE = 10_071

/** A stored message, as every reader is given it. */
export class StoredMessage {
  readonly subject: string
  readonly seq: number
  readonly text: string
  readonly expectedLast: number | undefined
  readonly info: { readonly timestampNanos: number }
  /** Only with the bug that answers early: from when on it can be seen. */
  readonly visibleAtUs: number
  #data: Uint8Array | undefined

  constructor(
    subject: string,
    seq: number,
    text: string,
    stored: { readonly atUs: number; readonly expectedLast: number | undefined; readonly visibleAtUs: number },
  ) {
    this.subject = subject
    this.seq = seq
    this.text = text
    this.expectedLast = stored.expectedLast
    this.info = { timestampNanos: stored.atUs * 1000 }
    this.visibleAtUs = stored.visibleAtUs
  }

  get timeUs(): number {
    return Math.floor(this.info.timestampNanos / 1000)
  }

  get data(): Uint8Array {
    this.#data ??= encoder.encode(this.text)
    return this.#data
  }

  get headers(): { get(name: string): string } {
    return { get: (name) => (name === EXPECTED_LAST && this.expectedLast ? String(this.expectedLast) : '') }
  }

  string(): string {
    return this.text
  }
}

const encoder = new TextEncoder()
export const EXPECTED_LAST = 'Nats-Expected-Last-Subject-Sequence'

export class SimulatedStream {
  readonly name: string
  readonly created: string
  readonly patterns: readonly string[]
  readonly messages: StoredMessage[] = []
  lastSequence = 0
  readonly #lastOf = new Map<string, StoredMessage>()

  constructor(name: string, patterns: readonly string[], created: string) {
    this.name = name
    this.patterns = patterns
    this.created = created
  }

  takes(subject: string): boolean {
    return this.patterns.some((pattern) => matches(pattern, subject))
  }

  lastSequenceOf(subject: string): number {
    return this.#lastOf.get(subject)?.seq ?? 0
  }

  append(message: StoredMessage): void {
    this.messages.push(message)
    this.lastSequence = message.seq
    this.#lastOf.set(message.subject, message)
  }

  last(filter: string): StoredMessage | undefined {
    const exact = this.#lastOf.get(filter)
    if (exact !== undefined) return exact
    let last: StoredMessage | undefined
    for (const [subject, message] of this.#lastOf) {
      if (message.seq > (last?.seq ?? 0) && matches(filter, subject)) last = message
    }
    return last
  }

  at(sequence: number): StoredMessage | undefined {
    const found = this.messages[this.#indexOf(sequence)]
    return found?.seq === sequence ? found : undefined
  }

  from(sequence: number): StoredMessage[] {
    return this.messages.slice(this.#indexOf(sequence))
  }

  info(filter: string | undefined): StreamState {
    const state = { messages: this.messages.length, last_seq: this.lastSequence }
    if (filter === undefined) return { created: this.created, state }
    const subjects: Record<string, number> = {}
    for (const subject of this.#lastOf.keys()) if (matches(filter, subject)) subjects[subject] = 1
    return { created: this.created, state: { ...state, subjects } }
  }

  /** What a power cut does to what was not synced: its last messages never were, and their sequences are used again. */
  loseTail(count: number): void {
    const kept = Math.max(0, this.messages.length - count)
    this.#keep(this.messages.slice(0, kept))
    this.lastSequence = this.messages.at(-1)?.seq ?? 0
  }

  purge(subject: string): void {
    this.#keep(this.messages.filter((message) => message.subject !== subject))
  }

  #keep(messages: readonly StoredMessage[]): void {
    this.messages.splice(0, this.messages.length, ...messages)
    this.#lastOf.clear()
    for (const message of messages) this.#lastOf.set(message.subject, message)
  }

  /** Where the first message from this sequence on is. */
  #indexOf(sequence: number): number {
    let low = 0
    let high = this.messages.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.messages[middle]?.seq ?? 0) < sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** A bug put in on purpose, to see that it is found. */
export type Bug = 'counter_not_restored' | 'answered_before_stored' | 'unfenced_frame'

export interface Published {
  readonly subject: string
  readonly text: string
  readonly reply: string | undefined
  readonly expectedLast: number | undefined
}

/** nats-server, as far as the mesh uses it. What is stored is synced, unless a power cut says otherwise. */
export class SimulatedServer {
  readonly world: World
  readonly random: Random
  readonly streams = new Map<string, SimulatedStream>()
  readonly links = new Set<Link>()
  /** Acks that do not arrive, as a share of all. */
  lostAcks = 0
  /** Commands of the edge that are stored once more, later: a share of all. */
  repeatedCommands = 0
  bug: Bug | undefined
  isUp = true
  /** Counts its lives: nothing reaches a later one. */
  life = 1
  /** The wall clock's error, in milliseconds. */
  skewMs = 0

  constructor(world: World, random: Random) {
    this.world = world
    this.random = random
  }

  ensure(name: string, patterns: readonly string[]): SimulatedStream {
    let stream = this.streams.get(name)
    if (stream === undefined) {
      stream = new SimulatedStream(name, patterns, String(this.world.nowUs))
      this.streams.set(name, stream)
    }
    return stream
  }

  ensureMesh(): void {
    for (const log of Object.values(Log)) this.ensure(STREAM_OF_LOG[log], [`${log}.*.cmd`, `${log}.*.from.*`])
    this.ensure(EVENTS_STREAM, ['events.>'])
  }

  ensureBucket(name: string): SimulatedStream {
    return this.ensure(`KV_${name}`, [`$KV.${name}.>`])
  }

  stream(name: string): SimulatedStream {
    const stream = this.streams.get(name)
    if (stream === undefined) throw new Error(`There is no stream ${name}.`)
    return stream
  }

  /** What a client sent has arrived. */
  publish({ subject, text, reply, expectedLast }: Published): void {
    const stream = this.#streamOf(subject)
    if (stream !== undefined) {
      const ack = this.store(stream, subject, text, expectedLast)
      if (reply !== undefined && !this.random.chance(this.lostAcks)) this.deliver(reply, JSON.stringify(ack))
      return
    }
    const heard = this.deliver(subject, text, reply)
    if (!heard && reply !== undefined) this.deliver(reply, '', undefined, 503)
  }

  store(stream: SimulatedStream, subject: string, text: string, expectedLast: number | undefined): object {
    const isFenced = !(this.bug === 'unfenced_frame' && stream.name === EVENTS_STREAM)
    const last = stream.lastSequenceOf(subject)
    if (expectedLast !== undefined && expectedLast !== last && isFenced) {
      const error = { err_code: WRONG_LAST_SEQUENCE, description: `wrong last sequence: ${last}` }
      return { seq: 0, error }
    }
    const { nowUs } = this.world
    const early = this.bug === 'answered_before_stored' && (subject.includes('.from.') || stream.name === EVENTS_STREAM)
    const message = new StoredMessage(subject, stream.lastSequence + 1, text, {
      atUs: nowUs + this.skewMs * 1000,
      expectedLast,
      visibleAtUs: early ? nowUs + EARLY_US : nowUs,
    })
    stream.append(message)
    this.world.at(message.visibleAtUs, () => {
      if (this.isUp) for (const link of this.links) link.offer(stream, message)
    })
    if (subject.endsWith('.cmd') && this.random.chance(this.repeatedCommands)) this.#repeatLater(stream, message)
    return { seq: message.seq }
  }

  /** To everybody who listens; of a queue group to one. Says whether anybody does. */
  deliver(subject: string, text: string, reply?: string, code?: number): boolean {
    let heard = false
    const served = new Set<string>()
    for (const link of this.links) {
      for (const subscription of link.listening(subject)) {
        const { queue } = subscription
        if (queue !== undefined && served.has(queue)) continue
        if (queue !== undefined) served.add(queue)
        heard = true
        link.down(() => subscription.hand(subject, text, reply, code))
      }
    }
    return heard
  }

  /** Every connection ends; what is stored stays, but for the tails that a power cut takes. */
  crash(tails: ReadonlyMap<string, number>): void {
    this.isUp = false
    this.life++
    for (const link of [...this.links]) link.client.disconnect()
    for (const [name, count] of tails) this.stream(name).loseTail(count)
  }

  restart(): void {
    this.isUp = true
  }

  #streamOf(subject: string): SimulatedStream | undefined {
    for (const stream of this.streams.values()) if (stream.takes(subject)) return stream
    return undefined
  }

  /** As a source of messages does that was not told that this one is taken. */
  #repeatLater(stream: SimulatedStream, { subject, text }: StoredMessage): void {
    this.world.after(this.random.int(1, 3_000), () => {
      if (this.isUp) this.store(stream, subject, text, undefined)
    })
  }
}

const EARLY_US = 20_000

/** `*` is one word of the subject, `>` the rest. */
export function matches(pattern: string, subject: string): boolean {
  if (pattern === subject) return true
  let expression = expressions.get(pattern)
  if (expression === undefined) {
    const words = pattern
      .split('.')
      .map((word) => (word === '*' ? '[^.]+' : word === '>' ? '.+' : word.replace('$', '\\$')))
    expression = new RegExp(`^${words.join('\\.')}$`)
    expressions.set(pattern, expression)
  }
  return expression.test(subject)
}

const expressions = new Map<string, RegExp>()
