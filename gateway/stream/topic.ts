/** Where messages go to: one connection. */
export interface Sink {
  send(message: Buffer): void
  /** It has more than it takes at the moment: public messages are not for it now. */
  readonly isFull: boolean
  readonly isOpen: boolean
}

/** What a topic is about. */
export interface Source {
  /** Everything, for one who has nothing (or nothing that can be gone on from); undefined while that is not known. */
  snapshot(): { readonly version: number; readonly text: string } | undefined
  /** What brings those at version `from` to `to`; undefined when there is nothing new. Called again only when all have it. */
  news(): { readonly from: number; readonly to: number; readonly text: string } | undefined
}

interface Follower {
  readonly sink: Sink
  /** What it has; -1: nothing yet. */
  version: number
}

const NOTHING = -1
/** Between two rounds, at least, in milliseconds. */
const SPACING_MS_MIN = 10
/** A round is followed by a pause of so many times as long: the more there are to be told, the more is conflated. */
const PAUSE_FACTOR = 1.5
const SPACING_MS_MAX = 1_000
/** Followers of each topic that are told in one turn of the event loop. */
const ROUND = 500
/** How soon one who is behind is looked at again, in milliseconds. */
const LOOK_MS = 100

/**
 * The rounds of topics that mostly have the same followers, as those of one market. What they have to tell is told together, so
 * that it reaches a connection as one write.
 */
export class Pace {
  readonly #touched = new Set<Topic>()
  #isBusy = false
  #spacingMs = SPACING_MS_MIN
  #toldAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  touch(topic: Topic): void {
    this.#touched.add(topic)
    this.#goOn()
  }

  /** It has nothing to tell any more. */
  leave(topic: Topic): void {
    this.#touched.delete(topic)
    if (this.#touched.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #goOn(): void {
    if (this.#isBusy || this.#timer !== undefined || this.#touched.size === 0) return
    const waitMs = Math.max(0, this.#toldAtMs + this.#spacingMs - performance.now())
    this.#timer = setTimeout(() => void this.#tell(), waitMs)
  }

  async #tell(): Promise<void> {
    this.#timer = undefined
    const topics = [...this.#touched].filter((topic) => topic.begin())
    this.#touched.clear()
    if (topics.length > 0) {
      this.#isBusy = true
      await this.#round(topics)
      this.#isBusy = false
    }
    this.#goOn()
  }

  async #round(topics: readonly Topic[]): Promise<void> {
    const beganAtMs = performance.now()
    let busyMs = 0
    for (let left = topics; ; ) {
      const turnAtMs = performance.now()
      left = left.filter((topic) => topic.tellSome(ROUND))
      busyMs += performance.now() - turnAtMs
      if (left.length === 0) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#toldAtMs = performance.now()
    const tookMs = Math.max(busyMs, (this.#toldAtMs - beganAtMs) / 2)
    this.#spacingMs = Math.min(SPACING_MS_MAX, Math.max(SPACING_MS_MIN, PAUSE_FACTOR * tookMs))
  }
}

/** A message that brings those at one version to another, and whom it is still to be given. */
interface Round {
  readonly from: number
  readonly to: number
  readonly message: Buffer
  readonly followers: Iterator<Follower>
  isOneBehind: boolean
}

/**
 * Tells all followers the same, each message made once. What happens while a round is under way, or too soon after it, is one message
 * afterwards. Who cannot take a message is left behind, and is given everything anew when he can: never a change that
 * does not follow what he has.
 */
export class Topic {
  readonly #source: Source
  readonly #pace: Pace
  readonly #followers = new Map<Sink, Follower>()
  #round: Round | undefined
  #behind: NodeJS.Timeout | undefined

  constructor(source: Source, pace: Pace) {
    this.#source = source
    this.#pace = pace
  }

  get count(): number {
    return this.#followers.size
  }

  add(sink: Sink): void {
    const follower = { sink, version: NOTHING }
    this.#followers.set(sink, follower)
    if (!this.#giveAll(follower)) this.#lookSoon()
  }

  delete(sink: Sink): void {
    this.#followers.delete(sink)
  }

  /** There is something new. */
  touch(): void {
    this.#pace.touch(this)
  }

  close(): void {
    this.#followers.clear()
    this.#pace.leave(this)
    clearTimeout(this.#behind)
  }

  /** A round begins, if there is news. @returns whether it does */
  begin(): boolean {
    const news = this.#source.news()
    if (news === undefined) return false
    const { from, to, text } = news
    this.#round = { from, to, message: Buffer.from(text), followers: this.#followers.values(), isOneBehind: false }
    return true
  }

  /** Goes on with the round, for so many followers. @returns whether some are left */
  tellSome(count: number): boolean {
    const round = this.#round
    if (round === undefined) return false
    for (let told = 0; told < count; told++) {
      const { value: follower, done } = round.followers.next()
      if (done === true) {
        this.#round = undefined
        if (round.isOneBehind) this.#lookSoon()
        return false
      }
      if (follower.version === round.from && !follower.sink.isFull) {
        follower.sink.send(round.message)
        follower.version = round.to
      } else if (follower.version !== round.to) round.isOneBehind = true
    }
    return true
  }

  /** Whether he has everything now. */
  #giveAll(follower: Follower): boolean {
    if (follower.sink.isFull) return false
    const all = this.#source.snapshot()
    if (all === undefined) return false
    follower.sink.send(Buffer.from(all.text))
    follower.version = all.version
    return true
  }

  #lookSoon(): void {
    this.#behind ??= setTimeout(() => {
      this.#behind = undefined
      const isBusy = this.#round !== undefined
      const all = isBusy ? undefined : this.#source.snapshot()
      let isOneBehind = isBusy || all === undefined
      const message = all === undefined ? undefined : Buffer.from(all.text)
      for (const follower of this.#followers.values()) {
        if (all === undefined || message === undefined || follower.version === all.version) continue
        if (follower.sink.isFull) isOneBehind = true
        else {
          follower.sink.send(message)
          follower.version = all.version
        }
      }
      if (isOneBehind && this.#followers.size > 0) this.#lookSoon()
    }, LOOK_MS)
  }

  /** What could not be known before is known. */
  ready(): void {
    for (const follower of this.#followers.values()) if (follower.version === NOTHING) this.#giveAll(follower)
  }
}
