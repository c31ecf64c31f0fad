import assert from 'node:assert/strict'
import type { Position } from '#mesh/frames.ts'
import { comparePositions } from './position.ts'

/** One private message of a member, as it was told. */
export interface Told {
  readonly position: Position
  readonly previous: Position
  readonly text: string
}

interface Kept extends Told {
  readonly memberId: number
  readonly timeUs: number
}

interface RingLimits {
  /** How long a message is kept, in microseconds of the slot's time. */
  readonly keptUs: number
  /** How many characters of messages are kept at most. */
  readonly charsMax: number
}

/**
 * The latest private messages of one channel of a slot's members. Every message carries a `previous`: nothing of this member's lies
 * between that and the message. It is his message before, or where this memory begins; so whoever has seen everything up to
 * `previous` or beyond misses nothing.
 */
export class PrivateRing {
  readonly #limits: RingLimits
  /** All of them in order, those before `#head` forgotten. */
  #all: (Kept | undefined)[] = []
  #head = 0
  #chars = 0
  readonly #byMember = new Map<number, Kept[]>()
  /** Everything after it is in here. */
  #begin: Position
  #end: Position

  /** `begin`: nothing of what came up to it is known. */
  constructor(begin: Position, limits: RingLimits) {
    this.#begin = begin
    this.#end = begin
    this.#limits = limits
  }

  /** Up to where the slot's log is in here. */
  get end(): Position {
    return this.#end
  }

  get chars(): number {
    return this.#chars
  }

  /** The next message of a member. @returns with what came before it. */
  add(memberId: number, position: Position, timeUs: number, text: string): Told {
    assert(comparePositions(position, this.#end) >= 0, 'positions never go back')
    let own = this.#byMember.get(memberId)
    if (own === undefined) {
      own = []
      this.#byMember.set(memberId, own)
    }
    const previous = own.at(-1)?.position ?? this.#begin
    const told: Kept = { memberId, position, previous, timeUs, text }
    own.push(told)
    this.#all.push(told)
    this.#chars += text.length
    this.#end = position
    return told
  }

  /** The slot has come so far, whether or not that had anything for this channel. */
  advance(position: Position, timeUs: number): void {
    if (comparePositions(position, this.#end) > 0) this.#end = position
    for (;;) {
      const oldest = this.#all[this.#head]
      if (oldest === undefined) break
      if (oldest.timeUs >= timeUs - this.#limits.keptUs && this.#chars <= this.#limits.charsMax) break
      this.#forget(oldest)
    }
    if (this.#head > 1_000 && this.#head > this.#all.length / 2) {
      this.#all = this.#all.slice(this.#head)
      this.#head = 0
    }
  }

  /**
   * What a member was told after a position, oldest first, at most about `charsMax` characters but at least one message.
   * `undefined`: that is not known any more.
   */
  after(memberId: number, position: Position, charsMax: number): { told: Told[]; isAll: boolean } | undefined {
    if (comparePositions(position, this.#begin) < 0) return undefined
    const own = this.#byMember.get(memberId) ?? []
    let from = own.length
    while (from > 0 && isAfter(own[from - 1], position)) from--
    const told: Told[] = []
    let chars = 0
    for (const one of own.slice(from)) {
      if (told.length > 0 && chars + one.text.length > charsMax) return { told, isAll: false }
      told.push(one)
      chars += one.text.length
    }
    return { told, isAll: true }
  }

  /** Whether a member was told something after a position, or nobody knows. */
  hasAfter(memberId: number, position: Position): boolean {
    if (comparePositions(position, this.#begin) < 0) return true
    return isAfter(this.#byMember.get(memberId)?.at(-1), position)
  }

  #forget(oldest: Kept): void {
    this.#all[this.#head] = undefined
    this.#head++
    this.#chars -= oldest.text.length
    this.#begin = oldest.position
    const own = this.#byMember.get(oldest.memberId)
    assert(own?.[0] === oldest, "the oldest of all is its member's oldest")
    if (own.length === 1) this.#byMember.delete(oldest.memberId)
    else own.shift()
  }
}

const isAfter = (told: Told | undefined, position: Position): boolean =>
  told !== undefined && comparePositions(told.position, position) > 0
