/** First in, first out, without moving what is in it for every one that leaves. */
export class Queue<Value> {
  #values: (Value | undefined)[] = []
  #start = 0

  get length(): number {
    return this.#values.length - this.#start
  }

  get first(): Value | undefined {
    return this.#values[this.#start]
  }

  at(index: number): Value | undefined {
    return this.#values[this.#start + index]
  }

  push(value: Value): void {
    this.#values.push(value)
  }

  shift(): Value | undefined {
    const value = this.#values[this.#start]
    if (this.#start === this.#values.length) return undefined
    this.#values[this.#start] = undefined
    if (++this.#start > 1_024 && this.#start * 2 > this.#values.length) {
      this.#values = this.#values.slice(this.#start)
      this.#start = 0
    }
    return value
  }

  *[Symbol.iterator](): Generator<Value> {
    for (let index = this.#start; index < this.#values.length; index++) {
      const value = this.#values[index]
      if (value !== undefined) yield value
    }
  }
}
