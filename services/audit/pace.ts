import { setTimeout as sleep } from 'node:timers/promises'

/** Keeps work below a number of steps a second, in sleeps of a few milliseconds; 0 is no limit. */
export class Pace {
  readonly #perSecond: number
  #begunMs = performance.now()
  #steps = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Waits where the steps so far came too soon. */
  async step(count: number): Promise<void> {
    this.#steps += count
    if (this.#perSecond === 0) return
    const aheadMs = (this.#steps * 1000) / this.#perSecond - (performance.now() - this.#begunMs)
    if (aheadMs > 5) await sleep(aheadMs)
    // What was not used in a pause is not made up for afterwards.
    if (aheadMs < -1000) {
      this.#begunMs = performance.now()
      this.#steps = 0
    }
  }
}
