import { setTimeout as sleep } from 'node:timers/promises'
import type { Result } from './task.ts'

/** Without any answer, in milliseconds. */
const SILENCE_MS_MAX = 90_000

/** Counts the results of orders by their numbers. */
export class Answers {
  /** Orders with a result of their own. */
  count = 0
  readonly #start: string
  /** By order: the id of its result; `*` where it had several. */
  readonly #results: (string | undefined)[] = []
  readonly #orderIds: number[] = []
  readonly #refused: Record<string, number> = {}
  #repeated = 0
  #toldAgain = 0

  constructor(name: string) {
    this.#start = `"requestId":"${name}-`
  }

  take(text: string): void {
    // Each of the first members has a form that never varies; parsing a thousand bytes for them would cost more than all else.
    const at = text.indexOf(this.#start)
    if (at < 0 || !text.includes('"cause":"placed"')) return
    const n = Number.parseInt(text.slice(at + this.#start.length, at + this.#start.length + 12), 10)
    if (text.includes('"outcome":"repeated"')) this.#repeated++
    else this.#add(n, text)
  }

  #add(n: number, text: string): void {
    const id = /"id":"([^"]+)"/.exec(text)?.[1] ?? ''
    const before = this.#results[n]
    if (before === id) {
      this.#toldAgain++
      return
    }
    this.#results[n] = before === undefined ? id : '*'
    if (before === undefined) this.count++
    const code = /"code":"([a-z_]+)"/.exec(text)?.[1]
    if (code !== undefined) this.#refused[code] = (this.#refused[code] ?? 0) + 1
    else this.#orderIds[n] = Number(/"orderId":"([0-9]+)"/.exec(text)?.[1] ?? 0)
  }

  /** Until so many are answered, however long that takes while answers come. */
  async until(count: number, onTenth = () => {}): Promise<void> {
    let tenths = 0
    let before = this.count
    let progressAtMs = performance.now()
    while (this.count < count) {
      if (this.count !== before) progressAtMs = performance.now()
      before = this.count
      for (; this.count >= (count * (tenths + 1)) / 10; tenths++) onTenth()
      if (performance.now() - progressAtMs > SILENCE_MS_MAX) {
        throw new Error(`${this.count} of ${count} orders were answered.`)
      }
      await sleep(10)
    }
  }

  all(sent: number): Omit<Result, 'answered' | 'countedMs' | 'sent'> {
    const orderIds = Float64Array.from({ length: sent }, (_, n) => this.#orderIds[n] ?? 0)
    let wrong = 0
    for (let n = 0; n < sent; n++) if (this.#results[n] === undefined || this.#results[n] === '*') wrong++
    return { orderIds, wrong, repeated: this.#repeated, toldAgain: this.#toldAgain, refused: this.#refused }
  }
}
