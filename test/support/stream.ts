import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { type ClientOptions, WebSocket } from 'ws'
import { eventually } from './eventually.ts'

// biome-ignore lint/suspicious/noExplicitAny: what comes over the wire is asserted field by field
type Message = any

/** A plain client of the stream: keeps everything that it was told, in order. */
export class StreamClient implements Disposable {
  readonly socket: WebSocket
  readonly messages: Message[] = []
  /** The close frame: code and reason. */
  closed: { readonly code: number; readonly reason: string } | undefined
  #ids = 0

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => this.messages.push(JSON.parse(String(data))))
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
    })
    socket.on('error', () => {})
  }

  /** `url`: of a gateway, with http. */
  static async connect(
    url: string,
    token?: string,
    headers: Record<string, string> = {},
    options: ClientOptions = {},
  ): Promise<StreamClient> {
    const address = `${url.replace(/^http/, 'ws')}/api/v3/stream`
    const client = new StreamClient(new WebSocket(address, { headers, ...options }))
    await client.of('welcome')
    if (token !== undefined) await client.ok({ op: 'login', token })
    return client
  }

  send(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  /** The answer to a message. */
  async ask(message: object): Promise<Message> {
    this.#ids += 1
    const id = `m${this.#ids}`
    this.send({ ...message, id })
    return await this.until(() => this.messages.find((one) => one.id === id), `an answer to ${JSON.stringify(message)}`)
  }

  /** The result of a message that is carried out. */
  async ok(message: object): Promise<Message> {
    const answer = await this.ask(message)
    assert.equal(answer.type, 'result', JSON.stringify(answer))
    return answer.result
  }

  async refused(message: object, code: string, field?: string): Promise<void> {
    const answer = await this.ask(message)
    assert.deepEqual([answer.type, answer.error?.code, answer.error?.field], ['error', code, field])
  }

  /** The first message of this type that is accepted. */
  of(type: string, accepts: (message: Message) => boolean = () => true): Promise<Message> {
    return this.until(() => this.messages.find((one) => one.type === type && accepts(one)), `a message ${type}`)
  }

  all(type: string): Message[] {
    return this.messages.filter((one) => one.type === type)
  }

  until<Found>(find: () => Found | undefined, what: string): Promise<Found> {
    return eventually(() => {
      const found = find()
      if (found === undefined) {
        const last = JSON.stringify(this.messages.slice(-3))
        throw new Error(`There is no ${what}; closed: ${JSON.stringify(this.closed)}; the last: ${last}`)
      }
      return found
    }, 20_000)
  }

  untilClosed(): Promise<{ readonly code: number; readonly reason: string }> {
    return this.until(() => this.closed, 'close frame')
  }

  [Symbol.dispose](): void {
    this.socket.terminate()
  }
}

/** A book put together from the messages of a channel alone, as the documentation says it. */
export class ClientBook {
  readonly #depth: number
  bids: [string, string][] = []
  asks: [string, string][] = []
  sequence = 0
  changes = 0
  snapshots = 0

  constructor(depth = Number.POSITIVE_INFINITY) {
    this.#depth = depth
  }

  take(message: Message): void {
    if (message.type === 'orderbook.snapshot') {
      this.bids = message.bids
      this.asks = message.asks
      this.sequence = Number(message.sequence)
      this.snapshots += 1
    } else {
      assert.equal(Number(message.first), this.sequence + 1, 'a change follows what came before it')
      for (const level of message.bids) put(this.bids, level, (a, b) => a > b)
      for (const level of message.asks) put(this.asks, level, (a, b) => a < b)
      this.sequence = Number(message.last)
      this.changes += 1
    }
    assert(this.bids.length <= this.#depth && this.asks.length <= this.#depth, 'no more levels than asked for')
    assert.equal(this.#checksum(), message.checksum, `the checksum after ${this.sequence} fits`)
  }

  #checksum(): number {
    const parts: string[] = []
    for (let index = 0; index < 10; index++) {
      for (const side of [this.bids, this.asks]) parts.push(...(side[index] ?? []))
    }
    return crc32(parts.join(':'))
  }
}

function put(
  levels: [string, string][],
  [price, amount]: [string, string],
  isBetter: (a: number, b: number) => boolean,
): void {
  const at = levels.findIndex(([other]) => other === price || isBetter(Number(price), Number(other)))
  const place = at < 0 ? levels.length : at
  const isThere = levels[place]?.[0] === price
  if (Number(amount) === 0) {
    assert(isThere, 'what goes away was there')
    levels.splice(place, 1)
  } else levels.splice(place, isThere ? 1 : 0, [price, amount])
}
