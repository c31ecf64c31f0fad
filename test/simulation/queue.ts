/** What comes is taken in order by one who waits for it. */
export class Queue<Item extends object> implements AsyncIterableIterator<Item> {
  #items: Item[] = []
  #from = 0
  #isEnded = false
  #waiting: ((result: IteratorResult<Item>) => void) | undefined

  push(item: Item): void {
    if (this.#isEnded) return
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting === undefined) this.#items.push(item)
    else waiting({ value: item, done: false })
  }

  /** What is in it can still be taken. */
  end(): void {
    this.#isEnded = true
    this.#waiting?.(END)
    this.#waiting = undefined
  }

  next(): Promise<IteratorResult<Item>> {
    const item = this.#items[this.#from]
    if (item !== undefined) {
      this.#from++
      if (this.#from === this.#items.length) {
        this.#items = []
        this.#from = 0
      }
      return Promise.resolve({ value: item, done: false })
    }
    if (this.#isEnded) return Promise.resolve(END)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

const END = { value: undefined, done: true } as const
