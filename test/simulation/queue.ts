/** What comes is taken in order by one who waits for it. */
export class Queue<Item> implements AsyncIterable<Item> {
  #items: Item[] = []
  #from = 0
  #isEnded = false
  #wake: (() => void) | undefined

  push(item: Item): void {
    if (this.#isEnded) return
    this.#items.push(item)
    this.#ring()
  }

  /** What is in it can still be taken. */
  end(): void {
    this.#isEnded = true
    this.#ring()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    for (;;) {
      const item = this.#items[this.#from]
      if (this.#from < this.#items.length) {
        this.#from++
        if (this.#from === this.#items.length) {
          this.#items = []
          this.#from = 0
        }
        yield item as Item
      } else if (this.#isEnded) return
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }

  #ring(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
