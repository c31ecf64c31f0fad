import type { FrameHeader } from '#mesh/frames.ts'
import type { Rules } from '#mesh/machine/rules.ts'
import { type LogMessage, SlotFold, SlotHalt } from '#mesh/machine/slot.ts'
import { splitPairMessage } from '#mesh/machine/wire.ts'
import { positionOfLine } from '#mesh/protocol/compact.ts'
import { type Log, pairSubject, sourceName } from '#mesh/subjects.ts'
import { type Answers, watched } from './answers.ts'
import { Difference, positionOf } from './difference.ts'
import type { PairLinks } from './pair-links.ts'
import { Queue } from './queue.ts'

/** A frame as it is stored. */
export interface StoredFrame {
  readonly sequence: number
  /** Where its writer had stored the frame before it, if it says so. */
  readonly previous: number | undefined
  readonly text: string
}

/** How far a log was read: every message up to here was handed over to its slot. */
export interface Reading {
  sequence: number
}

/** What another part of the audit wants to know of a slot, whatever its rules. */
export interface AuditedSlot {
  readonly name: string
  readonly log: Log
  readonly slot: number
  readonly answers: Answers
  readonly counts: { readonly items: number; readonly events: number; readonly frames: number }
  readonly lastFrameSequence: number
  addMessage(message: LogMessage): void
  addFrame(frame: StoredFrame): void
  /** Applies a frame that is at hand with all its inputs. Undefined when there is none. */
  next(): StoredFrame | undefined
  /** Frames that wait for their inputs, or for being asked for. */
  frames(): Iterable<StoredFrame>
  readonly firstFrame: StoredFrame | undefined
  /** A frame ended in the middle of a message. */
  readonly isInMessage: boolean
  /** Where the first message up to this sequence stands that no frame covers. */
  uncovered(untilSequence: number): string | undefined
  readonly bufferedChars: number
}

/**
 * One slot's log and its frames, side by side. The log is replayed by the real rules from frame to frame; at each border the
 * replay must say the same event lines and come to the same hash, and each frame must begin where the one before it ended.
 */
export class SlotAudit<State, Item extends object, Event> implements AuditedSlot {
  readonly name: string
  readonly log: Log
  readonly slot: number
  readonly fold: SlotFold<State, Item, Event>
  readonly answers: Answers
  readonly counts = { items: 0, events: 0, frames: 0 }
  lastFrameSequence = 0
  bufferedChars = 0
  readonly #reading: Reading
  readonly #links: PairLinks
  readonly #inputs = new Queue<LogMessage>()
  readonly #frames = new Queue<StoredFrame>()
  /** The next item of the first input. */
  #from = 0
  #lastInTo: readonly [number, number] = [0, -1]

  constructor(
    rules: Rules<State, Item, Event>,
    slot: number,
    { reading, links, answers }: { readonly reading: Reading; readonly links: PairLinks; readonly answers: Answers },
  ) {
    this.#reading = reading
    this.log = rules.log
    this.slot = slot
    this.name = sourceName(rules.log, slot)
    this.answers = answers
    this.#links = links
    const looking = watched(
      rules,
      (target) => this.#sent(target),
      (item, source, said) => {
        this.counts.items++
        this.answers.applied(item, source, said, positionOf(this.fold.applied))
      },
    )
    this.fold = new SlotFold(looking, slot)
    this.fold.onAlarm = (code, details) => this.#alarm(code, details)
  }

  addMessage(message: LogMessage): void {
    this.#inputs.push(message)
    this.bufferedChars += message.text.length
  }

  addFrame(frame: StoredFrame): void {
    this.#frames.push(frame)
    this.bufferedChars += frame.text.length
  }

  frames(): Iterable<StoredFrame> {
    return this.#frames
  }

  get firstFrame(): StoredFrame | undefined {
    return this.#frames.first
  }

  get isInMessage(): boolean {
    return this.#from > 0
  }

  uncovered(untilSequence: number): string | undefined {
    const first = this.#inputs.first
    return first === undefined || first.sequence > untilSequence ? undefined : positionOf([first.sequence, this.#from])
  }

  next(): StoredFrame | undefined {
    const frame = this.#frames.first
    if (frame === undefined) return undefined
    const { header, body } = splitFrame(frame.text)
    if (header.inTo[0] > this.#reading.sequence) return undefined
    this.#checkOrder(frame, header)
    this.#checkContent(frame, header, this.#replay(header), body)
    this.#frames.shift()
    this.bufferedChars -= frame.text.length
    this.lastFrameSequence = frame.sequence
    this.#lastInTo = header.inTo
    this.counts.frames++
    return frame
  }

  /** The frame follows the one before it, in EVENTS and in the slot's log. */
  #checkOrder({ sequence, previous }: StoredFrame, { inFrom }: FrameHeader): void {
    const position = positionOf(inFrom)
    if (previous !== undefined && previous !== this.lastFrameSequence) {
      throw this.#difference(
        'frame_missing',
        this.#nextPosition() ?? position,
        `Frame ${sequence}, which begins at ${position}, was stored after frame ${previous}; the one before it here is ${this.lastFrameSequence || 'none'}.`,
      )
    }
    if (!isBefore(this.#lastInTo, inFrom)) {
      const end = positionOf(this.#lastInTo)
      throw this.#difference(
        'frame_overlaps',
        position,
        `Frame ${sequence} begins at ${position}; the one before it, ${this.lastFrameSequence}, has covered the log up to ${end}.`,
      )
    }
    const first = this.#inputs.first
    const next: readonly [number, number] | undefined = first && [first.sequence, this.#from]
    if (next === undefined || isBefore(inFrom, next)) {
      throw this.#inputMissing(sequence, position, next)
    }
    if (isBefore(next, inFrom)) {
      throw this.#difference(
        'not_covered',
        positionOf(next),
        `The item at ${positionOf(next)} lies between frame ${this.lastFrameSequence} and frame ${sequence}, which begins at ${position}: no frame covers it.`,
      )
    }
  }

  /** Applies what the frame covers. Returns the event lines. */
  #replay({ inTo }: FrameHeader): string[] {
    const lines: string[] = []
    for (;;) {
      const message = this.#inputs.first
      if (message === undefined || message.sequence > inTo[0]) break
      const until = message.sequence === inTo[0] ? inTo[1] : Number.MAX_SAFE_INTEGER
      if (this.#from === 0) this.#receive(message)
      const next = this.#apply(message, until)
      for (const line of this.fold.takeDraft().eventLines) lines.push(line)
      if (next < 0) {
        this.#inputs.shift()
        this.bufferedChars -= message.text.length
        this.#from = 0
      } else {
        this.#from = next
        if (next > until) break
      }
    }
    this.counts.events += lines.length
    return lines
  }

  #apply(message: LogMessage, until: number): number {
    try {
      return this.fold.apply(message, this.#from, until)
    } catch (error) {
      if (!(error instanceof SlotHalt)) throw error
      if (error.cause instanceof Difference) throw error.cause
      throw this.#difference('rules_failed', positionOf(this.fold.applied), error.message)
    }
  }

  #checkContent({ sequence }: StoredFrame, header: FrameHeader, lines: string[], body: string): void {
    const { inTo } = header
    const run = `${positionOf(header.inFrom)}..${positionOf(inTo)}`
    if (!isSame(this.fold.applied, inTo)) {
      throw this.#inputMissing(sequence, positionOf(inTo), this.#inputs.first && [this.#inputs.first.sequence, 0])
    }
    const said = lines.join('\n')
    if (said !== body) throw this.#eventDiffers(sequence, header, lines, body.split('\n'))
    if (this.fold.hash !== header.hash) {
      throw this.#difference(
        'hash_differs',
        positionOf(inTo),
        `Frame ${sequence} (${run}) has hash ${header.hash}; the replay comes to ${this.fold.hash}. Up to ${positionOf(header.inFrom)} they agree.`,
      )
    }
    if (this.fold.timeUs !== header.timeUs || this.fold.appliedComplete !== header.complete) {
      throw this.#difference(
        'header_differs',
        positionOf(inTo),
        `Frame ${sequence} (${run}) says time ${header.timeUs} and ${header.complete ? 'ends' : 'does not end'} its message; the replay says ${this.fold.timeUs} and ${this.fold.appliedComplete ? 'it does' : 'it does not'}.`,
      )
    }
  }

  #eventDiffers(sequence: number, header: FrameHeader, said: readonly string[], stored: readonly string[]): Difference {
    const index = said.findIndex((line, at) => line !== stored[at])
    const at = index < 0 ? said.length : index
    const position = placeOfLine(said[at]) ?? placeOfLine(stored[at]) ?? positionOf(header.inFrom)
    return this.#difference(
      'event_differs',
      position,
      `Event ${at} of frame ${sequence}: the replay says ${said[at] || 'nothing'}; stored is ${stored[at] || 'nothing'}.`,
    )
  }

  #inputMissing(frame: number, position: string, next: readonly [number, number] | undefined): Difference {
    const has = next === undefined ? 'The log ends before' : `The log goes on at ${positionOf(next)}`
    return this.#difference(
      'input_missing',
      position,
      `Frame ${frame} covers the item at ${position}. ${has}: the item is gone.`,
    )
  }

  #nextPosition(): string | undefined {
    const first = this.#inputs.first
    return first && positionOf([first.sequence, this.#from])
  }

  /** An item of a pair goes on its way. */
  #sent(target: string): void {
    const at = target.lastIndexOf('-')
    const pair = this.fold.pairsOut.get(
      pairSubject(target.slice(0, at) as Log, Number(target.slice(at + 1)), this.name),
    )
    const text = pair?.unsent.pop()
    if (pair === undefined || text === undefined) throw new Error(`nothing was sent to ${target}`)
    pair.stored = { count: pair.count, hash: pair.hash, sequence: -1 }
    this.#links.of(this.name, target).send(text, positionOf(this.fold.applied))
  }

  /** Compares the new items of a pair's message with what their sender's replay says, before the rules see them. */
  #receive({ source, sequence, text }: LogMessage): void {
    if (source === 'cmd') return
    const link = this.#links.of(source, this.name)
    const { header, items } = splitPairMessage(text)
    if (header.first > link.receivedCount + 1) {
      throw this.#difference(
        'pair_gap',
        positionOf([sequence, 0]),
        `The message begins with item ${header.first} from ${source}; the one before it ended with item ${link.receivedCount}.`,
      )
    }
    items.forEach((item, index) => {
      if (header.first + index > link.receivedCount) link.receive(item, positionOf([sequence, index]))
    })
  }

  #alarm(code: string, details: object): void {
    if (code === 'command_unreadable') return
    throw this.#difference(
      code === 'pair_gap' ? 'pair_gap' : 'pair_chain_differs',
      positionOf([this.#inputs.first?.sequence ?? 0, 0]),
      `A message does not follow the one before it: ${code} ${JSON.stringify(details)}.`,
    )
  }

  #difference(check: ConstructorParameters<typeof Difference>[0], position: string, message: string): Difference {
    return new Difference(check, { slot: this.name, position }, message)
  }
}

export function splitFrame(text: string): { readonly header: FrameHeader; readonly body: string } {
  const end = text.indexOf('\n')
  return end < 0
    ? { header: JSON.parse(text) as FrameHeader, body: '' }
    : { header: JSON.parse(text.slice(0, end)) as FrameHeader, body: text.slice(end + 1) }
}

const placeOfLine = (line: string | undefined): string | undefined => positionOfLine(line ?? '')?.join('-')

const isBefore = (a: readonly [number, number], b: readonly [number, number]): boolean =>
  a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])

const isSame = (a: readonly [number, number], b: readonly [number, number]): boolean => a[0] === b[0] && a[1] === b[1]
