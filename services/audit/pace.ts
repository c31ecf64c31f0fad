import { setTimeout as sleep, setImmediate as yieldToOthers } from 'node:timers/promises'

/** Longest stretch of work without looking at the sockets: a reader that sees no heartbeat for a second begins anew. */
const STRETCH_MS_MAX = 20

/** Keeps work below a number of steps a second, in sleeps of a few milliseconds; 0 is no limit. */
export class Pace {
  readonly #perSecond: number
  #begunMs = performance.now()
  #yieldedMs = performance.now()
  #steps = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Waits where the steps so far came too soon. */
  async step(count: number): Promise<void> {
    const nowMs = performance.now()
    if (nowMs - this.#yieldedMs > STRETCH_MS_MAX) {
      await yieldToOthers()
      this.#yieldedMs = performance.now()
    }
    if (this.#perSecond === 0) return
    this.#steps += count
    const aheadMs = (this.#steps * 1000) / this.#perSecond - (nowMs - this.#begunMs)
    if (aheadMs > 5) await sleep(aheadMs)
    // What was not used in a pause is not made up for afterwards.
    if (aheadMs < -1000) {
      this.#begunMs = nowMs
      this.#steps = 0
    }
  }
}
