import { type MsgHdrs, NoRespondersError, RequestError, TimeoutError } from '@nats-io/transport-node'
import {
  type BucketEntry,
  type BucketStore,
  type Bus,
  type BusMessage,
  type StreamReader,
  type Streams,
  Unanswered,
} from '#mesh/bus.ts'
import type { Time } from '#mesh/time.ts'
import { Link, type Reading, type Subscription } from './link.ts'
import type { SimulatedProcess } from './process.ts'
import { Queue } from './queue.ts'
import type { Random } from './random.ts'
import { EXPECTED_LAST, matches, type SimulatedServer, type SimulatedStream, type StoredMessage } from './server.ts'
import type { World } from './world.ts'

const RECONNECT_MS = 100
const ANSWER_MS_MAX = 5_000

/** One process's connection to the simulated server; it connects again whenever it breaks, as the client's own does. */
export class SimulatedBus implements Bus {
  readonly process: SimulatedProcess
  readonly streams: Streams
  readonly time: Time
  /** How much later than others this process is given what it reads from streams. */
  readLagMs = 0
  /** Asked at everything that is sent: whether the process dies of it, before or after. */
  onSend: () => 'before' | 'after' | undefined = () => undefined
  /** Whether this process is a later life of one that had sent before. */
  isRestarted = false
  readonly #world: World
  readonly #server: SimulatedServer
  readonly #random: Random
  readonly #subscriptions = new Set<Subscription>()
  readonly #readings = new Set<Reading>()
  readonly #statuses = new Set<Queue<{ readonly type: string }>>()
  /** With the bug of that name: how far each pair's count went before this life. */
  readonly #forgotten = new Map<string, number>()
  #link: Link | undefined
  #isClosed = false
  #requests = 0

  constructor(world: World, server: SimulatedServer, process: SimulatedProcess, random: Random) {
    this.#world = world
    this.#server = server
    this.process = process
    this.#random = random
    this.time = process.time
    this.streams = this.#openStreams()
    this.#connect('connect')
  }

  publish(subject: string, text: string, options: { readonly reply?: string; readonly headers?: MsgHdrs } = {}): void {
    const expected = options.headers?.get(EXPECTED_LAST)
    const published = {
      subject,
      text: this.#server.bug === 'counter_not_restored' ? this.#withoutCount(subject, text) : text,
      reply: options.reply,
      expectedLast: expected ? Number(expected) : undefined,
    }
    this.#send(() => this.#server.publish(published))
  }

  subscribe(
    subject: string,
    { queue, callback }: { queue?: string; callback: (error: Error | null, message: BusMessage) => void },
  ): { unsubscribe(): void } {
    const subscription: Subscription = {
      subject,
      queue,
      hand: (on, text, reply, code) => {
        if (this.#subscriptions.has(subscription)) callback(null, this.#message(on, text, reply, code))
      },
    }
    this.#subscriptions.add(subscription)
    this.#listen(subscription)
    return {
      unsubscribe: () => {
        this.#subscriptions.delete(subscription)
        const link = this.#link
        link?.up(() => link.unlisten(subscription))
      },
    }
  }

  async request(subject: string, text: string, { timeout }: { readonly timeout: number }): Promise<BusMessage> {
    const reply = `_INBOX.${this.process.name}.${++this.#requests}`
    const answer = Promise.withResolvers<BusMessage>()
    const subscription = this.subscribe(reply, { callback: (_, message) => answer.resolve(message) })
    const cancel = this.time.after(timeout, () => answer.reject(new TimeoutError()))
    this.publish(subject, text, { reply })
    try {
      const message = await answer.promise
      if (message.headers?.code !== 503) return message
      throw new RequestError(subject, { cause: new NoRespondersError(subject) })
    } finally {
      cancel()
      subscription.unsubscribe()
    }
  }

  status(): AsyncIterable<{ readonly type: string }> {
    const queue = new Queue<{ readonly type: string }>()
    this.#statuses.add(queue)
    return queue
  }

  isClosed(): boolean {
    return this.#isClosed
  }

  isDraining(): boolean {
    return this.#isClosed
  }

  /** For good, as when its process dies. */
  cut(): void {
    this.#isClosed = true
    this.#link?.cut()
    this.#link = undefined
  }

  /** It breaks; the client notices, and connects again. */
  disconnect(awayMs = 0): void {
    if (this.#link === undefined) return
    this.#link.cut()
    this.#link = undefined
    this.process.run(() => this.#tell('disconnect'))
    this.#connectLater(awayMs)
  }

  stall(ms: number): void {
    this.#link?.stall(ms)
  }

  #connectLater(awayMs = 0): void {
    this.#world.after(awayMs + RECONNECT_MS + this.#random.int(0, 20), () => {
      if (this.#isClosed || this.#link !== undefined) return
      if (!this.#server.isUp) return this.#connectLater()
      this.process.run(() => this.#connect('reconnect'))
    })
  }

  #connect(how: 'connect' | 'reconnect'): void {
    if (!this.#server.isUp) {
      this.#connectLater()
      return
    }
    this.#link = new Link(this.#server, this, this.#random)
    for (const subscription of this.#subscriptions) this.#listen(subscription)
    for (const reading of this.#readings) this.#resume(reading)
    if (how === 'reconnect') this.#tell('reconnect')
  }

  #listen(subscription: Subscription): void {
    const link = this.#link
    link?.up(() => link.listen(subscription))
  }

  /** An ordered reader notices by its missed heartbeats that it has to begin anew: that takes its time. */
  #resume(reading: Reading): void {
    const link = this.#link
    this.#world.after(this.#random.int(0, 1_000), () => {
      if (link === this.#link && this.#readings.has(reading)) link?.up(() => link.feed(reading))
    })
  }

  #tell(type: string): void {
    for (const queue of this.#statuses) queue.push({ type })
  }

  #send(run: () => void): void {
    if (!this.process.isAlive) return
    const death = this.onSend()
    if (death !== 'before') this.#link?.up(run)
    if (death !== undefined) this.process.kill()
  }

  #message(subject: string, text: string, reply: string | undefined, code: number | undefined): BusMessage {
    return {
      subject,
      get data() {
        return new TextEncoder().encode(text)
      },
      ...(code === undefined ? {} : { headers: { code } }),
      string: () => text,
      json: <T>() => JSON.parse(text) as T,
      respond: (payload) => {
        if (reply !== undefined) this.publish(reply, payload)
      },
    }
  }

  /** A question to the server. It fails when no answer comes in time, whatever became of it. */
  #ask<Answer>(question: (link: Link) => Answer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const cancel = this.time.after(ANSWER_MS_MAX, () => reject(new Unanswered(new TimeoutError())))
      const link = this.#link
      if (link === undefined) return
      this.#send(() => {
        let settle: () => void
        try {
          const answer = question(link)
          settle = () => resolve(answer)
        } catch (error) {
          settle = () => reject(error)
        }
        link.down(() => {
          cancel()
          settle()
        })
      })
    })
  }

  #openStreams(): Streams {
    const server = this.#server
    const visible = (message: StoredMessage | undefined): StoredMessage | undefined =>
      message !== undefined && message.visibleAtUs > this.#world.nowUs ? undefined : message
    return {
      ensure: () => this.#ask(() => server.ensureMesh()),
      info: (stream, filter) => this.#ask(() => server.streams.get(stream)?.info(filter)),
      last: (stream, subject) => this.#ask(() => lastVisible(server.stream(stream), subject, this.#world.nowUs)),
      at: (stream, sequence) => this.#ask(() => visible(server.stream(stream).at(sequence))),
      read: (stream, filter, from) => this.#read(stream, filter, from),
      bucket: async (name) => {
        await this.#ask(() => void server.ensureBucket(name))
        return this.#openBucket(name)
      },
    }
  }

  async #read(stream: string, filter: string, from: number): Promise<StreamReader> {
    const queue = new Queue<StoredMessage>()
    const reading: Reading = {
      stream,
      filter,
      nextSequence: from,
      take: (message) => {
        if (message.seq < reading.nextSequence) return
        reading.nextSequence = message.seq + 1
        queue.push(message)
      },
    }
    await this.#ask((link) => link.feed(reading))
    this.#readings.add(reading)
    return Object.assign(queue, {
      stop: () => {
        this.#readings.delete(reading)
        const link = this.#link
        link?.up(() => link.unfeed(reading))
        queue.end()
      },
    })
  }

  #openBucket(name: string): BucketStore {
    const server = this.#server
    const subjectOf = (key: string): string => `$KV.${name}.${key}`
    const put = (key: string, value: string, previousSeq: number | undefined): Promise<number> =>
      this.#ask(() => {
        const ack = server.store(server.ensureBucket(name), subjectOf(key), value, previousSeq)
        if ('error' in ack) throw new Error(`The key ${key} of ${name} has another revision.`)
        return 'seq' in ack ? Number(ack.seq) : 0
      })
    return {
      get: (key) =>
        this.#ask(() => {
          const last = server.ensureBucket(name).last(subjectOf(key))
          return last === undefined ? null : entryOf(name, last)
        }),
      put: (key, value, options) => put(key, value, options?.previousSeq),
      delete: async (key) => void (await put(key, DELETED, undefined)),
      watch: async () => {
        const pattern = `$KV.${name}.>`
        const there = await this.#ask(() => lastOfEach(server.ensureBucket(name)))
        const reader = await this.#read(`KV_${name}`, pattern, (there.at(-1)?.seq ?? 0) + 1)
        const entries = new Queue<BucketEntry & { readonly delta?: number }>()
        for (const [index, message] of there.entries()) {
          entries.push({ ...entryOf(name, message), delta: there.length - index - 1 })
        }
        void (async () => {
          for await (const message of reader) entries.push(entryOf(name, message as StoredMessage))
          entries.end()
        })()
        return Object.assign(entries, {
          stop: () => {
            reader.stop()
            entries.end()
          },
        })
      },
    }
  }

  #withoutCount(subject: string, text: string): string {
    if (!this.isRestarted || !subject.includes('.from.')) return text
    const end = text.indexOf('\n')
    const header = JSON.parse(text.slice(0, end)) as { first: number; before: number }
    let forgotten = this.#forgotten.get(subject)
    if (forgotten === undefined) {
      forgotten = header.first - 1
      this.#forgotten.set(subject, forgotten)
    }
    return `${JSON.stringify({ ...header, first: header.first - forgotten })}${text.slice(end)}`
  }
}

/** What a deleted key's last message holds. */
const DELETED = '\0'

function entryOf(bucket: string, { subject, seq, text }: StoredMessage): BucketEntry {
  return {
    key: subject.slice(`$KV.${bucket}.`.length),
    operation: text === DELETED ? 'DEL' : 'PUT',
    revision: seq,
    string: () => text,
    json: <T>() => JSON.parse(text) as T,
  }
}

function lastOfEach(stream: SimulatedStream): StoredMessage[] {
  return stream.messages.filter((message) => stream.lastSequenceOf(message.subject) === message.seq)
}

function lastVisible(stream: SimulatedStream, subject: string, nowUs: number): StoredMessage | undefined {
  const last = stream.last(subject)
  if (last === undefined || last.visibleAtUs <= nowUs) return last
  return stream.messages.findLast((message) => message.visibleAtUs <= nowUs && matches(subject, message.subject))
}
