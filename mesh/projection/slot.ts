import { createConnection } from 'mysql2/promise'
import type { Logger } from 'pino'
import { type Bus, streamsOf, timeOf } from '#mesh/bus.ts'
import { followFrames, parseFrameHeader } from '#mesh/frames.ts'
import { connectionOptions, type Pool } from '#mesh/mysql.ts'
import { EVENTS_STREAM, framesSubject, type Log } from '#mesh/subjects.ts'
import { sleep, type Time } from '#mesh/time.ts'
import { Bell } from './bell.ts'
import { FramesRefused, Inbox, type ProjectionBatch } from './inbox.ts'
import { loadPositions, NOTHING_WRITTEN, type Progress, type WriterConnection, writeBatch } from './positions.ts'

export interface SlotOptions<Event> {
  readonly nats: Bus
  readonly log: Logger
  /** A connection of the slot's own, for its transactions. */
  readonly connect: () => Promise<WriterConnection>
  readonly pool: Pick<Pool, 'query'>
  readonly projection: string
  /** The log whose slots' frames are read. */
  readonly source: Log
  readonly slot: number
  readonly newBatch: (slot: number) => ProjectionBatch<Event>
  readonly limits: SlotLimits
  readonly onWritten: (slot: number, progress: Progress) => void
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
  /** Age of the oldest frame that is read and not written, or of the oldest one of the last transaction when it was stored. */
  readonly lagMs: number
  /** Code of what keeps the slot from being written at present. */
  readonly error?: string
}

/** Pause after a failure, in milliseconds: doubled up to the maximum. */
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 3_000

/** The server ends a connection that is quiet for so long, and with it a transaction that a paused process left open. */
const QUIET_SECONDS_MAX = 5
const KEEP_ALIVE_MS = 1_500

/** Writes one slot, from the stored position on, until it is stopped. Whatever fails is begun again from there. */
export class SlotWriter<Event> {
  readonly #options: SlotOptions<Event>
  readonly #time: Time
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #attempt: Attempt<Event>
  #error: string | undefined
  #lastLagMs = 0

  constructor(options: SlotOptions<Event>) {
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
    const lagMs = Math.round(Math.max(pendingMs, this.#lastLagMs))
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
        this.#options.log.warn(
          { slot: this.#options.slot, err: error },
          'writing begins again from the stored position',
        )
      }
      if (signal.aborted) return
      pauseMs = this.#time.nowMs() - beganAt > PAUSE_MS_MAX ? PAUSE_MS_MIN : Math.min(pauseMs * 2, PAUSE_MS_MAX)
      await sleep(this.#time, pauseMs, signal)
      this.#attempt = this.#newAttempt()
    }
  }

  #newAttempt(): Attempt<Event> {
    return new Attempt(this.#options, (lagMs) => {
      this.#lastLagMs = lagMs
      this.#error = undefined
    })
  }
}

/** Loads the position, compares it with the log, follows it and writes. Ends with the first failure. */
class Attempt<Event> {
  readonly #options: SlotOptions<Event>
  readonly #onStored: (lagMs: number) => void
  readonly #time: Time
  readonly #arrived: Bell
  readonly #urgent: Bell
  #inbox: Inbox<Event> | undefined
  #hurried = false
  #ended = false

  constructor(options: SlotOptions<Event>, onStored: (lagMs: number) => void) {
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
    const { nats, pool, projection, source, slot, newBatch, limits, onWritten } = this.#options
    const from = (await loadPositions(pool, projection)).get(slot) ?? NOTHING_WRITTEN
    await checkLog(this.#options, from)
    onWritten(slot, from)
    const connection = await this.#options.connect()
    const inbox = new Inbox<Event>({
      newBatch: () => newBatch(slot),
      rowsMax: limits.rowsMax,
      afterFrameSequence: from.frameSequence,
    })
    this.#inbox = inbox
    try {
      const reader = await followFrames<Event>(nats, source, slot, from.frameSequence, (frame, sequence, previous) => {
        if (this.#ended) return undefined
        const full = inbox.add(frame, sequence, previous)
        this.#arrived.ring()
        if (full !== undefined) this.#urgent.ring()
        return full
      })
      try {
        await Promise.race([this.#write(connection, inbox, from), reader.done])
      } finally {
        this.end()
        if (!inbox.isEmpty) inbox.take()
        // Not waited for: from here on it hands over to nobody.
        void reader.stop()
      }
    } finally {
      connection.destroy()
    }
  }

  async #write(connection: WriterConnection, inbox: Inbox<Event>, from: Progress): Promise<void> {
    const { projection, slot, limits, onWritten } = this.#options
    let progress = from
    let beganAt = Number.NEGATIVE_INFINITY
    while (!this.#ended) {
      if (inbox.isEmpty) {
        await this.#arrived.wait(KEEP_ALIVE_MS)
        if (inbox.isEmpty) await connection.query('DO 0')
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
      const { batch, to, oldestUs } = inbox.take()
      await writeBatch(connection, { projection, slot }, { from: progress, to }, batch.statements())
      progress = to
      this.#onStored(Math.max(0, this.#time.wallMs() - oldestUs / 1000))
      onWritten(slot, progress)
    }
  }
}

/**
 * The log that is about to be read is the one that was written from: the frame at the stored position has the stored hash.
 * Where that frame was trimmed, later ones exist, and the first of them says which one it follows.
 * @throws FramesRefused
 */
async function checkLog<Event>({ nats, source, slot }: SlotOptions<Event>, from: Progress): Promise<void> {
  if (from.frameSequence === 0) return
  const streams = streamsOf(nats)
  const subject = framesSubject(source, slot)
  const stored = await streams.at(EVENTS_STREAM, from.frameSequence)
  if (stored === undefined) {
    const last = await streams.last(EVENTS_STREAM, subject)
    if (last !== undefined && last.seq > from.frameSequence) return
  } else if (stored.subject === subject && parseFrameHeader(stored.data).hash === from.frameHash) return
  throw new FramesRefused(
    'log_went_backwards',
    `MySQL has slot ${slot} up to frame ${from.frameSequence} with hash ${from.frameHash}; EVENTS has another one there, or none. ` +
      'Restore the bus, or empty the tables of this projection to have them written anew.',
  )
}

export async function connectWriter(mysqlUrl: string): Promise<WriterConnection> {
  const connection = await createConnection({ ...connectionOptions(mysqlUrl), multipleStatements: true })
  // A connection that breaks while nothing is asked of it says so at the next statement.
  connection.on('error', () => {})
  await connection.query(
    `SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', wait_timeout = ${QUIET_SECONDS_MAX},
       innodb_lock_wait_timeout = ${QUIET_SECONDS_MAX * 2};
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED`,
  )
  return connection
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'internal_error'
