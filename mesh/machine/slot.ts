import assert from 'node:assert/strict'
import { chainHash, chainHashes } from '../domain/chain.ts'
import type { FrameHeader, Position } from '../frames.ts'
import { FRAME_VERSION } from '../frames.ts'
import { decodeItem, encodeLine, withPosition } from '../protocol/compact.ts'
import type { Reply } from '../protocol/replies.ts'
import { type Log, pairSubject, sourceName } from '../subjects.ts'
import type { Way } from '../telemetry/beside.ts'
import type { DraftTraces, SlotTraces } from '../telemetry/slot-traces.ts'
import type { Context, Rules, Ticket } from './rules.ts'
import { checkPairMessage, type PairEnd, pairStart, splitPairMessage } from './wire.ts'

/** A message of the slot's log, as it was stored. */
export interface LogMessage {
  readonly sequence: number
  /** The stored message's time in microseconds. */
  readonly timeUs: number
  /** `cmd`, or the name of the slot that sent it. */
  readonly source: string
  readonly text: string
  /** Beside a message of the edge: which of its items are sampled. In no state. */
  readonly traces?: string | undefined
}

/** Where a fold stands between two messages: with the state, all that it needs to go on. */
export interface FoldPoint {
  /** The last item applied, the last of its message: [sequence, item]. */
  readonly applied: readonly [number, number]
  readonly itemsCount: number
  readonly hash: number
  readonly timeUs: number
  /** By source, and by subject. */
  readonly pairsIn: readonly (readonly [string, PairEnd])[]
  readonly pairsOut: readonly (readonly [string, PairEnd])[]
}

/** A slot that must not go on. An operator has to look; nobody takes it over. */
export class SlotHalt extends Error {
  override readonly name = 'SlotHalt'
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The sending end of a pair, and what is known of the target's log. */
export interface PairOut extends PairEnd {
  readonly subject: string
  /** The last item that is known to be stored, its chain value, and its message's sequence in the stream (-1: not known). */
  stored: PairEnd & { sequence: number }
  /** Items after `stored.count`, in order. */
  unsent: string[]
  /** Where the items of the frame under way were stored: runs of the count, by message. */
  runs: { readonly first: number; readonly last: number; readonly sequence: number }[]
}

export interface PendingReply {
  readonly replyTo: string
  readonly reply: Reply
  /** The place of this very item in the slot's log, or the item that was sent. */
  readonly position: string | { readonly pair: PairOut; readonly count: number } | undefined
  /** How the item that it answers came here. */
  readonly way: Way | undefined
}

/** What one frame will hold, and what leaves after it. */
export interface FrameDraft {
  inFrom: [number, number]
  inTo: [number, number]
  complete: boolean
  eventLines: string[]
  chars: number
  itemsCount: number
  replies: PendingReply[]
  traces: DraftTraces | undefined
  /** The slot's chain and time after the last input. */
  hash: number
  timeUs: number
}

/** A frame closes at about 1 MB, between two items. */
const FRAME_CHARS_MAX = 900_000
/** And at this many items, so that one frame's work stays short. */
const FRAME_ITEMS_MAX = 5_000

/** Told of each event in order, also in a replay, for what is kept outside the state. */
export type SlotObserver<Event> = (slot: number, event: Event, position: Position, timeUs: number) => void

/**
 * One slot's fold, without any I/O: messages in; state, event lines, items for other slots and replies out.
 * The same input gives the same bytes, wherever the frames' borders fall.
 */
export class SlotFold<State, Item, Event> {
  readonly slot: number
  readonly state: State
  /** The chain over all inputs and events. */
  hash = 0
  timeUs = 0
  /** The last item applied: [sequence, item], and whether it was its message's last. */
  applied: readonly [number, number] = [0, 0]
  appliedComplete = true
  /** Items applied since the log began. */
  itemsCount = 0
  readonly pairsIn = new Map<string, PairEnd>()
  readonly pairsOut = new Map<string, PairOut>()
  /** Whether drafts hold the lines of events: not where they are stored already. */
  saysEvents = true
  /** Told of input that was passed over because it does not fit; the state is unchanged. */
  onAlarm: (code: string, details: object) => void = () => {}
  /** Where tracing is on; it hears what happens, and nothing here depends on it. */
  traces: SlotTraces | undefined

  readonly #rules: Rules<State, Item, Event>
  readonly #observe: SlotObserver<Event> | undefined
  readonly #name: string
  readonly #context: Context<Event>
  readonly #stored: Map<string, PairOut['stored']>
  #draft: FrameDraft
  #eventNumber = 0
  #source = ''
  #sequence = 0
  #item = 0
  readonly #tickets: { pair: PairOut; count: number }[] = []

  /**
   * `stored`: the last message of each pair that this slot sends on, by subject, as the logs have it.
   * `from`: where another fold of the log stood, and its state, to go on from there.
   */
  constructor(
    rules: Rules<State, Item, Event>,
    slot: number,
    stored: ReadonlyMap<string, PairOut['stored']> = new Map(),
    observe?: SlotObserver<Event>,
    from?: { readonly point: FoldPoint; readonly state: State },
  ) {
    this.#rules = rules
    this.slot = slot
    this.state = from === undefined ? rules.initialState(slot) : from.state
    this.#name = sourceName(rules.log, slot)
    this.#stored = new Map(stored)
    this.#observe = observe
    this.#draft = emptyDraft()
    const fold = this
    this.#context = {
      slot,
      get timeUs() {
        return fold.timeUs
      },
      get source() {
        return fold.#source
      },
      emit: (event) => fold.#emit(event),
      send: (log, target, item) => fold.#send(log, target, item),
      reply: (replyTo, reply, position) => fold.#reply(replyTo, reply, position),
    }
    if (from !== undefined) this.#goOnFrom(from.point)
  }

  /** Where the fold stands. It must stand between two messages. */
  point(): FoldPoint {
    assert(this.appliedComplete, 'a point lies between two messages')
    const endOf = ({ count, hash }: PairEnd): PairEnd => ({ count, hash })
    return {
      applied: this.applied,
      itemsCount: this.itemsCount,
      hash: this.hash,
      timeUs: this.timeUs,
      pairsIn: Array.from(this.pairsIn, ([source, end]) => [source, endOf(end)]),
      pairsOut: Array.from(this.pairsOut, ([subject, end]) => [subject, endOf(end)]),
    }
  }

  #goOnFrom(point: FoldPoint): void {
    this.applied = point.applied
    this.itemsCount = point.itemsCount
    this.hash = point.hash
    this.timeUs = point.timeUs
    this.#sequence = point.applied[0]
    for (const [source, { count, hash }] of point.pairsIn) this.pairsIn.set(source, { count, hash })
    for (const [subject, { count, hash }] of point.pairsOut) {
      const stored = this.#stored.get(subject) ?? { ...pairStart(), sequence: 0 }
      assert(stored.count >= count, 'all that was sent before the point is stored')
      if (stored.count === count && stored.hash !== hash) throw senderDiffers(subject, count)
      this.pairsOut.set(subject, { count, hash, subject, stored: { ...stored }, unsent: [], runs: [] })
    }
  }

  /** What was drafted since the last call; the next frame begins. */
  takeDraft(): FrameDraft {
    const draft = this.#draft
    draft.hash = this.hash
    draft.timeUs = this.timeUs
    draft.traces = this.traces?.takeDraft()
    this.#draft = emptyDraft()
    return draft
  }

  /** The target's log has the items up to this one: they need not be kept. @throws SlotHalt when it has others. */
  markStored(subject: string, stored: PairOut['stored']): void {
    this.#stored.set(subject, stored)
    const pair = this.pairsOut.get(subject)
    if (pair === undefined) return
    assert(stored.count >= pair.stored.count, 'what is stored does not shrink')
    // Where the target has more than this log has led to, there is nothing unsent, and the next item will show whether it is the same.
    const known = Math.max(0, Math.min(stored.count, pair.count) - pair.stored.count)
    let { hash } = pair.stored
    for (const item of pair.unsent.slice(0, known)) hash = chainHash(hash, item)
    if (stored.count <= pair.count && hash !== stored.hash) throw senderDiffers(subject, stored.count)
    pair.stored = { ...stored }
    pair.unsent = pair.unsent.slice(known)
  }

  /** Whoever only reads keeps nothing of what the slot has sent. */
  forgetSent(): void {
    for (const pair of this.pairsOut.values()) {
      if (pair.unsent.length === 0) continue
      pair.unsent = []
      pair.stored = { count: pair.count, hash: pair.hash, sequence: -1 }
    }
  }

  /** The items up to this count were proved to be stored by a frame. */
  dropSent(pair: PairOut, count: number): void {
    const known = count - pair.stored.count
    if (known <= 0) return
    let { hash } = pair.stored
    for (const item of pair.unsent.slice(0, known)) hash = chainHash(hash, item)
    pair.stored = { count, hash, sequence: -1 }
    pair.unsent = pair.unsent.slice(known)
  }

  /**
   * Applies the items of a message from `from` on, until it ends or the frame is full.
   * Returns the next item's index, or -1 when the message is done.
   * @throws SlotHalt when an item of a trusted source cannot be read or the rules fail.
   */
  apply(message: LogMessage, from: number, until = Number.MAX_SAFE_INTEGER): number {
    assert(message.sequence >= this.#sequence, 'messages come in the order of the log')
    this.#sequence = message.sequence
    this.#source = message.source
    if (message.timeUs > this.timeUs) this.timeUs = message.timeUs
    if (message.source === 'cmd') this.traces?.arrive(message)
    const items = message.source === 'cmd' ? message.text.split('\n') : this.#newItems(message)
    for (let index = from; index < items.length; index++) {
      if (index > until || (index > from && this.#draftIsFull())) return index
      const item = items[index]
      this.#item = index
      this.#cover(index, index === items.length - 1)
      if (item !== undefined) this.#applyItem(item)
    }
    if (items.length === 0) this.#cover(0, true)
    return -1
  }

  #draftIsFull(): boolean {
    return this.#draft.chars > FRAME_CHARS_MAX || this.#draft.itemsCount >= FRAME_ITEMS_MAX
  }

  #cover(index: number, last: boolean): void {
    const draft = this.#draft
    if (draft.itemsCount === 0) draft.inFrom = [this.#sequence, index]
    draft.inTo = [this.#sequence, index]
    draft.complete = last
    draft.itemsCount++
    this.applied = draft.inTo
    this.appliedComplete = last
    this.itemsCount++
  }

  /** The items of a pair's message; those already known, or all of a message that does not fit, are `undefined`. */
  #newItems(message: LogMessage): (string | undefined)[] {
    const { header, items } = splitPairMessage(message.text)
    this.traces?.arrive(message, header)
    let end = this.pairsIn.get(message.source)
    if (end === undefined) {
      end = pairStart()
      this.pairsIn.set(message.source, end)
    }
    // A message that is being continued in the next frame was checked when it was begun.
    if (message.sequence === this.#checkedSequence) return this.#checkedItems
    const check = checkPairMessage(end, header, items)
    let take = items.length
    if ('refuse' in check) {
      this.onAlarm(`pair_${check.refuse}`, {
        source: message.source,
        sequence: message.sequence,
        first: header.first,
        end,
      })
    } else {
      take = check.take
    }
    this.#checkedSequence = message.sequence
    this.#checkedItems = items.map((item, index) => (index < take ? undefined : item))
    return this.#checkedItems
  }
  #checkedSequence = 0
  #checkedItems: (string | undefined)[] = []

  #applyItem(text: string): void {
    if (this.#source === 'cmd') {
      this.hash = chainHash(this.hash, text)
    } else {
      const end = this.pairsIn.get(this.#source)
      assert(end !== undefined)
      end.count++
      chainHashes(this, end, text)
    }
    let item: Item
    try {
      item = decodeItem(text) as Item
    } catch (cause) {
      if (this.#source === 'cmd') {
        this.onAlarm('command_unreadable', { sequence: this.#sequence, item: this.#item })
        return
      }
      throw new SlotHalt('item_unreadable', `Item ${this.#item} of message ${this.#sequence} is not JSON.`, { cause })
    }
    this.#eventNumber = 0
    this.#tickets.length = 0
    this.traces?.enter(this.#item, item)
    try {
      this.#rules.apply(this.state, item, this.#context)
    } catch (cause) {
      if (cause instanceof SlotHalt) throw cause
      throw new SlotHalt('rules_failed', `Item ${this.#item} of message ${this.#sequence}: ${String(cause)}`, { cause })
    }
  }

  #emit(event: Event): void {
    const json = encodeLine(event as object)
    this.hash = chainHash(this.hash, json)
    const position: Position = [this.#sequence, this.#item, this.#eventNumber]
    if (this.saysEvents) {
      const line = withPosition(json, position)
      this.traces?.emitted(this.#draft.eventLines.length)
      this.#draft.eventLines.push(line)
      this.#draft.chars += line.length + 1
    }
    this.#observe?.(this.slot, event, position, this.timeUs)
    this.#eventNumber++
  }

  /** The position of this item's last event so far. */
  #here(): string {
    return `${this.#sequence}-${this.#item}-${Math.max(0, this.#eventNumber - 1)}`
  }

  #send(log: Log, slot: number, item: object): Ticket {
    const subject = pairSubject(log, slot, this.#name)
    let pair = this.pairsOut.get(subject)
    if (pair === undefined) {
      const stored = this.#stored.get(subject) ?? { ...pairStart(), sequence: 0 }
      pair = { ...pairStart(), subject, stored: { ...stored }, unsent: [], runs: [] }
      this.pairsOut.set(subject, pair)
    }
    const json = encodeLine(item)
    pair.count++
    pair.hash = chainHash(pair.hash, json)
    this.traces?.sent(pair, log)
    if (pair.count > pair.stored.count) {
      pair.unsent.push(json)
      this.#draft.chars += json.length
    } else if (pair.count === pair.stored.count && pair.hash !== pair.stored.hash) {
      throw senderDiffers(subject, pair.count)
    }
    return this.#tickets.push({ pair, count: pair.count }) - 1
  }

  #reply(replyTo: string, reply: Reply, position?: Ticket | 'here'): void {
    if (replyTo === '') return
    this.#draft.replies.push({
      replyTo,
      reply,
      position: position === undefined ? undefined : position === 'here' ? this.#here() : this.#tickets[position],
      way: this.traces?.current,
    })
  }
}

function emptyDraft(): FrameDraft {
  return {
    inFrom: [0, 0],
    inTo: [0, 0],
    complete: true,
    eventLines: [],
    chars: 0,
    itemsCount: 0,
    replies: [],
    traces: undefined,
    hash: 0,
    timeUs: 0,
  }
}

export function headerOf({ inFrom, inTo, complete, hash, timeUs }: FrameDraft): FrameHeader {
  return { inFrom, inTo, complete, hash, timeUs, version: FRAME_VERSION }
}

export const senderDiffers = (subject: string, count: number): SlotHalt =>
  new SlotHalt('sender_differs', `What ${subject} has stored up to item ${count} is not what this slot says.`)
