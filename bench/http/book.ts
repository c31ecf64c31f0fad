import type { Result } from './generator.ts'
import type { Exchange } from './target.ts'
import { checkMoney, checkOrders, untilCaughtUp } from './verify.ts'
import { GIFT } from './workload.ts'

const FAULTS_MAX = 20

/** What was accepted, to be looked for in MySQL. */
export class Book {
  readonly #exchange: Exchange
  readonly #accepted = new Map<string, Float64Array>()
  readonly #faults: string[]

  /** @param faults gets what is wrong. */
  constructor(exchange: Exchange, faults: string[]) {
    this.#exchange = exchange
    this.#faults = faults
  }

  add(name: string, { orderIds, others, greedyIds }: Pick<Result, 'orderIds' | 'others' | 'greedyIds'>): void {
    this.#accepted.set(name, orderIds)
    this.#accepted.set(`${name}g`, greedyIds)
    for (const [answer, count] of Object.entries(others)) {
      if (count > 0) this.#faults.push(`${name}: ${count} orders were answered ${answer}`)
    }
  }

  /** @returns how many orders were accepted, and what is wrong with them. */
  async check(): Promise<{ readonly count: number; readonly found: readonly string[] }> {
    await untilCaughtUp(this.#exchange)
    const members = BigInt(this.#exchange.membersCount)
    const deposited = Object.fromEntries(Object.entries(GIFT).map(([asset, amount]) => [asset, amount * members]))
    const found = [
      ...(await checkOrders(this.#exchange, this.#accepted)),
      ...(await checkMoney(this.#exchange, deposited)),
    ].slice(0, FAULTS_MAX)
    this.#faults.push(...found)
    let count = 0
    for (const ids of this.#accepted.values()) for (const id of ids) if (id !== 0) count++
    return { count, found }
  }
}
