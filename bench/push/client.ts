/** A process of WebSocket clients. Takes tasks from its parent, one at a time, and answers each with what it measured. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { ClientBook } from '../../test/support/stream.ts'

export interface ClientSpec {
  readonly url: string
  readonly token: string
  readonly instrument: string
}

export type ClientTask =
  /** Connects all of them, evenly over so many milliseconds; with `resume` from their last private positions. */
  | {
      readonly kind: 'connect'
      readonly clients: readonly ClientSpec[]
      readonly overMs: number
      readonly resume: boolean
    }
  | { readonly kind: 'measure'; readonly ms: number }
  | { readonly kind: 'disconnect' }

export interface Measured {
  readonly deliveries: number
  /** From the engine's event to the client, of changes of books and trades, in milliseconds. */
  readonly latenciesMs: readonly number[]
  /** How old what a client had was when it got something newer, in milliseconds. */
  readonly agesMs: readonly number[]
  readonly checked: number
  readonly dropped: number
  readonly reloads: number
  /** Connections that had to be made again before they were served. */
  readonly retried: number
}

const PRIVATE = ['orders', 'fills', 'balances'] as const
/** Every so many clients put their books together and compare each checksum; the others look at the numbers alone. */
const CHECKED_EACH = 20
/** Latencies that are kept, by chance once there are more. */
const SAMPLES_MAX = 100_000
const READY_MS_MAX = 60_000
const RETRY_MS = 500

class BenchClient {
  readonly spec: ClientSpec
  readonly positions: Record<string, string> = {}
  socket: WebSocket | undefined
  /** Private channels that have said from where on they tell everything. */
  ready = 0
  #book: ClientBook | undefined
  #last = 0
  #timeMs = 0
  #resume = false

  constructor(spec: ClientSpec) {
    this.spec = spec
  }

  connect(isChecked: boolean, resume: boolean): void {
    const { url } = this.spec
    this.#resume = resume
    this.ready = 0
    this.#last = 0
    this.#book = isChecked ? new ClientBook(10) : undefined
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v3/stream`, { perMessageDeflate: false })
    this.socket = socket
    socket.on('open', () => this.#logIn())
    socket.on('message', (data) => this.#take(String(data)))
    socket.on('error', (error) => {
      tally.lastDrop = error.message
    })
    socket.on('close', (code) => {
      if (this.socket !== socket) return
      if (this.ready < PRIVATE.length) {
        // As any client does that did not come in.
        tally.retried += 1
        setTimeout(() => this.connect(isChecked, resume), RETRY_MS)
      } else {
        tally.dropped += 1
        tally.lastDrop += ` ${code}`
      }
    })
  }

  #logIn(): void {
    this.socket?.send(JSON.stringify({ op: 'login', token: this.spec.token }))
  }

  #subscribe(): void {
    const { instrument } = this.spec
    const channels = [`orderbook:${instrument}:10`, `trades:${instrument}`, ...PRIVATE]
    const positions = this.#resume ? { positions: this.positions } : {}
    this.socket?.send(JSON.stringify({ op: 'subscribe', channels, ...positions }))
  }

  disconnect(): void {
    const { socket } = this
    this.socket = undefined
    socket?.terminate()
  }

  #take(text: string): void {
    const type = text.slice(9, text.indexOf('"', 9))
    switch (type) {
      case 'orderbook.snapshot':
        this.#last = Number(textOf(text, 'sequence'))
        this.#book?.take(JSON.parse(text))
        break
      case 'orderbook.change': {
        assert.equal(Number(textOf(text, 'first')), this.#last + 1, 'a change follows what came before it')
        this.#last = Number(textOf(text, 'last'))
        this.#time(Date.parse(textOf(text, 'time')))
        if (this.#book !== undefined) {
          this.#book.take(JSON.parse(text))
          tally.checked += 1
        }
        break
      }
      case 'trades':
        break
      case 'position':
      case 'reload':
        this.ready += 1
        this.positions[textOf(text, 'channel')] = textOf(text, 'position')
        if (type === 'reload') tally.reloads += 1
        return
      case 'orders':
      case 'fills':
      case 'balances':
        this.positions[type] = textOf(text, 'position')
        break
      case 'result':
        if (text.includes('"op":"login"')) this.#subscribe()
        return
      case 'error':
        // A gateway that has no time at all tells nobody who he is; it is asked again.
        if (!text.includes('"auth_not_ready"')) throw new Error(text)
        setTimeout(() => this.#logIn(), RETRY_MS)
        return
      default:
        return
    }
    tally.deliveries += 1
  }

  #time(atMs: number): void {
    const nowMs = Date.now()
    keep(tally.latenciesMs, nowMs - atMs)
    if (this.#timeMs > 0) keep(tally.agesMs, nowMs - this.#timeMs)
    this.#timeMs = atMs
  }
}

function textOf(text: string, name: string): string {
  const at = text.indexOf(`"${name}":"`) + name.length + 4
  return text.slice(at, text.indexOf('"', at))
}

interface Tally {
  deliveries: number
  latenciesMs: number[]
  agesMs: number[]
  checked: number
  dropped: number
  reloads: number
  retried: number
  lastDrop: string
}

const fresh = (): Tally => ({
  deliveries: 0,
  latenciesMs: [],
  agesMs: [],
  checked: 0,
  dropped: 0,
  reloads: 0,
  retried: 0,
  lastDrop: '',
})
let tally = fresh()
let clients: BenchClient[] = []

function keep(samples: number[], sample: number): void {
  if (samples.length < SAMPLES_MAX) samples.push(sample)
  else samples[Math.floor(Math.random() * SAMPLES_MAX)] = sample
}

/** @returns how long it took until the last one was served, in milliseconds */
async function connectAll(task: Extract<ClientTask, { kind: 'connect' }>): Promise<number> {
  if (!task.resume) clients = task.clients.map((spec) => new BenchClient(spec))
  const beganAtMs = performance.now()
  for (const [index, client] of clients.entries()) {
    const dueMs = (index / clients.length) * task.overMs
    const aheadMs = dueMs - (performance.now() - beganAtMs)
    if (aheadMs > 5) await sleep(aheadMs)
    client.connect(index % CHECKED_EACH === 0, task.resume)
  }
  while (clients.some(({ ready }) => ready < PRIVATE.length)) {
    const waiting = clients.filter(({ ready }) => ready < PRIVATE.length).length
    if (performance.now() - beganAtMs > task.overMs + READY_MS_MAX) {
      throw new Error(
        `${waiting} clients are not served; ${tally.dropped} were dropped, the last with ${tally.lastDrop}.`,
      )
    }
    await sleep(20)
  }
  return performance.now() - beganAtMs
}

async function carryOut(task: ClientTask): Promise<object> {
  switch (task.kind) {
    case 'connect': {
      const readyMs = await connectAll(task)
      return { readyMs, reloads: tally.reloads, retried: tally.retried }
    }
    case 'measure': {
      tally = fresh()
      await sleep(task.ms)
      const { lastDrop: _, ...measured } = tally
      return measured satisfies Measured
    }
    case 'disconnect':
      for (const client of clients) client.disconnect()
      return {}
  }
}

process.on('message', (task: ClientTask) => {
  carryOut(task).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
