import type { Exchange } from './target.ts'

/** How many orders a member may send per second, as the gateways have it now. */
export class Limit {
  readonly #exchange: Exchange
  #perSecond = 0

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  get perSecond(): number {
    return this.#perSecond
  }

  async set(perSecond: number): Promise<void> {
    this.#perSecond = perSecond
    await this.#exchange.limitRate(perSecond)
  }
}
