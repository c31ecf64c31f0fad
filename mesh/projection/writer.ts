import type { Logger } from 'pino'
import { type Bus, streamsOf, telemetryOf, timeOf } from '#mesh/bus.ts'
import { followFrames, parseFrameHeader } from '#mesh/frames.ts'
import { EVENTS_STREAM, framesSubject, type Log } from '#mesh/subjects.ts'
import { recordBatch } from '#mesh/telemetry/frames.ts'
import { sleep, type Time } from '#mesh/time.ts'
import { Bell } from './bell.ts'
import { type FrameBatch, FramesRefused, Inbox } from './inbox.ts'
import { countBatch } from './metrics.ts'
import type { Progress } from './positions.ts'

/** Where a slot is written to. After a failure it is of no more use, and what is stored is either all of a batch or nothing. */
export interface Sink<Batch> {
  /** The stored position. */
  readonly progress: Progress
  /** For its spans: what it writes to. */
  readonly attributes?: Readonly<Record<string, string>>
  /** Stores the batch and the position `to` as one. @throws SteppedDown when the stored position is not `from`. */
  write(batch: Batch, move: { readonly from: Progress; readonly to: Progress }): Promise<void>
  /** Called every other second while nothing is written. */
  keepAlive(): Promise<unknown>
  close(): void
}

export interface WriterOptions<Event, Batch extends FrameBatch<Event>> {
  readonly nats: Bus
  readonly log: Logger
  readonly openSink: () => Promise<Sink<Batch>>
  readonly projection: string
  /** The log whose slots' frames are read. */
  readonly source: Log
  readonly slot: number
  readonly newBatch: (slot: number) => Batch
  readonly limits: SlotLimits
  readonly onWritten: (slot: number, progress: Progress) => void
  /** Told, again and again, while what is written is not what the log says. */
  readonly onForgotten?: (slot: number) => void
}

export interface SlotLimits {
  /** A batch is closed at about so many rows. */
  readonly rowsMax: number
  /**
   * Least time between the begins of two transactions, in milliseconds: what arrives meanwhile shares the next one, and what
   * changes twice is written once. A larger one costs less CPU and more delay.
   */
  readonly spacingMs: number
  /** The same while somebody waits. */
  readonly hurriedSpacingMs: number
}

export interface Lag {
  /**
   * Age of the oldest frame that is read and not written, or of the oldest one of the last transaction when it was stored, where
   * that was within the last ten seconds.
   */
  readonly lagMs: number
  /** Code of what keeps the slot from being written at present. */
  readonly error?: string
}

/** Pause after a failure, in milliseconds: doubled up to the maximum. */
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 3_000

const KEEP_ALIVE_MS = 1_500

/** How late the last transaction was is told for so long; who is not written to any more is not behind. */
const LAST_LAG_MS = 10_000

/** The log ends before what is written from it, or has something else there. */
const FORGOTTEN = 'log_went_backwards'

/** Writes one slot, from the stored position on, until it is stopped. Whatever fails is begun again from there. */
export class FrameWriter<Event, Batch extends FrameBatch<Event>> {
  readonly #options: WriterOptions<Event, Batch>
  readonly #time: Time
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #attempt: Attempt<Event, Batch>
  #error: string | undefined
  #lastLagMs = 0
  #storedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: WriterOptions<Event, Batch>) {
    this.#options = options
    this.#time = timeOf(options.nats)
    this.#attempt = this.#newAttempt()
    this.#ended = this.#run()
  }

  /** Someone waits for what has arrived or is about to: the next transaction comes soon. */
  hurry(): void {
    this.#attempt.hurry()
  }

  /** Begins again from the stored position, which is compared with the log. */
  recheck(): void {
    this.#attempt.end()
  }

  lag(): Lag {
    const { oldestUs } = this.#attempt
    const pendingMs = oldestUs === undefined ? 0 : this.#time.wallMs() - oldestUs / 1000
    const lastMs = this.#time.nowMs() - this.#storedAtMs < LAST_LAG_MS ? this.#lastLagMs : 0
    const lagMs = Math.round(Math.max(pendingMs, lastMs))
    return this.#error === undefined ? { lagMs } : { lagMs, error: this.#error }
  }

  /** Ends after the transaction that is under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#attempt.end()
    await this.#ended
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    let pauseMs = PAUSE_MS_MIN
    while (!signal.aborted) {
      const beganAt = this.#time.nowMs()
      try {
        await this.#attempt.run()
      } catch (error) {
        this.#error = codeOf(error)
        // A log that is not the one that was written from does not heal by itself.
        const alarm = error instanceof FramesRefused ? { alarm: true } : {}
        if (this.#error === FORGOTTEN) this.#options.onForgotten?.(this.#options.slot)
        this.#options.log.warn(
          { ...alarm, slot: this.#options.slot, err: error },
          'writing begins again from the stored position',
        )
      }
      if (signal.aborted) return
      pauseMs = this.#time.nowMs() - beganAt > PAUSE_MS_MAX ? PAUSE_MS_MIN : Math.min(pauseMs * 2, PAUSE_MS_MAX)
      await sleep(this.#time, pauseMs, signal)
      this.#attempt = this.#newAttempt()
    }
  }

  #newAttempt(): Attempt<Event, Batch> {
    return new Attempt(this.#options, (lagMs) => {
      this.#lastLagMs = lagMs
      this.#storedAtMs = this.#time.nowMs()
      this.#error = undefined
    })
  }
}

/** Loads the position, compares it with the log, follows it and writes. Ends with the first failure. */
class Attempt<Event, Batch extends FrameBatch<Event>> {
  readonly #options: WriterOptions<Event, Batch>
  readonly #onStored: (lagMs: number) => void
  readonly #time: Time
  readonly #arrived: Bell
  readonly #urgent: Bell
  #inbox: Inbox<Event, Batch> | undefined
  #hurried = false
  #ended = false

  constructor(options: WriterOptions<Event, Batch>, onStored: (lagMs: number) => void) {
    this.#options = options
    this.#onStored = onStored
    this.#time = timeOf(options.nats)
    this.#arrived = new Bell(this.#time)
    this.#urgent = new Bell(this.#time)
  }

  get oldestUs(): number | undefined {
    return this.#inbox?.oldestUs
  }

  hurry(): void {
    this.#hurried = true
    this.#urgent.ring()
  }

  end(): void {
    this.#ended = true
    this.#arrived.ring()
    this.#urgent.ring()
  }

  async run(): Promise<void> {
    const { nats, openSink, source, slot, newBatch, limits, onWritten } = this.#options
    const sink = await openSink()
    try {
      const from = sink.progress
      await checkLog(this.#options, from)
      onWritten(slot, from)
      const inbox = new Inbox<Event, Batch>({
        newBatch: () => newBatch(slot),
        rowsMax: limits.rowsMax,
        afterFrameSequence: from.frameSequence,
        nowUs: telemetryOf(nats)?.nowUs,
      })
      this.#inbox = inbox
      const reader = await followFrames<Event>(nats, source, slot, from.frameSequence, (frame, sequence, previous) => {
        if (this.#ended) return undefined
        const full = inbox.add(frame, sequence, previous)
        this.#arrived.ring()
        if (full !== undefined) this.#urgent.ring()
        return full
      })
      try {
        await Promise.race([this.#write(sink, inbox), reader.done])
      } finally {
        this.end()
        if (!inbox.isEmpty) inbox.take()
        // Not waited for: from here on it hands over to nobody.
        void reader.stop()
      }
    } finally {
      sink.close()
    }
  }

  async #write(sink: Sink<Batch>, inbox: Inbox<Event, Batch>): Promise<void> {
    const { nats, slot, projection, limits, onWritten } = this.#options
    const telemetry = telemetryOf(nats)
    let { progress } = sink
    let beganAt = Number.NEGATIVE_INFINITY
    while (!this.#ended) {
      if (inbox.isEmpty) {
        await this.#arrived.wait(KEEP_ALIVE_MS)
        if (inbox.isEmpty) await sink.keepAlive()
        continue
      }
      const spacingMs = this.#hurried ? limits.hurriedSpacingMs : limits.spacingMs
      const waitMs = beganAt + spacingMs - this.#time.nowMs()
      if (waitMs > 0 && !inbox.isFull) {
        await this.#urgent.wait(waitMs)
        continue
      }
      this.#hurried = false
      beganAt = this.#time.nowMs()
      const { batch, to, oldestUs, traced } = inbox.take()
      const startUs = telemetry?.nowUs() ?? 0
      await sink.write(batch, { from: progress, to })
      countBatch(projection, batch.rowsCount, (this.#time.nowMs() - beganAt) / 1000)
      if (telemetry !== undefined && traced.length > 0) {
        const attributes = { 'exchange.slot': slot, 'exchange.batch.rows': batch.rowsCount, ...sink.attributes }
        recordBatch(telemetry, `write ${projection}`, traced, { startUs, attributes })
      }
      progress = to
      this.#onStored(Math.max(0, this.#time.wallMs() - oldestUs / 1000))
      onWritten(slot, progress)
    }
  }
}

interface Read {
  readonly nats: Bus
  readonly projection: string
  readonly source: Log
  readonly slot: number
}

/**
 * The log that is about to be read is the one that was written from: the frame at the stored position has the stored hash.
 * Where that frame was trimmed, later ones exist, and the first of them says which one it follows.
 * @throws FramesRefused
 */
export async function checkLog({ nats, projection, source, slot }: Read, from: Progress): Promise<void> {
  if (from.frameSequence === 0) return
  const streams = streamsOf(nats)
  const subject = framesSubject(source, slot)
  const stored = await streams.at(EVENTS_STREAM, from.frameSequence)
  if (stored === undefined) {
    const last = await streams.last(EVENTS_STREAM, subject)
    if (last !== undefined && last.seq > from.frameSequence) return
  } else if (stored.subject === subject && parseFrameHeader(stored.data).hash === from.frameHash) return
  throw new FramesRefused(
    FORGOTTEN,
    `${projection} is written up to frame ${from.frameSequence} with hash ${from.frameHash} in slot ${slot}; EVENTS has another one there, or none. ` +
      'Restore the bus, or empty what this projection has written to have it written anew.',
  )
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'internal_error'
