import type { Logger } from 'pino'
import {
  type StreamMessage,
  type StreamReader,
  type StreamState,
  type Streams,
  streamsOf,
  telemetryOf,
  timeOf,
} from '../bus.ts'
import { BATCH_CHARS_MAX } from '../commands.ts'
import { encodeFrame, type FrameHeader, parseFrameHeader } from '../frames.ts'
import { RpcError } from '../rpc.ts'
import { createStore, type Store } from '../store.ts'
import { EVENTS_STREAM, framesSubject, Log, replySubject, STREAM_OF_LOG, slotFilter, sourceName } from '../subjects.ts'
import { encodeTraces } from '../telemetry/beside.ts'
import { SlotTraces } from '../telemetry/slot-traces.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { sleep, type Time } from '../time.ts'
import { toLogMessage } from './log-message.ts'
import { countFrame } from './metrics.ts'
import type { MachineHost, SlotsOptions } from './runtime.ts'
import {
  type FrameDraft,
  headerOf,
  type LogMessage,
  type PairOut,
  type PendingReply,
  SlotFold,
  SlotHalt,
  senderDiffers,
} from './slot.ts'
import { SnapshotBroken } from './snapshots/file.ts'
import type { DraftSnapshot } from './snapshots/keeper.ts'
import { encodePairMessage, pairEndOf } from './wire.ts'

/** What is remembered here is not enough, or not right: the slot is to be recovered from its log. */
export class StepDown extends Error {
  override readonly name: string = 'StepDown'
}

/** What this follower has made of the log is not what the owner has stored: it must not take over. */
class StandbyDiffers extends StepDown {
  override readonly name = 'StandbyDiffers'
}

/** Another instance has stored what comes next: it owns the slot, and all that is known here is still right. */
class Superseded extends Error {
  override readonly name = 'Superseded'
}

interface Received {
  readonly sequence: number
  readonly data: Uint8Array
}

/** Replies to one instance that travel together. */
interface OpenReplies {
  readonly items: string[]
  chars: number
  hops: string
}

interface Kept {
  readonly draft: FrameDraft
  /** Its frame is stored; whether all that it caused is, the next frame proves. */
  stored: boolean
  /** How many items each pair had sent after it. */
  readonly sent: ReadonlyMap<PairOut, number>
}

/** Messages that a follower applies before it lets others of its process go on. */
const FOLLOWED_AT_ONCE = 16
const ACK_MS_MAX = 2_000
/** How long an answer of the bus is waited for. */
const ANSWER_MS_MAX = 10_000
const RETRY_MS = 100
const BARRIER_MS_MAX = 2_000
/** Who asked here asks the next owner. */
const MOVES = 'moves to another instance'
/** More than a reader can have at hand when its connection breaks. */
const VERIFIED_MAX = 1_000
/** Messages that wait for the frame under way; beyond that the reader pauses. */
const QUEUE_MAX = 2_000
/** Longest work of a replay without a look at the sockets. */
const STRETCH_MS_MAX = 10

/**
 * One slot in one process: its fold, its reader, its frames.
 * It follows (applies what the log brings, publishes nothing) until it takes over; then everything that is stored passes
 * through here, one frame at a time; and it can go back to following after a frame.
 */
export class SlotOwner<State, Item, Event> {
  fold: SlotFold<State, Item, Event>
  readonly #service: MachineHost
  readonly #options: SlotsOptions<State, Item, Event>
  readonly #streams: Streams
  readonly #time: Time
  readonly #telemetry: Telemetry | undefined
  readonly #store: Store
  readonly #log: Logger
  readonly #slot: number
  readonly #stream: string
  readonly #frames: string
  readonly #fail: (error: unknown) => void
  /** Told when another instance is found to own the slot. */
  #superseded: () => void = () => {}

  #mode: 'idle' | 'following' | 'owning' = 'idle'
  #queue: LogMessage[] = []
  /** The rest of a message in whose middle a frame ended. */
  #open: { readonly message: LogMessage; readonly from: number } | undefined
  /** What was applied and is not proved to be stored with all that it caused. */
  #kept: Kept[] = []
  /** Frames that the owner has stored, and this follower has not compared yet. */
  #framesSeen: { readonly header: FrameHeader; readonly sequence: number }[] = []
  #frameReader: StreamReader | undefined
  #wake: (() => void) | undefined
  #room: (() => void) | undefined
  #reader: StreamReader | undefined
  #stopped = false
  #loop: Promise<void> = Promise.resolve()
  /** Sequence of the last frame in the EVENTS stream. */
  #frameSequence = 0
  /** Set by a reconnect: the log may have gone backwards. */
  #doubt = false
  /** The same of what was stored in other logs and in EVENTS. */
  #storedDoubt = false
  #streamCreated = ''
  #lastReceived: Received | undefined
  /** How often the connection was lost since the slot is looked after here. */
  #lossesCount = 0
  /** What was received last when the connection broke, and since then, until the log was held against it. */
  #toVerify: Received[] | undefined
  readonly #barriers: {
    readonly sequence: number
    readonly resolve: () => void
    readonly refuse: (why: string) => void
  }[] = []
  #barrierQuestion: { readonly answer: Promise<number>; asked: boolean } | undefined

  constructor(options: SlotsOptions<State, Item, Event>, slot: number, log: Logger, fail: (error: unknown) => void) {
    this.#options = options
    this.#service = options.service
    this.#streams = streamsOf(options.service.nats, ANSWER_MS_MAX)
    this.#time = timeOf(options.service.nats)
    this.#telemetry = telemetryOf(options.service.nats)
    this.#store = createStore(options.service.nats, ACK_MS_MAX)
    this.#log = log
    this.#slot = slot
    this.#fail = fail
    this.#stream = STREAM_OF_LOG[options.rules.log]
    this.#frames = framesSubject(options.rules.log, slot)
    this.fold = new SlotFold(options.rules, slot)
  }

  /**
   * Replays the log to where the last stored frame ends, and checks that it leads to the same bytes.
   * What the log caused and the targets do not have yet is kept, and leaves with the first frame.
   */
  async recover(): Promise<void> {
    this.#countLosses()
    for (;;) {
      const lossesCount = this.#lossesCount
      try {
        return await this.#recoverOnce()
      } catch (error) {
        // Half of it may have been read from the log before, and half from the one after.
        if (!(error instanceof SlotHalt) || lossesCount === this.#lossesCount || this.#stopped) throw error
        this.#log.warn({ err: error }, 'the connection was lost in the recovery, which begins anew')
      }
    }
  }

  async #recoverOnce(): Promise<void> {
    const startedAt = this.#time.nowMs()
    const { rules } = this.#options
    this.#streamCreated = (await this.#info(this.#stream)).created
    const stored = await this.#storedPairs()
    this.#startFromNothing(stored)

    const tail = await this.#streams.last(EVENTS_STREAM, this.#frames)
    const lastFrame = tail === undefined ? undefined : parseFrameHeader(tail.data)
    this.#frameSequence = tail?.seq ?? 0
    const lastStored = (await this.#streams.last(this.#stream, slotFilter(rules.log, this.#slot)))?.seq ?? 0
    if (lastFrame !== undefined && lastStored < lastFrame.inTo[0]) {
      throw new SlotHalt(
        'log_went_backwards',
        `${this.#stream} ends at ${lastStored} for this slot, but its frames cover ${lastFrame.inTo[0]}: the log has lost its tail. Restore it from a replica or a backup that reaches that far, then clear the slot.`,
      )
    }
    const snapshot = lastFrame === undefined ? undefined : await this.#replayTo(lastFrame, stored)
    this.#watchConnection()
    await this.#read()
    this.#log.info(
      { sequence: this.fold.applied[0], snapshot, ms: Math.round(this.#time.nowMs() - startedAt) },
      'slot recovered from its log',
    )
  }

  /** Applies what the log brings and publishes nothing, from where `recover` or the last own frame ended. */
  async follow(): Promise<void> {
    this.#mode = 'following'
    if (this.#telemetry !== undefined) {
      this.fold.traces ??= new SlotTraces(this.#telemetry, this.#options.rules.log, this.#slot)
    }
    await this.#readFrames()
    this.#loop = this.#guard(this.#runFollowing())
  }

  /**
   * Becomes the owner: stores what was applied and is not stored yet, then goes on with what comes. The promise in the result is
   * fulfilled when another instance is found to own the slot; no result when one does already. Then `follow` may come next.
   */
  async takeOver(): Promise<{ readonly superseded: Promise<void> } | undefined> {
    this.#mode = 'idle'
    this.#frameReader?.stop()
    this.#wake?.()
    await this.#loop
    const { promise: superseded, resolve } = Promise.withResolvers<void>()
    this.#superseded = resolve
    if (!(await this.#unlessSuperseded(this.#catchUp())) || this.#stopped) return undefined
    this.#mode = 'owning'
    this.#loop = this.#guard(this.#runOwning())
    return { superseded }
  }

  /** Ends after the frame under way; `follow` may come next. What comes later stays in the log. */
  async pause(): Promise<void> {
    this.#mode = 'idle'
    this.#wake?.()
    await this.#loop
    this.#refuseBarriers()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#reader?.stop()
    this.#frameReader?.stop()
    await this.pause()
  }

  async #guard(running: Promise<unknown>): Promise<void> {
    try {
      await running
    } catch (error) {
      this.#stopped = true
      this.#reader?.stop()
      this.#frameReader?.stop()
      this.#fail(error)
    }
  }

  async #unlessSuperseded(work: Promise<void>): Promise<boolean> {
    try {
      await work
      return true
    } catch (error) {
      if (!(error instanceof Superseded)) throw error
      this.#log.warn({ err: error }, 'another instance owns the slot')
      this.#mode = 'idle'
      this.#refuseBarriers()
      this.#superseded()
      return false
    }
  }

  /** Messages that were read and are not applied. */
  get queuedCount(): number {
    return this.#queue.length
  }

  /** Fulfilled when everything that is stored in the slot's log now is applied. @throws RpcError `slot_unavailable` */
  async barrier(): Promise<void> {
    const sequence = await this.#lastStoredSequence().catch((error: unknown) => {
      throw new RpcError('slot_unavailable', `The end of the log cannot be asked for: ${String(error)}`)
    })
    if (this.#isApplied(sequence)) return
    await new Promise<void>((resolve, reject) => {
      const refuse = (why: string): void => {
        cancel()
        reject(new RpcError('slot_unavailable', `Slot ${this.#slot} ${why}.`))
      }
      const cancel = this.#time.after(BARRIER_MS_MAX, () => refuse(`has not caught up within ${BARRIER_MS_MAX} ms`))
      if (this.#mode !== 'owning') return refuse(MOVES)
      this.#barriers.push({
        sequence,
        refuse,
        resolve: () => {
          cancel()
          resolve()
        },
      })
    })
  }

  /** One question in flight; a read may share only an answer that was asked for after the read began. */
  #lastStoredSequence(): Promise<number> {
    const running = this.#barrierQuestion
    if (running !== undefined && !running.asked) return running.answer
    const question: { answer: Promise<number>; asked: boolean } = { answer: Promise.resolve(0), asked: false }
    const before = running?.answer.catch(() => 0) ?? Promise.resolve(0)
    const ask = async (): Promise<number> => {
      await before
      question.asked = true
      try {
        const last = await this.#streams.last(this.#stream, slotFilter(this.#options.rules.log, this.#slot))
        return last?.seq ?? 0
      } finally {
        if (this.#barrierQuestion === question) this.#barrierQuestion = undefined
      }
    }
    const answer = ask()
    Object.assign(question, { answer })
    this.#barrierQuestion = question
    return answer
  }

  #isApplied(sequence: number): boolean {
    const { applied, appliedComplete } = this.fold
    return applied[0] > sequence || (applied[0] === sequence && appliedComplete) || sequence === 0
  }

  /** From the newest snapshot that leads there, else from the log's beginning. Returns the snapshot's name. */
  async #replayTo(lastFrame: FrameHeader, stored: ReadonlyMap<string, PairOut['stored']>): Promise<string | undefined> {
    const { snapshots } = this.#options
    for await (const snapshot of snapshots?.usable(this.#slot, lastFrame) ?? []) {
      try {
        this.#startWith(snapshot.restore(stored))
        await this.#replay(lastFrame)
        return snapshot.name
      } catch (error) {
        if (!(error instanceof SlotHalt || error instanceof SnapshotBroken)) throw error
        snapshot.skip(error)
      }
    }
    await snapshots?.none(this.#slot)
    this.#startFromNothing(stored)
    await this.#replay(lastFrame)
    return undefined
  }

  #startFromNothing(stored: ReadonlyMap<string, PairOut['stored']>): void {
    const { rules, observe, memory } = this.#options
    memory?.unpack(this.#slot, undefined)
    this.#startWith(new SlotFold(rules, this.#slot, stored, observe))
  }

  #startWith(fold: SlotFold<State, Item, Event>): void {
    this.fold = fold
    fold.onAlarm = (code, details) => this.#log.error({ alarm: true, code, details }, 'input passed over')
    this.#kept = []
    this.#open = undefined
  }

  async #replay(lastFrame: FrameHeader): Promise<void> {
    // What was said is stored up to there.
    this.fold.saysEvents = false
    const { snapshots } = this.#options
    const reader = await this.#consume(this.fold.applied[0] + 1)
    const [endSequence, endItem] = lastFrame.inTo
    const beganMs = this.#time.nowMs()
    const itemsBefore = this.fold.itemsCount
    let lookedAtMs = beganMs
    let last: Uint8Array | undefined
    let draft: DraftSnapshot | undefined
    try {
      for await (const received of reader) {
        if (received.seq >= lastFrame.inFrom[0] && last !== undefined) {
          const replayed = { items: this.fold.itemsCount - itemsBefore, ms: this.#time.nowMs() - beganMs }
          draft = await snapshots?.draft(this.fold, last, replayed)
          last = undefined
        } else if (received.seq < lastFrame.inFrom[0]) last = received.data
        if (this.#time.nowMs() - lookedAtMs > STRETCH_MS_MAX) {
          await new Promise<void>((resolve) => this.#time.soon(resolve))
          lookedAtMs = this.#time.nowMs()
        }
        const message = toLogMessage(received)
        const until = message.sequence === endSequence ? endItem : Number.MAX_SAFE_INTEGER
        let from = 0
        while (from >= 0 && from <= until) {
          from = this.fold.apply(message, from, until)
          const draft = this.fold.takeDraft()
          if (compare(draft.inTo, lastFrame.inFrom) >= 0) this.#keep(draft, true)
        }
        this.#open = from >= 0 ? { message, from } : undefined
        this.#lastReceived = { sequence: message.sequence, data: received.data }
        if (message.sequence >= endSequence) break
      }
    } finally {
      reader.stop()
      this.fold.saysEvents = true
    }
    const isOver = compare(this.fold.applied, lastFrame.inTo) >= 0
    const isRight = isOver && this.fold.hash === lastFrame.hash
    await (isRight ? draft?.keep() : draft?.drop())
    if (!isOver) throw new StepDown('The reader of the log ended in the replay.')
    if (!isRight) {
      throw new SlotHalt(
        'replay_differs',
        `Replaying the log to ${endSequence} gives hash ${this.fold.hash}, the stored frame says ${lastFrame.hash}: another version of the rules, or a changed log.`,
      )
    }
  }

  #keep(draft: FrameDraft, stored: boolean): void {
    if (stored) draft.eventLines = []
    const sent = new Map<PairOut, number>()
    for (const pair of this.fold.pairsOut.values()) sent.set(pair, pair.count)
    this.#kept.push({ draft, stored, sent })
  }

  #consume(fromSequence: number): Promise<StreamReader> {
    return this.#streams.read(this.#stream, slotFilter(this.#options.rules.log, this.#slot), fromSequence)
  }

  async #read(): Promise<void> {
    const reader = await this.#consume((this.#lastReceived?.sequence ?? 0) + 1)
    this.#reader = reader
    const pump = async (): Promise<void> => {
      for await (const received of reader) {
        this.#lastReceived = { sequence: received.seq, data: received.data }
        if (this.#toVerify !== undefined && this.#toVerify.length < VERIFIED_MAX)
          this.#toVerify.push(this.#lastReceived)
        this.#queue.push(toLogMessage(received))
        if (this.#wake !== undefined) this.#time.soon(() => this.#wake?.())
        if (this.#queue.length >= QUEUE_MAX) {
          await new Promise<void>((resolve) => {
            this.#room = resolve
          })
        }
      }
      if (!this.#stopped) throw new StepDown('The reader of the log ended.')
    }
    pump().catch(this.#fail)
  }

  async #runOwning(): Promise<void> {
    while (this.#mode === 'owning') {
      // At once, not at the next message: what comes at a sequence that was read already never gets here.
      if (this.#doubt) await this.#verifyLog()
      if (this.#storedDoubt) await this.#verifyStored()
      if (this.#open === undefined && this.#queue.length === 0) {
        await this.#sleep()
        continue
      }
      this.#applyQueue(Number.MAX_SAFE_INTEGER)
      this.#releaseBarriers()
      const draft = this.fold.takeDraft()
      // Who follows keeps what he has not stored.
      if (!(await this.#unlessSuperseded(this.#storeAll(draft)))) this.#keep(draft, false)
    }
  }

  async #runFollowing(): Promise<void> {
    while (this.#mode === 'following') {
      if (this.#doubt) await this.#verifyLog()
      if (this.#open === undefined && this.#queue.length === 0) {
        this.#compareFrames()
        await this.#sleep()
        continue
      }
      this.#followSome()
      // Others of this process, its owned slots among them, come first.
      await new Promise<void>((resolve) => this.#time.soon(resolve))
    }
  }

  #followSome(): void {
    for (let messages = 0; messages < FOLLOWED_AT_ONCE; messages++) {
      if (this.#open === undefined && this.#queue.length === 0) break
      this.#applyQueue(1)
      this.#keep(this.fold.takeDraft(), false)
    }
    this.#compareFrames()
  }

  /** Applies messages until the queue is empty, so many are done, or the frame is full. */
  #applyQueue(messagesMax: number): void {
    this.fold.traces?.begin()
    let taken = 0
    let done = 0
    while (done < messagesMax) {
      const message: LogMessage | undefined = this.#open?.message ?? this.#queue[taken]
      if (message === undefined) break
      if (this.#open === undefined) taken++
      const next = this.fold.apply(message, this.#open?.from ?? 0)
      this.#open = next < 0 ? undefined : { message, from: next }
      done++
      if (next >= 0) break
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    this.#room?.()
    this.#room = undefined
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }

  async #storeAll(draft: FrameDraft): Promise<void> {
    const frame = encodeFrame(headerOf(draft), draft.eventLines)
    await both(this.#storeFrame(frame, draft), this.#storePairs())
    countFrame(this.#options.rules.log, this.#slot, draft.itemsCount)
    if (draft.traces !== undefined) this.fold.traces?.stored(draft.traces, draft.itemsCount)
    this.#sendReplies(draft.replies)
  }

  /** Headers of what the owner stores, from the last one known. */
  async #readFrames(): Promise<void> {
    const reader = await this.#streams.read(EVENTS_STREAM, this.#frames, this.#frameSequence + 1)
    this.#frameReader = reader
    const pump = async (): Promise<void> => {
      for await (const message of reader) {
        this.#framesSeen.push({ header: parseFrameHeader(message.data), sequence: message.seq })
        this.#wake?.()
      }
    }
    pump().catch(this.#fail)
  }

  /** Holds the owner's frames against what was applied here, and forgets what they prove to be stored. */
  #compareFrames(): void {
    for (;;) {
      const [seen] = this.#framesSeen
      if (seen === undefined || compare(this.fold.applied, seen.header.inTo) < 0) return
      this.#framesSeen.shift()
      this.#forgetStored(seen.header)
      this.#frameSequence = seen.sequence
    }
  }

  #forgetStored(header: FrameHeader): void {
    const same = this.#kept.find(({ draft }) => compare(draft.inTo, header.inTo) === 0)
    if (same !== undefined && same.draft.hash !== header.hash) {
      throw new StandbyDiffers(
        `At ${header.inTo.join('-')} this instance has hash ${same.draft.hash}, the stored frame says ${header.hash}.`,
      )
    }
    // All that was caused before a stored frame's first input is stored.
    while (this.#kept[0] !== undefined && compare(this.#kept[0].draft.inTo, header.inFrom) < 0) {
      const before = this.#kept.shift()
      for (const [pair, count] of before?.sent ?? []) this.fold.dropSent(pair, count)
    }
    for (const each of this.#kept) {
      if (compare(each.draft.inTo, header.inTo) > 0) break
      each.stored = true
      each.draft.eventLines = []
    }
  }

  /** Stores and sends what the last owner did not, as the streams' leaders tell. */
  async #catchUp(): Promise<void> {
    if (this.#doubt) await this.#verifyLog()
    const tail = await this.#lastPatiently(EVENTS_STREAM, this.#frames)
    const header = tail === undefined ? undefined : parseFrameHeader(tail.data)
    const seenSequence = this.#framesSeen.at(-1)?.sequence ?? this.#frameSequence
    if ((tail?.seq ?? 0) < seenSequence) throw framesLost(seenSequence)
    this.#framesSeen = []
    if (tail !== undefined && header !== undefined) {
      while (compare(this.fold.applied, header.inTo) < 0) {
        if (this.#stopped) return
        if (this.#open === undefined && this.#queue.length === 0) await this.#sleep()
        else this.#followSome()
      }
      this.#forgetStored(header)
      this.#frameSequence = tail.seq
    }
    const stored = await this.#storedPairs()
    for (const pair of this.fold.pairsOut.values()) {
      if (!stored.has(pair.subject)) stored.set(pair.subject, { count: 0, hash: 0, sequence: 0 })
    }
    for (const [subject, end] of stored) {
      if (end.count < (this.fold.pairsOut.get(subject)?.stored.count ?? 0)) {
        throw new StepDown(`${subject} has lost its tail; sending it again.`)
      }
      this.fold.markStored(subject, end)
    }
    const next = this.#kept.find((each) => !each.stored)
    if (header !== undefined && next !== undefined && compare(next.draft.inFrom, header.inTo) <= 0) {
      throw new StepDown('The last frame ends within a message; recovering from the log.')
    }
    if (this.#hasUnsent()) await this.#storePairs()
    for (let kept = this.#kept[0]; kept !== undefined; kept = this.#kept[0]) {
      if (kept.stored) this.#sendReplies(kept.draft.replies)
      else await this.#storeAll(kept.draft)
      this.#kept.shift()
    }
  }

  #refuseBarriers(): void {
    for (const { refuse } of this.#barriers.splice(0)) refuse(MOVES)
  }

  #releaseBarriers(): void {
    for (let index = this.#barriers.length - 1; index >= 0; index--) {
      const waiting = this.#barriers[index]
      if (waiting === undefined || !this.#isApplied(waiting.sequence)) continue
      this.#barriers.splice(index, 1)
      waiting.resolve()
    }
  }

  async #storeFrame(frame: string, draft: FrameDraft): Promise<void> {
    const events = draft.traces?.events ?? []
    const traces = events.length === 0 ? undefined : encodeTraces(events)
    for (;;) {
      try {
        this.#frameSequence = await this.#store.append(this.#frames, frame, this.#frameSequence, traces)
        return
      } catch (error) {
        this.#log.warn({ err: error }, 'a frame was refused or its ack is missing; reading the tail')
        await this.#settle()
        const tail = await this.#lastPatiently(EVENTS_STREAM, this.#frames)
        const sequence = tail?.seq ?? 0
        if (sequence < this.#frameSequence) {
          throw framesLost(this.#frameSequence)
        }
        if (tail !== undefined && sequence > this.#frameSequence) {
          const header = parseFrameHeader(tail.data)
          const mine = header.hash === draft.hash && compare(header.inTo, draft.inTo) === 0
          if (!mine) throw new Superseded(`Frame ${sequence} is another owner's.`)
          this.#frameSequence = sequence
          return
        }
      }
    }
  }

  #hasUnsent(): boolean {
    for (const pair of this.fold.pairsOut.values()) if (pair.unsent.length > 0) return true
    return false
  }

  async #storePairs(): Promise<void> {
    const stores: Promise<void>[] = []
    for (const pair of this.fold.pairsOut.values()) {
      if (pair.unsent.length === 0) continue
      pair.runs = []
      stores.push(this.#storePair(pair))
    }
    await Promise.all(stores)
  }

  /** Sends what a pair has not stored yet, one message after the other, each a compare-and-set on the one before. */
  async #storePair(pair: PairOut): Promise<void> {
    while (pair.unsent.length > 0) {
      const items = leadingItems(pair.unsent)
      const first = pair.stored.count + 1
      const ways = this.fold.traces?.waysOf(pair, first, first + items.length - 1)
      const text = encodePairMessage({ first, before: pair.stored.hash }, items, ways)
      const whole = items.length === pair.unsent.length
      let end = { ...(whole ? { count: pair.count, hash: pair.hash } : pairEndOf(text)), sequence: 0 }
      try {
        end.sequence = await this.#store.append(pair.subject, text, pair.stored.sequence)
      } catch (error) {
        this.#log.warn(
          { err: error, pair: pair.subject },
          'a message was refused or its ack is missing; reading the tail',
        )
        await this.#settle()
        const tail = await this.#lastPatiently(streamOfSubject(pair.subject), pair.subject)
        const found = tail === undefined ? { count: 0, hash: 0 } : pairEndOf(tail.string())
        if (found.count < pair.stored.count) throw new StepDown(`${pair.subject} has lost its tail; sending it again.`)
        if (found.count === pair.stored.count) {
          if (found.hash !== pair.stored.hash) throw senderDiffers(pair.subject, found.count)
          pair.stored.sequence = tail?.seq ?? 0
          continue
        }
        if (found.count !== end.count || found.hash !== end.hash)
          throw new Superseded(`${pair.subject} has another owner.`)
        end = { ...found, sequence: tail?.seq ?? 0 }
      }
      pair.runs.push({ first, last: end.count, sequence: end.sequence })
      pair.stored = end
      pair.unsent = whole ? [] : pair.unsent.slice(items.length)
    }
  }

  #sendReplies(replies: readonly PendingReply[]): void {
    const open = new Map<string, OpenReplies>()
    const sentUs = this.#telemetry?.nowUs()
    for (const pending of replies) {
      const { replyTo, reply, way } = pending
      const position = positionOf(pending)
      const json = JSON.stringify(reply)
      let batch = open.get(replyTo)
      if (batch !== undefined && batch.chars + json.length > BATCH_CHARS_MAX) {
        this.#publishReplies(replyTo, batch)
        batch = undefined
      }
      if (batch === undefined) {
        batch = { items: [], chars: 0, hops: '' }
        open.set(replyTo, batch)
      }
      // Replies of one frame came the same way as a rule; it is said where it changes.
      const hops = way === undefined || sentUs === undefined ? '' : `${way.hops},${sentUs}`
      const hopsText = hops === batch.hops ? '' : `"hops":"${hops}",`
      batch.hops = hops
      const positionText = position === undefined ? '' : `"position":"${position}",`
      const spanText = way?.span === undefined ? '' : `"span":"${way.span}",`
      const text = `{${positionText}${hopsText}${spanText}${json.slice(1)}`
      batch.items.push(text)
      batch.chars += text.length + 1
    }
    for (const [replyTo, batch] of open) this.#publishReplies(replyTo, batch)
  }

  #publishReplies(replyTo: string, { items }: OpenReplies): void {
    this.#service.nats.publish(replySubject(replyTo), `[${items.join(',')}]`)
  }

  #countLosses(): void {
    void (async () => {
      for await (const status of this.#service.nats.status()) {
        if (this.#stopped) return
        if (status.type === 'disconnect') this.#lossesCount++
      }
    })()
  }

  #watchConnection(): void {
    void (async () => {
      for await (const status of this.#service.nats.status()) {
        if (this.#stopped) return
        if (status.type !== 'disconnect' && status.type !== 'reconnect') continue
        this.#toVerify ??= this.#lastReceived === undefined ? [] : [this.#lastReceived]
        if (status.type !== 'reconnect') continue
        this.#doubt = true
        this.#storedDoubt = true
        this.#wake?.()
      }
    })()
  }

  /** After a refusal or a timeout: give the bus a moment, and check the log if the connection was lost. */
  async #settle(): Promise<void> {
    await sleep(this.#time, RETRY_MS)
    if (this.#doubt) await this.#verifyLog()
  }

  /** Before this instance forgets what it has read: that is what it is held against. @throws SlotHalt */
  async assureLog(): Promise<void> {
    if (this.#doubt) await this.#verifyLog()
  }

  /**
   * JetStream can lose an unsynced tail silently and use its sequence numbers again; the reader goes on behind them and does
   * not notice. So it is not enough to look at what was read last: that may have come since.
   */
  async #verifyLog(): Promise<void> {
    for (;;) {
      this.#doubt = false
      try {
        await this.#verifyReceived()
        if (this.#doubt) continue
        this.#toVerify = undefined
        return
      } catch (error) {
        this.#doubt = true
        if (error instanceof SlotHalt || this.#stopped) throw error
        this.#log.warn({ err: error }, 'the log cannot be checked yet')
        await sleep(this.#time, RETRY_MS)
      }
    }
  }

  async #verifyReceived(): Promise<void> {
    const info = await this.#streams.info(this.#stream)
    if (info === undefined) throw new SlotHalt('log_went_backwards', `${this.#stream} is gone.`)
    if (info.created !== this.#streamCreated) {
      throw new SlotHalt('log_replaced', `${this.#stream} is not the stream that this slot has read.`)
    }
    for (const { sequence, data } of this.#toVerify ?? []) {
      const stored = await this.#streams.at(this.#stream, sequence)
      if (stored !== undefined && Buffer.compare(stored.data, data) === 0) continue
      throw new SlotHalt(
        'log_went_backwards',
        `${this.#stream} no longer holds what was read at ${sequence}: it lost its tail. Restore it, then clear the slot.`,
      )
    }
  }

  /** What other logs have lost before it was read there is sent again; a frame that is lost cannot be. @throws SlotHalt */
  async #verifyStored(): Promise<void> {
    this.#storedDoubt = false
    const tail = await this.#lastPatiently(EVENTS_STREAM, this.#frames)
    if ((tail?.seq ?? 0) < this.#frameSequence) throw framesLost(this.#frameSequence)
    for (const { subject, stored } of this.fold.pairsOut.values()) {
      if (stored.count === 0) continue
      const tail = await this.#lastPatiently(streamOfSubject(subject), subject)
      const found = tail === undefined ? 0 : pairEndOf(tail.string()).count
      if (found < stored.count) throw new StepDown(`${subject} has lost its tail; sending it again.`)
    }
  }

  /** The end of every pair that this slot sends on, as the logs have it. */
  async #storedPairs(): Promise<Map<string, PairOut['stored']>> {
    const pairs = new Map<string, PairOut['stored']>()
    const name = sourceName(this.#options.rules.log, this.#slot)
    for (const log of Object.values(Log)) {
      const stream = STREAM_OF_LOG[log]
      const info = await this.#info(stream, `${log}.*.from.${name}`)
      for (const subject of Object.keys(info.state.subjects ?? {})) {
        const tail = await this.#streams.last(stream, subject)
        if (tail !== undefined) pairs.set(subject, { ...pairEndOf(tail.string()), sequence: tail.seq })
      }
    }
    return pairs
  }

  async #info(stream: string, subjectsFilter?: string): Promise<StreamState> {
    const info = await this.#streams.info(stream, subjectsFilter)
    if (info === undefined) throw new Error(`There is no stream ${stream}.`)
    return info
  }

  async #lastPatiently(stream: string, subject: string): Promise<StreamMessage | undefined> {
    for (;;) {
      try {
        return await this.#streams.last(stream, subject)
      } catch (error) {
        if (this.#stopped) throw error
        await sleep(this.#time, RETRY_MS)
      }
    }
  }
}

/** As many items as one message may carry, at least one. */
function leadingItems(items: readonly string[]): string[] {
  let chars = 0
  let end = 0
  while (end < items.length) {
    chars += (items[end]?.length ?? 0) + 1
    if (end > 0 && chars > BATCH_CHARS_MAX) break
    end++
  }
  return items.slice(0, end)
}

function positionOf({ position }: PendingReply): string | undefined {
  if (position === undefined || typeof position === 'string') return position
  const run = position.pair.runs.find(({ first, last }) => first <= position.count && position.count <= last)
  return run === undefined ? undefined : `${run.sequence}-${position.count - run.first}-0`
}

function streamOfSubject(subject: string): string {
  const log = Object.values(Log).find((name) => subject.startsWith(`${name}.`))
  if (log === undefined) throw new Error(`${subject} is in no log`)
  return STREAM_OF_LOG[log]
}

/** Waits for both, also when one has failed: what is under way ends before anyone goes on. Throws what weighs more. */
async function both(one: Promise<void>, other: Promise<void>): Promise<void> {
  const outcomes = await Promise.allSettled([one, other])
  const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  if (errors.length === 0) return
  throw (
    errors.find((error) => error instanceof SlotHalt) ??
    errors.find((error) => !(error instanceof Superseded)) ??
    errors[0]
  )
}

const framesLost = (sequence: number): SlotHalt =>
  new SlotHalt('events_went_backwards', `The last frame ${sequence} is gone from ${EVENTS_STREAM}.`)

/** The order of two places in a log. */
function compare(a: readonly [number, number], b: readonly [number, number]): number {
  return a[0] - b[0] || a[1] - b[1]
}
