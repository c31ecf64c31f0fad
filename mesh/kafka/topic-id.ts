import { connect, type Socket } from 'node:net'

/**
 * Ids of topics: another one under the same name is another topic. kafkajs speaks versions of the protocol that have none, so
 * this asks by itself: Metadata, version 12, for one topic. The connection is kept: a new one for each batch of messages took a
 * thirtieth of the ingest's time.
 */
export class TopicIds {
  readonly #brokers: readonly string[]
  #line: Line | undefined

  constructor(brokers: readonly string[]) {
    this.#brokers = brokers
  }

  /** Asked at every call: of the broker that answered last, then of each. @throws what the last one failed with */
  async of(topic: string): Promise<string | undefined> {
    const request = metadataRequest(topic)
    const last = this.#line?.isOpen ? [this.#line.broker] : []
    let failure: unknown
    for (const broker of [...last, ...this.#brokers]) {
      try {
        return readTopicId(await this.#lineTo(broker).ask(request))
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  #lineTo(broker: string): Line {
    if (this.#line?.isOpen && this.#line.broker === broker) return this.#line
    this.close()
    this.#line = new Line(broker)
    return this.#line
  }

  close(): void {
    this.#line?.close()
    this.#line = undefined
  }
}

const ANSWER_MS_MAX = 3_000
const SIZE_BYTES = 4
const METADATA = 3
const VERSION = 12
const UNKNOWN_TOPIC = 3
const ID_BYTES = 16
/** An empty array or text, null, no tagged fields, false: the protocol's one byte for each. */
const NONE = 0

function metadataRequest(topic: string): Buffer {
  const head = Buffer.alloc(10)
  head.writeInt16BE(METADATA, 0)
  head.writeInt16BE(VERSION, 2)
  // Correlation 0, and a client id of no characters.
  const name = Buffer.from(topic)
  const body = Buffer.concat([
    Buffer.from([NONE, 2]),
    Buffer.alloc(ID_BYTES),
    Buffer.from([...unsigned(name.length + 1), ...name, NONE]),
    // No topic is made for the question, nor are rights asked for.
    Buffer.from([NONE, NONE, NONE]),
  ])
  const size = Buffer.alloc(SIZE_BYTES)
  size.writeInt32BE(head.length + body.length)
  return Buffer.concat([size, head, body])
}

/** A connection on which one answer comes for each request, in their order. */
class Line {
  readonly broker: string
  isOpen = true
  readonly #socket: Socket
  readonly #waiting: PromiseWithResolvers<Buffer>[] = []
  #received = Buffer.alloc(0)

  constructor(broker: string) {
    this.broker = broker
    const [host = '', port = ''] = broker.split(':')
    this.#socket = connect({ host, port: Number(port), noDelay: true })
    // Nothing waits for it alone.
    this.#socket.unref()
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error(`${broker} closed the connection.`)))
    this.#socket.on('data', (data) => this.#take(data))
  }

  /** @returns the response without its size. */
  async ask(request: Buffer): Promise<Buffer> {
    const answer = Promise.withResolvers<Buffer>()
    this.#waiting.push(answer)
    this.#socket.write(request)
    const late = setTimeout(() => {
      this.#fail(new Error(`No answer from ${this.broker} within ${ANSWER_MS_MAX} ms.`))
    }, ANSWER_MS_MAX)
    try {
      return await answer.promise
    } finally {
      clearTimeout(late)
    }
  }

  close(): void {
    this.#fail(new Error(`The connection to ${this.broker} is closed.`))
  }

  #take(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data])
    while (this.#received.length >= SIZE_BYTES) {
      const end = SIZE_BYTES + this.#received.readInt32BE(0)
      if (this.#received.length < end) return
      this.#waiting.shift()?.resolve(this.#received.subarray(SIZE_BYTES, end))
      this.#received = this.#received.subarray(end)
    }
  }

  #fail(error: Error): void {
    this.isOpen = false
    this.#socket.destroy()
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}

function readTopicId(response: Buffer): string | undefined {
  // Correlation, tagged fields, throttle time.
  const reader = new Reader(response, 4 + 1 + 4)
  const brokersCount = reader.unsigned() - 1
  for (let at = 0; at < brokersCount; at++) {
    reader.skip(4)
    reader.skipText()
    reader.skip(4)
    reader.skipText()
    reader.skipTags()
  }
  reader.skipText()
  reader.skip(4)
  if (reader.unsigned() - 1 !== 1) throw new Error('The broker answers for another number of topics than one.')
  const code = reader.int16()
  if (code === UNKNOWN_TOPIC) return undefined
  if (code !== 0) throw new Error(`The broker refuses to tell the topic's id (error ${code}).`)
  reader.skipText()
  return reader.take(ID_BYTES).toString('base64url')
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

class Reader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  int16(): number {
    return this.take(2).readInt16BE()
  }

  unsigned(): number {
    const byte = this.take(1).readUInt8()
    return byte < 0x80 ? byte : (byte & 0x7f) + this.unsigned() * 0x80
  }

  take(count: number): Buffer {
    this.skip(count)
    return this.#bytes.subarray(this.#at - count, this.#at)
  }

  skip(count: number): void {
    this.#at += count
    if (this.#at > this.#bytes.length) throw new RangeError('The answer of the broker is too short.')
  }

  /** Its length plus one stands before it; 0 is null. */
  skipText(): void {
    this.skip(Math.max(0, this.unsigned() - 1))
  }

  skipTags(): void {
    for (let left = this.unsigned(); left > 0; left--) {
      this.unsigned()
      this.skip(this.unsigned())
    }
  }
}
