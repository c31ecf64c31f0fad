import type { ConfirmChannel } from 'amqplib'
import { bindResults, RabbitmqLink } from './rabbitmq-link.ts'

const RESULTS = 'test.results'

export interface Told {
  readonly id: string
  readonly routingKey: string
  readonly outcome: string
  readonly requestId: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire is asserted field by field
  readonly body: any
}

export interface Message {
  readonly queue: string
  readonly body: object | string | Buffer
  readonly token?: string
  readonly memberId?: number
  readonly messageId?: string
  readonly headers?: Readonly<Record<string, unknown>>
}

/** A broker's system: sends messages, and keeps everything that it is told. */
export class RabbitmqClient implements AsyncDisposable {
  #link: RabbitmqLink | undefined
  /** By id, first come first. */
  readonly told = new Map<string, Told>()
  readonly #waiting = new Set<() => void>()

  /** `keys`: which results are kept, by their routing keys. */
  static async connect(url: string, keys: readonly string[] = ['#']): Promise<RabbitmqClient> {
    const client = new RabbitmqClient()
    client.#link = await RabbitmqLink.open(url, (channel) => client.#listen(channel, keys))
    return client
  }

  async #listen(channel: ConfirmChannel, keys: readonly string[]): Promise<void> {
    await bindResults(channel, RESULTS, keys)
    await channel.consume(RESULTS, (message) => {
      if (message === null) return
      const { messageId, type, correlationId } = message.properties
      if (!this.told.has(messageId)) {
        this.told.set(messageId, {
          id: messageId,
          routingKey: message.fields.routingKey,
          outcome: type,
          requestId: correlationId,
          body: JSON.parse(message.content.toString()),
        })
      }
      channel.ack(message)
      for (const wake of this.#waiting) wake()
    })
  }

  async send({ queue, body, token, memberId, messageId, headers }: Message): Promise<void> {
    const content = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    await this.#link?.send(queue, content, {
      persistent: true,
      ...(messageId === undefined ? {} : { messageId }),
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(memberId === undefined ? {} : { 'x-member-id': String(memberId) }),
        ...headers,
      },
    })
  }

  /** The first result that fits, also of those that came before. */
  async result(fits: (told: Told) => boolean, msMax = 20_000): Promise<Told> {
    let found: Told | undefined
    await this.until(() => {
      found = [...this.told.values()].find(fits)
      return found !== undefined
    }, msMax)
    if (found === undefined) throw new Error('unreachable')
    return found
  }

  /** Looks again whenever something has arrived. */
  async until(holds: () => boolean, msMax: number): Promise<void> {
    if (holds()) return
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        settle()
      }
      const look = (): void => {
        if (holds()) end(resolve)
      }
      const timer = setTimeout(() => {
        const last = [...this.told.values()].slice(-3).map(({ body }) => JSON.stringify(body))
        end(() =>
          reject(new Error(`Not told within ${msMax} ms. ${this.told.size} results, the last: ${last.join('\n')}`)),
        )
      }, msMax)
      this.#waiting.add(look)
    })
  }

  /** The next dead letter, waited for. */
  async deadLetter(msMax = 10_000): Promise<{ readonly content: Buffer; readonly headers: Record<string, unknown> }> {
    const deadlineMs = performance.now() + msMax
    while (performance.now() < deadlineMs) {
      const message = await this.#link?.channel?.get('orders.dead', { noAck: true })
      if (message) return { content: message.content, headers: message.properties.headers ?? {} }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error('There is no dead letter.')
  }

  /** Messages that wait in a queue. */
  async waiting(queue: string): Promise<number> {
    return (await this.#link?.channel?.checkQueue(queue))?.messageCount ?? Number.NaN
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link?.[Symbol.asyncDispose]()
  }
}
