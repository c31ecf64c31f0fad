import { PubHeaders } from '@nats-io/jetstream'
import type { Logger } from 'pino'
import { type BucketStore, type Bus, streamsOf, timeOf } from '#mesh/bus.ts'
import { parseFrameHeader } from '#mesh/frames.ts'
import { openLeases } from '#mesh/machine/leases.ts'
import { Bucket, EVENTS_STREAM, framesSubject, type Log } from '#mesh/subjects.ts'
import { TRACES_HEADER } from '#mesh/telemetry/beside.ts'
import { sleep, type Time } from '#mesh/time.ts'

export interface FeedOptions {
  readonly bus: Bus
  readonly log: Logger
  readonly instanceId: string
  readonly replicas?: number
  /** Its name in the buckets: letters, digits and hyphens. */
  readonly name: string
  /** The slots whose frames it reads. */
  readonly source: Log
  readonly slots: number
  /**
   * Hands a frame on. Nothing is returned where it has nothing for this feed; else a promise that is fulfilled when the last of
   * it is confirmed. A rejection, or an exception: the slot is read again from the stored position. `traces`: what of it is sampled.
   */
  readonly handle: (slot: number, frame: Uint8Array, traces: string | undefined) => Promise<void> | undefined
}

export interface Feed {
  /** Code of what keeps a slot of this instance from being read at present. */
  faults(): Readonly<Record<number, string>>
  /** Ends after what is under way, and gives the slots to the others. */
  stop(): Promise<void>
}

/** How far a slot is confirmed: the frame's place in EVENTS, and its hash, so that another log is not taken for it. */
interface FeedPosition {
  readonly frameSequence: number
  readonly frameHash: number
}

/** The log is not the one that was read before, or a frame is missing in it. */
class FeedRefused extends Error {
  override readonly name = 'FeedRefused'
  readonly code: 'log_went_backwards' | 'frame_missing'

  constructor(code: FeedRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** Frames that are handed on and not confirmed, at most; then reading waits. */
const OPEN_FRAMES_MAX = 64
/** How often a position is stored, in milliseconds: where frames had something for the feed, and where none had. */
const SAVE_MS = 250
const SAVE_IDLE_MS = 10_000
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 3_000

/**
 * Reads every slot's frames in order, each slot in one of the instances, from the position that was confirmed last: everything is
 * handed on at least once. Leases are for liveness only: two that read the same slot hand the same things on twice.
 */
export async function runFeed(options: FeedOptions): Promise<Feed> {
  const { bus, log, instanceId, replicas, name } = options
  const positions = await streamsOf(bus).bucket(Bucket.feeds, replicas)
  const leases = await openLeases({ nats: bus, log: name, instanceId, logger: log, replicas })
  const time = timeOf(bus)
  const stopping = new AbortController()
  const faults = new Map<number, string>()
  /** Of the slots that this instance reads now. */
  const attempts = new Set<AbortController>()

  /** Reads a slot again and again until it is another instance's turn. */
  const ownSlot = async (slot: number, tenure: AbortSignal): Promise<void> => {
    let pauseMs = PAUSE_MS_MIN
    while (!tenure.aborted) {
      const attempt = new AbortController()
      attempts.add(attempt)
      const beganAtMs = time.nowMs()
      try {
        await readSlot(options, positions, slot, AbortSignal.any([tenure, attempt.signal]), () => faults.delete(slot))
      } catch (error) {
        faults.set(slot, codeOf(error))
        log.warn({ feed: name, slot, err: error }, 'reading begins again from the stored position')
      }
      attempts.delete(attempt)
      pauseMs = time.nowMs() - beganAtMs > PAUSE_MS_MAX ? PAUSE_MS_MIN : Math.min(pauseMs * 2, PAUSE_MS_MAX)
      await sleep(time, pauseMs, tenure)
    }
    faults.delete(slot)
  }
  const runSlot = async (slot: number): Promise<void> => {
    leases.follows(slot, true)
    for (;;) {
      await Promise.race([leases.acquire(slot), aborted(stopping.signal)])
      if (stopping.signal.aborted) return await leases.release(slot)
      const tenure = new AbortController()
      void leases.untilGone(slot).then(() => tenure.abort())
      await ownSlot(slot, AbortSignal.any([tenure.signal, stopping.signal]))
      await leases.release(slot)
      if (stopping.signal.aborted) return
    }
  }
  const running = Array.from({ length: options.slots }, (_, slot) => runSlot(slot))
  // After a reconnect the server may be one that has lost its last writes.
  void (async () => {
    for await (const { type } of bus.status()) if (type === 'reconnect') for (const attempt of attempts) attempt.abort()
  })()

  return {
    faults: () => Object.fromEntries(faults),
    stop: async () => {
      leases.leave()
      stopping.abort()
      await Promise.all(running)
      leases.stop()
    },
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'internal_error'

interface Reached {
  readonly frameSequence: number
  readonly frame: Uint8Array
}

/** Reads one slot until it is told to end, or something fails. */
async function readSlot(
  { bus, name, source, handle }: FeedOptions,
  positions: BucketStore,
  slot: number,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  const streams = streamsOf(bus)
  const subject = framesSubject(source, slot)
  const stored = await loadPosition(positions, `${name}.${slot}`)
  await checkLog(bus, subject, stored.position)
  const saver = new PositionSaver(positions, `${name}.${slot}`, stored, timeOf(bus))

  const reader = await streams.read(EVENTS_STREAM, subject, stored.position.frameSequence + 1)
  const failed = new AbortController()
  let failure: unknown
  const fail = (error: unknown): void => {
    failure ??= error
    failed.abort()
  }
  const end = (): void => reader.stop()
  signal.addEventListener('abort', end)
  failed.signal.addEventListener('abort', end)
  const stopSaving = saver.everyNow(fail)
  if (signal.aborted) end()
  onProgress()

  let lastSequence = stored.position.frameSequence
  let openFrames = 0
  let confirmed: Promise<void> = Promise.resolve()
  try {
    for await (const { seq, data, headers } of reader) {
      if (signal.aborted || failed.signal.aborted) break
      const previous = headers?.get(PubHeaders.ExpectedLastSubjectSequenceHdr)
      if (previous && Number(previous) !== lastSequence) {
        throw new FeedRefused(
          'frame_missing',
          `Frame ${seq} follows frame ${previous}, the last one here is ${lastSequence}.`,
        )
      }
      lastSequence = seq
      const reached: Reached = { frameSequence: seq, frame: data }
      const handed = handle(slot, data, headers?.get(TRACES_HEADER))
      if (handed === undefined && openFrames === 0) {
        saver.reach(reached, false)
        continue
      }
      openFrames++
      confirmed = Promise.all([confirmed, handed]).then(() => {
        openFrames--
        saver.reach(reached, handed !== undefined)
      })
      confirmed.catch(fail)
      if (openFrames >= OPEN_FRAMES_MAX) await confirmed
    }
    if (failure === undefined) await confirmed
  } catch (error) {
    fail(error)
  } finally {
    signal.removeEventListener('abort', end)
    end()
    stopSaving()
  }
  // What was confirmed before the failure need not come again.
  await saver.save(true)
  if (failure !== undefined) throw failure
}

/** How far each feed that there ever was has come in each slot of its log. */
export async function feedPositions(
  bus: Bus,
  replicas?: number,
): Promise<{ readonly projection: string; readonly slot: number; readonly frameSequence: number }[]> {
  const streams = streamsOf(bus)
  const positions = await streams.bucket(Bucket.feeds, replicas)
  const prefix = `$KV.${Bucket.feeds}.`
  const info = await streams.info(`KV_${Bucket.feeds}`, `${prefix}>`)
  return Promise.all(
    Object.keys(info?.state.subjects ?? {}).map(async (subject) => {
      const key = subject.slice(prefix.length)
      const end = key.lastIndexOf('.')
      const { position } = await loadPosition(positions, key)
      return { projection: key.slice(0, end), slot: Number(key.slice(end + 1)), frameSequence: position.frameSequence }
    }),
  )
}

interface Stored {
  readonly position: FeedPosition
  /** Of its entry in the bucket; 0: none. */
  readonly revision: number
}

async function loadPosition(positions: BucketStore, key: string): Promise<Stored> {
  const entry = await positions.get(key)
  if (entry === null || entry.operation !== 'PUT') {
    return { position: { frameSequence: 0, frameHash: 0 }, revision: entry?.revision ?? 0 }
  }
  return { position: entry.json<FeedPosition>(), revision: entry.revision }
}

/** @throws FeedRefused unless the frame at the position is the one that was confirmed. */
async function checkLog(bus: Bus, subject: string, { frameSequence, frameHash }: FeedPosition): Promise<void> {
  if (frameSequence === 0) return
  const streams = streamsOf(bus)
  const frame = await streams.at(EVENTS_STREAM, frameSequence)
  if (frame === undefined) {
    // Trimmed: then there are later ones.
    const last = await streams.last(EVENTS_STREAM, subject)
    if (last !== undefined && last.seq > frameSequence) return
  } else if (frame.subject === subject && parseFrameHeader(frame.data).hash === frameHash) return
  throw new FeedRefused(
    'log_went_backwards',
    `The feed has come to frame ${frameSequence} of ${subject} with hash ${frameHash}; EVENTS has another one there, or none. ` +
      'Restore the bus, or remove the entry from the bucket "feeds" to have everything told again.',
  )
}

/** Stores how far everything is confirmed, now and then, by compare-and-set: one that another instance has taken over fails. */
class PositionSaver {
  readonly #positions: BucketStore
  readonly #key: string
  readonly #time: Time
  #revision: number
  #saved: number
  #savedAtMs: number
  #reached: Reached | undefined
  #hadResults = false
  #saving: Promise<void> | undefined

  constructor(positions: BucketStore, key: string, stored: Stored, time: Time) {
    this.#positions = positions
    this.#key = key
    this.#time = time
    this.#revision = stored.revision
    this.#saved = stored.position.frameSequence
    this.#savedAtMs = time.nowMs()
  }

  reach(reached: Reached, hadResults: boolean): void {
    this.#reached = reached
    this.#hadResults ||= hadResults
  }

  /** @returns how to end it. */
  everyNow(fail: (error: unknown) => void): () => void {
    return this.#time.every(SAVE_MS, () => {
      const idleMs = this.#time.nowMs() - this.#savedAtMs
      if (this.#hadResults || idleMs >= SAVE_IDLE_MS) this.save(false).catch(fail)
    })
  }

  async save(isLast: boolean): Promise<void> {
    if (this.#saving !== undefined) {
      if (!isLast) return
      await this.#saving
    }
    this.#saving = this.#put().finally(() => {
      this.#saving = undefined
    })
    await this.#saving
  }

  async #put(): Promise<void> {
    const reached = this.#reached
    if (reached === undefined || reached.frameSequence === this.#saved) return
    this.#hadResults = false
    const { frameSequence } = reached
    const position: FeedPosition = { frameSequence, frameHash: parseFrameHeader(reached.frame).hash }
    this.#revision = await this.#positions.put(this.#key, JSON.stringify(position), { previousSeq: this.#revision })
    this.#saved = frameSequence
    this.#savedAtMs = this.#time.nowMs()
  }
}
