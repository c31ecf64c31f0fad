import type { SimulatedProcess } from './process.ts'
import { Random } from './random.ts'

/** When the simulation's clocks begin, in microseconds since 1970. */
const START_US = 1_700_000_000_000_000

interface Scheduled {
  readonly atUs: number
  readonly order: number
  run: (() => void) | undefined
}

/**
 * Virtual time, and everything that is going to happen in it. One thing happens after the other, each with all that it sets
 * off at once (promises settle before the next one), so that the same seed gives the same run to the last byte.
 */
export class World {
  readonly random: Random
  nowUs = START_US
  /** Things that have happened. */
  steps = 0
  /** Whose code is running. */
  current: SimulatedProcess | undefined
  readonly #queue: Scheduled[] = []
  readonly #last: string[] = []
  readonly #echo: ((line: string) => void) | undefined
  readonly isWatched: boolean
  #order = 0

  /** `echo`: told every line of the story as it is written. */
  constructor(seed: number, echo?: (line: string) => void) {
    this.random = new Random(seed)
    this.#echo = echo
    this.isWatched = echo !== undefined
  }

  get nowMs(): number {
    return (this.nowUs - START_US) / 1000
  }

  /** Returns what calls it off. */
  at(atUs: number, run: () => void): () => void {
    // Whole microseconds: a shorter wait would be no wait at all.
    const event: Scheduled = { atUs: Math.max(Math.ceil(atUs), this.nowUs), order: this.#order++, run }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  after(ms: number, run: () => void): () => void {
    return this.at(this.nowUs + Math.ceil(ms * 1000), run)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Notes what happens, for the report of a failure. */
  tell(line: string): void {
    const text = `${this.nowMs.toFixed(3).padStart(10)} ${line}`
    this.#last.push(text)
    if (this.#last.length > LINES_KEPT * 2) this.#last.splice(0, LINES_KEPT)
    this.#echo?.(text)
  }

  lastLines(): readonly string[] {
    return this.#last.slice(-LINES_KEPT)
  }

  /** Lets time go on until the work is done. */
  run<Result>(work: Promise<Result>): Promise<Result> {
    let ended = false
    const end = (): void => {
      ended = true
    }
    return new Promise((resolve, reject) => {
      work.then(resolve, reject).finally(end)
      const step = (): void => {
        if (ended) return
        try {
          if (!this.#step()) throw new Error('Nothing is left that could happen, and the work is not done.')
          if (this.nowMs > RUN_MS_MAX) throw new Error(`The work is not done within ${RUN_MS_MAX} ms.`)
        } catch (error) {
          reject(error)
          return
        }
        // Between two of these all promises settle.
        setImmediate(step)
      }
      setImmediate(step)
    })
  }

  #step(): boolean {
    for (;;) {
      const next = this.#pop()
      if (next === undefined) return false
      const { run } = next
      if (run === undefined) continue
      this.nowUs = next.atUs
      this.steps++
      this.current = undefined
      run()
      return true
    }
  }

  #push(event: Scheduled): void {
    const queue = this.#queue
    let index = queue.length
    queue.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = queue[parent]
      if (above === undefined || !isBefore(event, above)) break
      queue[index] = above
      index = parent
    }
    queue[index] = event
  }

  #pop(): Scheduled | undefined {
    const queue = this.#queue
    const first = queue[0]
    const last = queue.pop()
    if (first === undefined || last === undefined || queue.length === 0) return first
    let index = 0
    for (;;) {
      let child = index * 2 + 1
      let below = queue[child]
      const right = queue[child + 1]
      if (right !== undefined && below !== undefined && isBefore(right, below)) {
        child++
        below = right
      }
      if (below === undefined || !isBefore(below, last)) break
      queue[index] = below
      index = child
    }
    queue[index] = last
    return first
  }
}

/** Virtual time after which something hangs. */
const RUN_MS_MAX = 600_000
const LINES_KEPT = 60

const isBefore = (a: Scheduled, b: Scheduled): boolean => a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)
