import type { SimulatedBus } from './bus.ts'
import type { Random } from './random.ts'
import { matches, type SimulatedServer, type SimulatedStream, type StoredMessage } from './server.ts'

/** Who listens to a subject on core NATS. */
export interface Subscription {
  readonly subject: string
  readonly queue: string | undefined
  hand(subject: string, text: string, reply: string | undefined, code: number | undefined): void
}

/** Who reads a stream in order. */
export interface Reading {
  readonly stream: string
  readonly filter: string
  /** The first sequence that it has not been given. */
  nextSequence: number
  take(message: StoredMessage): void
}

interface Feed {
  readonly reading: Reading
  nextSequence: number
  atUs: number
}

/** `a.b.*` of `a.b.c`. */
const siblings = (subject: string): string => `${subject.slice(0, subject.lastIndexOf('.'))}.*`

/** Longest usual time on the way, in microseconds. */
const LATENCY_US = 300
/** Messages of a backlog that come at once. */
const BACKLOG_AT_ONCE = 50

/**
 * One connection, until it breaks. In each direction things arrive in order or not at all; what was under way to the server
 * when it broke may still arrive, and late.
 */
export class Link {
  readonly client: SimulatedBus
  readonly #server: SimulatedServer
  readonly #random: Random
  readonly #life: number
  readonly #subscriptions = new Map<string, Set<Subscription>>()
  readonly #wildcards = new Set<Subscription>()
  readonly #feeds = new Map<Reading, Feed>()
  #isAlive = true
  #sent = 0
  #arrived = 0
  #arriveMax = Number.POSITIVE_INFINITY
  #upAtUs = 0
  #downAtUs = 0
  /** Nothing arrives before, in either direction. */
  #stalledUntilUs = 0

  constructor(server: SimulatedServer, client: SimulatedBus, random: Random) {
    this.#server = server
    this.client = client
    this.#random = random
    this.#life = server.life
    server.links.add(this)
  }

  /** On its way to the server. */
  up(run: () => void): void {
    const { world } = this.#server
    const number = ++this.#sent
    this.#upAtUs = this.#arrival(this.#upAtUs)
    world.at(this.#upAtUs, () => {
      if (number > this.#arriveMax || !this.#server.isUp || this.#server.life !== this.#life) return
      this.#arrived = number
      run()
    })
  }

  /** On its way to the client. */
  down(run: () => void): void {
    this.#downAtUs = this.#arrival(this.#downAtUs)
    this.#server.world.at(this.#downAtUs, () => {
      if (this.#isAlive) this.client.process.run(run)
    })
  }

  stall(ms: number): void {
    this.#stalledUntilUs = this.#server.world.nowUs + ms * 1000
  }

  cut(): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    this.#arriveMax = this.#random.int(this.#arrived, this.#sent)
    this.#server.links.delete(this)
  }

  listen(subscription: Subscription): void {
    if (!this.#isAlive) return
    // `inbox.*` is looked up by its name, as most messages are acks.
    if (/[*>]/.test(subscription.subject.replace(/\.\*$/, ''))) return void this.#wildcards.add(subscription)
    const known = this.#subscriptions.get(subscription.subject)
    if (known === undefined) this.#subscriptions.set(subscription.subject, new Set([subscription]))
    else known.add(subscription)
  }

  unlisten(subscription: Subscription): void {
    this.#wildcards.delete(subscription)
    this.#subscriptions.get(subscription.subject)?.delete(subscription)
  }

  listening(subject: string): Subscription[] {
    const found = [...(this.#subscriptions.get(subject) ?? [])]
    for (const subscription of this.#subscriptions.get(siblings(subject)) ?? []) found.push(subscription)
    for (const subscription of this.#wildcards) if (matches(subscription.subject, subject)) found.push(subscription)
    return found
  }

  /** From here on the reading is given what is stored from its next sequence on. */
  feed(reading: Reading): void {
    if (!this.#isAlive) return
    const feed: Feed = { reading, nextSequence: reading.nextSequence, atUs: 0 }
    this.#feeds.set(reading, feed)
    const { world } = this.#server
    const backlog = this.#server
      .stream(reading.stream)
      .from(reading.nextSequence)
      .filter((message) => message.visibleAtUs <= world.nowUs && matches(reading.filter, message.subject))
    for (let from = 0; from < backlog.length; from += BACKLOG_AT_ONCE) {
      this.#hand(feed, backlog.slice(from, from + BACKLOG_AT_ONCE))
    }
  }

  unfeed(reading: Reading): void {
    this.#feeds.delete(reading)
  }

  /** A message was stored. */
  offer(stream: SimulatedStream, message: StoredMessage): void {
    for (const feed of this.#feeds.values()) {
      const { reading } = feed
      if (reading.stream !== stream.name || message.seq < feed.nextSequence) continue
      if (matches(reading.filter, message.subject)) this.#hand(feed, [message])
    }
  }

  #hand(feed: Feed, messages: readonly StoredMessage[]): void {
    const { reading } = feed
    feed.nextSequence = (messages.at(-1)?.seq ?? 0) + 1
    // Each reading keeps its own order; among them, and towards acks, there is none.
    feed.atUs = Math.max(feed.atUs + 1, this.#arrival(0) + this.client.readLagMs * 1000)
    this.#server.world.at(feed.atUs, () => {
      if (!this.#isAlive) return
      this.client.process.run(() => {
        if (this.#feeds.has(reading)) for (const message of messages) reading.take(message)
      })
    })
  }

  #arrival(notBeforeUs: number): number {
    const { nowUs } = this.#server.world
    const usualUs = nowUs + 20 + this.#random.next() ** 3 * LATENCY_US
    return Math.max(notBeforeUs + 1, usualUs, this.#stalledUntilUs)
  }
}
