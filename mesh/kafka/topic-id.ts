import { connect } from 'node:net'

/**
 * A topic's id: another one under the same name is another topic. kafkajs speaks versions of the protocol that have none, so
 * this asks by itself: Metadata, version 12, for one topic.
 */
export async function topicId(brokers: readonly string[], topic: string): Promise<string | undefined> {
  let failure: unknown
  for (const broker of brokers) {
    try {
      return readTopicId(await ask(broker, metadataRequest(topic)))
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

const ANSWER_MS_MAX = 3_000
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
  const size = Buffer.alloc(4)
  size.writeInt32BE(head.length + body.length)
  return Buffer.concat([size, head, body])
}

/** One request on a connection of its own, and the whole response without its size. */
function ask(broker: string, request: Buffer): Promise<Buffer> {
  const [host = '', port = ''] = broker.split(':')
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const socket = connect({ host, port: Number(port), noDelay: true })
    const fail = (error: Error): void => {
      socket.destroy()
      reject(error)
    }
    socket.setTimeout(ANSWER_MS_MAX, () => fail(new Error(`No answer from ${broker} within ${ANSWER_MS_MAX} ms.`)))
    socket.once('error', fail)
    socket.once('close', () => fail(new Error(`${broker} closed the connection.`)))
    socket.on('data', (data) => {
      received = Buffer.concat([received, data])
      if (received.length < 4 || received.length < received.readInt32BE(0) + 4) return
      resolve(received.subarray(4))
      socket.destroy()
    })
    socket.write(request)
  })
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
