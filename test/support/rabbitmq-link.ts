import { type ChannelModel, type ConfirmChannel, connect, type Options } from 'amqplib'

const AGAIN_MS = 100

/** A client's channel to a broker that may go away and come back: it connects again, and sends again what was not confirmed. */
export class RabbitmqLink implements AsyncDisposable {
  readonly #url: string
  readonly #setUp: (channel: ConfirmChannel) => Promise<void>
  #connection: ChannelModel | undefined
  #channel: ConfirmChannel | undefined
  #closed = false

  private constructor(url: string, setUp: (channel: ConfirmChannel) => Promise<void>) {
    this.#url = url
    this.#setUp = setUp
  }

  /** `setUp` is done on each new channel: queues, consumers. */
  static async open(url: string, setUp: (channel: ConfirmChannel) => Promise<void>): Promise<RabbitmqLink> {
    const link = new RabbitmqLink(url, setUp)
    await link.#connect()
    return link
  }

  /** None while the broker is away. */
  get channel(): ConfirmChannel | undefined {
    return this.#channel
  }

  /** Sends until the broker has confirmed it: it may come twice. */
  async send(queue: string, content: Buffer, options: Options.Publish): Promise<void> {
    while (!(await this.#sendOnce(queue, content, options))) {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#connection?.close().catch(() => {})
  }

  #sendOnce(queue: string, content: Buffer, options: Options.Publish): Promise<boolean> {
    return new Promise((resolve) => {
      const channel = this.#channel
      if (channel === undefined) return resolve(false)
      try {
        channel.sendToQueue(queue, content, options, (error) => resolve(error === null || error === undefined))
      } catch {
        resolve(false)
      }
    })
  }

  async #connect(): Promise<void> {
    const connection = await connect(this.#url)
    connection.on('error', () => {})
    connection.on('close', () => {
      this.#channel = undefined
      void this.#connectAgain()
    })
    const channel = await connection.createConfirmChannel()
    channel.on('error', () => {})
    await this.#setUp(channel)
    this.#connection = connection
    this.#channel = channel
  }

  async #connectAgain(): Promise<void> {
    while (!this.#closed && this.#channel === undefined) {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      // One that fails later than by not connecting closes, and that begins another try.
      const connected = await this.#connect().then(
        () => true,
        () => false,
      )
      if (connected) return
    }
  }
}

/** A durable queue of the results with these routing keys. */
export async function bindResults(channel: ConfirmChannel, queue: string, keys: readonly string[]): Promise<void> {
  await channel.assertExchange('orders.events', 'topic', { durable: true })
  await channel.assertQueue(queue, { durable: true })
  for (const key of keys) await channel.bindQueue(queue, 'orders.events', key)
  await channel.prefetch(1_000)
}
