import assert from 'node:assert/strict'
import type { Frame } from '#mesh/frames.ts'
import { BATCHED_MAX, type Batched, batchedOf } from '#mesh/telemetry/frames.ts'
import { type Progress, progressAt } from './positions.ts'

/** What a projection makes of frames. A batch is folded in memory and written as a whole. */
export interface FrameBatch<Event> {
  add(frame: Frame<Event>): void
  /** About how many rows it would write. */
  readonly rowsCount: number
}

/** A batch that is written to MySQL. */
export interface ProjectionBatch<Event> extends FrameBatch<Event> {
  /** The statements that write it, none for a batch without rows. */
  statements(): string[]
}

/** A frame is missing, or the log is not the one that was written from. */
export class FramesRefused extends Error {
  override readonly name = 'FramesRefused'
  readonly code: 'log_went_backwards' | 'frame_missing'

  constructor(code: FramesRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

interface Taken<Batch> {
  readonly batch: Batch
  readonly to: Progress
  readonly oldestUs: number
  /** Of its events those of sampled orders. */
  readonly traced: readonly Batched[]
}

/** Frames that are read and not written yet, folded into one batch. */
export class Inbox<Event, Batch extends FrameBatch<Event> = ProjectionBatch<Event>> {
  readonly #newBatch: () => Batch
  readonly #rowsMax: number
  readonly #nowUs: () => number
  #traced: Batched[] = []
  #batch: Batch
  #frameSequence: number
  #to: Progress | undefined
  #oldestUs: number | undefined
  #roomAgain: (() => void) | undefined

  /** `nowUs`: where tracing is on. */
  constructor(options: {
    newBatch: () => Batch
    rowsMax: number
    afterFrameSequence: number
    nowUs?: (() => number) | undefined
  }) {
    this.#newBatch = options.newBatch
    this.#rowsMax = options.rowsMax
    this.#nowUs = options.nowUs ?? (() => 0)
    this.#frameSequence = options.afterFrameSequence
    this.#batch = options.newBatch()
  }

  get isEmpty(): boolean {
    return this.#to === undefined
  }

  get isFull(): boolean {
    return this.#batch.rowsCount >= this.#rowsMax
  }

  /** The slot's time of the oldest frame in here. */
  get oldestUs(): number | undefined {
    return this.#oldestUs
  }

  /** The promise of a full inbox is kept when it is emptied: the reader waits for it. */
  add(frame: Frame<Event>, frameSequence: number, previousSequence: number | undefined): Promise<void> | undefined {
    if (previousSequence !== undefined && previousSequence !== this.#frameSequence) {
      const message = `Frame ${frameSequence} follows frame ${previousSequence}, but the last one here is ${this.#frameSequence}.`
      throw new FramesRefused('frame_missing', message)
    }
    this.#batch.add(frame)
    if (frame.traces !== undefined && this.#traced.length < BATCHED_MAX) {
      this.#traced.push(...batchedOf(frame.events, frame.traces, this.#nowUs()))
    }
    this.#to = progressAt(frame.header, frameSequence)
    this.#oldestUs ??= frame.header.timeUs
    this.#frameSequence = frameSequence
    if (!this.isFull) return undefined
    return new Promise((resolve) => {
      this.#roomAgain = resolve
    })
  }

  /** Empties it. */
  take(): Taken<Batch> {
    assert(this.#to !== undefined && this.#oldestUs !== undefined, 'there is something to take')
    const taken = { batch: this.#batch, to: this.#to, oldestUs: this.#oldestUs, traced: this.#traced }
    this.#batch = this.#newBatch()
    this.#traced = []
    this.#to = undefined
    this.#oldestUs = undefined
    this.#roomAgain?.()
    this.#roomAgain = undefined
    return taken
  }
}
