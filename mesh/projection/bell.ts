import { systemTime, type Time } from '#mesh/time.ts'

/** Lets one waiter sleep until it is rung for, or the time is up. A ring that nobody waits for is forgotten. */
export class Bell {
  readonly #time: Time
  #wake: (() => void) | undefined

  constructor(time: Time = systemTime) {
    this.#time = time
  }

  ring(): void {
    this.#wake?.()
  }

  wait(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        cancel()
        this.#wake = undefined
        resolve()
      }
      const cancel = this.#time.after(ms, done)
      this.#wake = done
    })
  }
}
