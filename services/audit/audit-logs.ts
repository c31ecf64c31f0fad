import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type Frame, parseFrame } from '#mesh/frames.ts'
import { Bell } from '#mesh/projection/bell.ts'
import type { AccountEvent, AccountItem } from '#mesh/protocol/accounts.ts'
import { decodeItem } from '#mesh/protocol/compact.ts'
import type { DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { DEFINITIONS_SLOT, EVENTS_STREAM, Log, STREAM_OF_LOG, sourceName } from '#mesh/subjects.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import type { AccountsState } from '#services/accounts/domain/accounts-state.ts'
import { createDefinitionsRules } from '#services/accounts/domain/definitions-rules.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import { AccountAnswers, DefinitionAnswers, MarketAnswers } from './domain/answers.ts'
import { type AssetSums, checkBooks, checkClearing } from './domain/books-check.ts'
import { Difference, positionOf } from './domain/difference.ts'
import type { MarketTerms } from './domain/expected-rows.ts'
import { PairLinks } from './domain/pair-links.ts'
import { type AuditedSlot, type Reading, SlotAudit, type StoredFrame } from './domain/slot-audit.ts'
import { toLogMessage } from './log-message.ts'
import { Pace } from './pace.ts'
import { previousOf, StreamCursor } from './stream-cursor.ts'

export interface LogsOptions {
  readonly nats: NatsConnection
  readonly shape: MeshShape
  /** Items a second, at most; 0 is no limit. */
  readonly rate: number
  /** How long is waited for a frame that must come, in milliseconds. */
  readonly waitMs: number
  /** Told of every frame of an account slot, in order, as soon as it is proved. */
  readonly onAccountFrame: (slot: number, frame: Frame<AccountEvent>, sequence: number) => void
  readonly onProgress: (counts: LogCounts) => void
}

export interface LogCounts {
  readonly items: number
  readonly frames: number
  readonly events: number
  readonly commands: number
  readonly passedOver: number
  /** Order commands that were passed on to a market and have their outcome. */
  readonly outcomes: number
  readonly pairItems: number
  readonly underWay: number
}

/** Above this, what waits in memory for its frames is seen to before more is read. */
const BUFFERED_CHARS_MAX = 128_000_000
const PROGRESS_MS = 1_000

/**
 * Replays all logs side by side, in the order in which their messages were stored, each slot as far as it had come when the
 * audit began, and from there until nobody has received what nobody has sent. That is the cut.
 */
export class LogsAudit implements AsyncDisposable {
  readonly markets = new Map<string, MarketTerms>()
  readonly #options: LogsOptions
  readonly #links = new PairLinks()
  readonly #accounts: SlotAudit<AccountsState, AccountItem, AccountEvent>[] = []
  readonly #slots: AuditedSlot[] = []
  readonly #byName = new Map<string, AuditedSlot>()
  readonly #cursors: StreamCursor[]
  readonly #events: StreamCursor
  readonly #arrived: Bell
  readonly #readings = new Map<Log, Reading>(Object.values(Log).map((log) => [log, { sequence: 0 }]))
  readonly #pace: Pace
  #toldMs = performance.now()

  private constructor(options: LogsOptions, logs: StreamCursor[], events: StreamCursor, arrived: Bell) {
    this.#options = options
    this.#cursors = [...logs, events]
    this.#events = events
    this.#arrived = arrived
    this.#pace = new Pace(options.rate)
    const { shape } = options
    const rules = createAccountsRules(shape)
    for (let slot = 0; slot < shape.accountSlots; slot++) {
      const answers = new AccountAnswers(sourceName(Log.accounts, slot))
      const audited = new SlotAudit(rules, slot, { ...this.#common(Log.accounts), answers })
      this.#accounts.push(audited)
      this.#slots.push(audited)
    }
    for (let slot = 0; slot < shape.marketSlots; slot++) {
      const answers = new MarketAnswers(sourceName(Log.markets, slot))
      this.#slots.push(new SlotAudit(engineRules, slot, { ...this.#common(Log.markets), answers }))
    }
    const definitions = createDefinitionsRules(shape)
    const answers = new DefinitionAnswers()
    this.#slots.push(new SlotAudit(definitions, DEFINITIONS_SLOT, { ...this.#common(Log.definitions), answers }))
    for (const slot of this.#slots) this.#byName.set(slot.name, slot)
  }

  static async open(options: LogsOptions): Promise<LogsAudit> {
    const arrived = new Bell()
    const logs: StreamCursor[] = []
    for (const log of Object.values(Log)) logs.push(await StreamCursor.open(options.nats, STREAM_OF_LOG[log], arrived))
    return new LogsAudit(options, logs, await StreamCursor.open(options.nats, EVENTS_STREAM, arrived), arrived)
  }

  /** @throws Difference */
  async toCut(): Promise<void> {
    const ends = await this.#endsOfStreams()
    await this.#readTo(ends)
    await this.#close(ends)
  }

  /**
   * Books, clearing accounts and waiting commands at the cut.
   * @throws Difference
   */
  checkCut(): AssetSums[] {
    for (const { name, fold } of this.#accounts) checkBooks(name, positionOf(fold.applied), fold.state)
    const waiting = this.#slots.reduce((sum, { answers }) => sum + answers.waiting, 0)
    const underWay = [...this.#links.all()].reduce((sum, link) => sum + this.#outcomesUnderWay(link), 0)
    if (waiting !== underWay) {
      throw new Difference(
        'outcome_missing',
        { slot: this.#accounts.find(({ answers }) => answers.waiting > 0)?.name ?? '' },
        `${waiting} order commands have no outcome; ${underWay} commands and outcomes are under way.`,
      )
    }
    return checkClearing(
      this.#accounts.map(({ name, fold }) => ({
        state: fold.state,
        underWay: new Map(
          [...this.#links.all()]
            .filter((link) => link.target === name)
            .map((link) => [link.sender, [...link.underWay]]),
        ),
      })),
    )
  }

  counts(): LogCounts {
    const sum = (read: (slot: AuditedSlot) => number): number => this.#slots.reduce((all, slot) => all + read(slot), 0)
    const links = [...this.#links.all()]
    return {
      items: sum(({ counts }) => counts.items),
      frames: sum(({ counts }) => counts.frames),
      events: sum(({ counts }) => counts.events),
      commands: sum(({ log, answers }) => (log === Log.markets ? 0 : answers.commands)),
      passedOver: sum(({ answers }) => answers.passedOver),
      outcomes: sum(({ log, answers }) => (log === Log.accounts ? answers.outcomes : 0)),
      pairItems: links.reduce((all, { receivedCount }) => all + receivedCount, 0),
      underWay: links.reduce((all, { underWayCount }) => all + underWayCount, 0),
    }
  }

  /** Where each account slot's cut is: the sequence of its last frame in EVENTS. */
  cutOfAccounts(): number[] {
    return this.#accounts.map(({ lastFrameSequence }) => lastFrameSequence)
  }

  /**
   * Hands over the account slots' frames behind the cut, up to these sequences of EVENTS. They are read, not proved.
   * @throws Difference when the stream ends before.
   */
  async readOn(untilOf: readonly number[]): Promise<void> {
    const wanted = (slot: AuditedSlot, sequence: number): boolean =>
      slot.log === Log.accounts && sequence <= (untilOf[slot.slot] ?? 0)
    for (const slot of this.#slots) {
      for (const frame of slot.frames()) if (wanted(slot, frame.sequence)) this.#hand(slot, frame)
    }
    const end = Math.max(...untilOf)
    while (this.#events.taken < end) {
      if (!(await this.#hasHead(this.#events))) {
        throw new Difference(
          'projection_position_differs',
          { slot: '' },
          `MySQL has frames up to ${end}, EVENTS ends before.`,
        )
      }
      const { slot, frame } = this.#takeFrame()
      if (wanted(slot, frame.sequence)) this.#hand(slot, frame)
      if (slot.log === Log.definitions) this.#learnMarkets(frame)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#cursors.map((cursor) => cursor[Symbol.asyncDispose]()))
  }

  async #endsOfStreams(): Promise<Map<StreamCursor, number>> {
    const { streams } = await jetstreamManager(this.#options.nats)
    const ends = new Map<StreamCursor, number>()
    for (const cursor of this.#cursors) {
      const { state } = await streams.info(cursor.stream)
      ends.set(cursor, state.messages === 0 ? 0 : state.last_seq)
    }
    return ends
  }

  async #readTo(ends: ReadonlyMap<StreamCursor, number>): Promise<void> {
    for (;;) {
      const open = this.#cursors.filter((cursor) => !cursor.hasTaken(ends.get(cursor) ?? 0))
      if (open.length === 0) return
      for (const cursor of open) {
        if (!(await this.#hasHead(cursor))) throw new Error(`${cursor.stream} does not answer.`)
      }
      const slot = this.#take(this.#earliest(open))
      while (await this.#advance(slot));
    }
  }

  /** Whether the stream has a next message, within the time that is waited for one. */
  async #hasHead(...cursors: readonly StreamCursor[]): Promise<boolean> {
    const deadlineMs = performance.now() + this.#options.waitMs
    while (cursors.every(({ head }) => head === undefined)) {
      for (const cursor of cursors) cursor.check()
      const leftMs = deadlineMs - performance.now()
      if (leftMs <= 0) return false
      await this.#arrived.wait(leftMs)
    }
    return true
  }

  /** What was stored first; frames first of all, when too much waits for them. */
  #earliest(open: readonly StreamCursor[]): StreamCursor {
    let [earliest] = open
    if (earliest === undefined) throw new RangeError('no stream is open')
    let buffered = 0
    for (const { bufferedChars } of this.#slots) buffered += bufferedChars
    if (buffered > BUFFERED_CHARS_MAX && open.includes(this.#events)) return this.#events
    for (const cursor of open) if (cursor.headTimeNanos < earliest.headTimeNanos) earliest = cursor
    return earliest
  }

  /** Reads on until all that was in the logs is covered, and nobody has received what nobody has sent. */
  async #close(ends: ReadonlyMap<StreamCursor, number>): Promise<void> {
    const isOpen = (slot: AuditedSlot): boolean => {
      const log = this.#cursors.find(({ stream }) => stream === STREAM_OF_LOG[slot.log])
      const end = (log && ends.get(log)) ?? 0
      const lastFrame = ends.get(this.#events) ?? 0
      return (
        slot.isInMessage ||
        slot.uncovered(end) !== undefined ||
        (slot.firstFrame?.sequence ?? lastFrame + 1) <= lastFrame
      )
    }
    for (;;) {
      const behind = new Set<string>()
      for (const link of this.#links.all()) if (link.ahead !== undefined) behind.add(link.sender)
      const open = this.#slots.filter((slot) => behind.has(slot.name) || isOpen(slot))
      if (open.length === 0 && behind.size === 0) return
      if (open.length === 0) throw this.#doesNotClose(open)
      if (await this.#advanceAny(open)) continue
      if (!(await this.#hasHead(...this.#cursors))) throw this.#doesNotClose(open)
      this.#take(this.#earliest(this.#cursors.filter(({ head }) => head !== undefined)))
    }
  }

  async #advanceAny(slots: readonly AuditedSlot[]): Promise<boolean> {
    for (const slot of slots) if (await this.#advance(slot)) return true
    return false
  }

  #doesNotClose(open: readonly AuditedSlot[]): Difference {
    for (const slot of open) {
      const frame = slot.firstFrame
      if (frame !== undefined) {
        const { inTo } = parseFrame(Buffer.from(frame.text)).header
        return new Difference(
          'input_missing',
          { slot: slot.name, position: positionOf(inTo) },
          `Frame ${frame.sequence} covers the log up to ${positionOf(inTo)}; the log ends at ${this.#readings.get(slot.log)?.sequence}.`,
        )
      }
      const position = slot.uncovered(Number.MAX_SAFE_INTEGER)
      if (position !== undefined) {
        return new Difference(
          'not_applied',
          { slot: slot.name, position },
          `No frame covers the log from here on, and none has come for ${this.#options.waitMs} ms: nobody applies it, or its last frames are gone.`,
        )
      }
    }
    const link = [...this.#links.all()].find(({ ahead }) => ahead !== undefined)
    return new Difference(
      'pair_item_unsent',
      { slot: link?.target ?? '', position: link?.ahead ?? '' },
      `The log of ${link?.target} has an item from ${link?.sender} that the replay of ${link?.sender} does not send.`,
    )
  }

  /** Applies the slot's next frame if it is at hand. */
  async #advance(slot: AuditedSlot): Promise<boolean> {
    const before = slot.counts.items
    const frame = slot.next()
    if (frame === undefined) return false
    if (slot.log === Log.definitions) this.#learnMarkets(frame)
    if (slot.log === Log.accounts) this.#hand(slot, frame)
    await this.#pace.step(1 + slot.counts.items - before)
    if (performance.now() - this.#toldMs > PROGRESS_MS) {
      this.#toldMs = performance.now()
      this.#options.onProgress(this.counts())
    }
    return true
  }

  /** Hands a message over to its slot. */
  #take(cursor: StreamCursor): AuditedSlot {
    if (cursor === this.#events) {
      const { slot, frame } = this.#takeFrame()
      slot.addFrame(frame)
      return slot
    }
    const taken = cursor.take()
    const log = Object.values(Log).find((name) => STREAM_OF_LOG[name] === cursor.stream)
    if (taken === undefined || log === undefined) throw new RangeError(`${cursor.stream} has no message at hand`)
    const { slot: number, message } = toLogMessage(taken)
    const slot = this.#slotNamed(sourceName(log, number))
    slot.addMessage(message)
    this.#readingOf(log).sequence = message.sequence
    return slot
  }

  #common(log: Log): { readonly reading: Reading; readonly links: PairLinks } {
    return { reading: this.#readingOf(log), links: this.#links }
  }

  #readingOf(log: Log): Reading {
    const reading = this.#readings.get(log)
    if (reading === undefined) throw new RangeError(`${log} is no log`)
    return reading
  }

  #takeFrame(): { readonly slot: AuditedSlot; readonly frame: StoredFrame } {
    const taken = this.#events.take()
    if (taken === undefined) throw new RangeError('there is no frame')
    const [, log, slot] = taken.subject.split('.')
    const frame = { sequence: taken.seq, previous: previousOf(taken), text: taken.string() }
    return { slot: this.#slotNamed(`${log}-${slot}`), frame }
  }

  #slotNamed(name: string): AuditedSlot {
    const slot = this.#byName.get(name)
    if (slot === undefined) throw new Difference('header_differs', { slot: name }, `The mesh has no slot ${name}.`)
    return slot
  }

  #hand(slot: AuditedSlot, { text, sequence }: StoredFrame): void {
    this.#options.onAccountFrame(slot.slot, parseFrame<AccountEvent>(Buffer.from(text)), sequence)
  }

  #learnMarkets({ text }: StoredFrame): void {
    for (const event of parseFrame<DefinitionEvent>(Buffer.from(text)).events) {
      if (event.type !== 'MarketDefined') continue
      const { instrument, base, quote, baseMinorPerLot } = event.market
      this.markets.set(instrument, { base, quote, baseMinorPerLot: BigInt(baseMinorPerLot) })
    }
  }

  /** Of a pair between an account slot and an engine slot: items that an order command still waits for. */
  #outcomesUnderWay({
    sender,
    target,
    underWay,
  }: {
    sender: string
    target: string
    underWay: Iterable<string>
  }): number {
    const toMarket = sender.startsWith(`${Log.accounts}-`) && target.startsWith(`${Log.markets}-`)
    const fromMarket = sender.startsWith(`${Log.markets}-`) && target.startsWith(`${Log.accounts}-`)
    if (!toMarket && !fromMarket) return 0
    let count = 0
    for (const text of underWay) if ((decodeItem(text) as { cause?: unknown }).cause !== 'matched') count++
    return count
  }
}
