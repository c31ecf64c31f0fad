/** Lets one waiter sleep until it is rung for, or the time is up. A ring that nobody waits for is forgotten. */
export class Bell {
  #wake: (() => void) | undefined

  ring(): void {
    this.#wake?.()
  }

  wait(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#wake = done
    })
  }
}
