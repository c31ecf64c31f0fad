import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededMember } from '#mesh/seeding.ts'
import { StreamClient } from '../../test/support/stream.ts'

interface TradersOptions {
  readonly urls: readonly string[]
  readonly members: readonly SeededMember[]
  readonly markets: readonly string[]
  /** Orders; the cancels come on top. */
  readonly ordersPerSecond: number
}

const TURN_MS = 20
/** Orders of a member between two times at which he cancels what rests. */
const ORDERS_BETWEEN = 4
const PRICES = 40

/** Members who send orders at a steady rate over connections of their own; some trade, and what rests is cancelled again. */
export class Traders implements AsyncDisposable {
  placed = 0
  #isOver = false
  #clients: StreamClient[] = []
  #sending: Promise<void> = Promise.resolve()

  static async start(options: TradersOptions): Promise<Traders> {
    const traders = new Traders()
    traders.#clients = await Promise.all(
      options.members.map(({ accessToken }, index) =>
        StreamClient.connect(options.urls[index % options.urls.length] ?? '', accessToken),
      ),
    )
    traders.#sending = traders.#send(options)
    return traders
  }

  async #send({ markets, ordersPerSecond }: TradersOptions): Promise<void> {
    const beganAtMs = performance.now()
    const commandsPerSecond = (ordersPerSecond * (ORDERS_BETWEEN + 1)) / ORDERS_BETWEEN
    let sent = 0
    while (!this.#isOver) {
      const due = ((performance.now() - beganAtMs) / 1_000) * commandsPerSecond
      for (; sent < due; sent++) {
        const client = this.#clients[sent % this.#clients.length]
        if (client === undefined) return
        // What was answered need not be kept.
        client.messages.length = 0
        const round = Math.floor(sent / this.#clients.length)
        if (round % (ORDERS_BETWEEN + 1) === ORDERS_BETWEEN) client.send({ op: 'cancelAll' })
        else {
          const price = (100 + ((sent * 7) % PRICES) * 0.01).toFixed(2)
          const instrument = markets[(sent * 31) % markets.length]
          const side = round % 2 === 0 ? 'buy' : 'sell'
          client.send({ op: 'place', order: { instrument, side, price, amount: '0.001', responseType: 'ack' } })
          this.placed += 1
        }
      }
      await sleep(TURN_MS)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#sending
    for (const client of this.#clients) client[Symbol.dispose]()
  }
}
