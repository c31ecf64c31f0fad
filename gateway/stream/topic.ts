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
/** Between two messages to the same followers, at least, in milliseconds. */
const SPACING_MS_MIN = 10
/** A round of messages is followed by a pause of so many times as long: the more there are to be told, the more is conflated. */
const PAUSE_FACTOR = 3
const SPACING_MS_MAX = 1_000
/** Followers that are told in one turn of the event loop. */
const ROUND = 500
/** How soon one who is behind is looked at again, in milliseconds. */
const LOOK_MS = 100

/**
 * Tells all followers the same, each message made once. What happens while a round is under way, or too soon after it, is one message
 * afterwards. Who cannot take a message is left behind, and is given everything anew when he can: never a change that
 * does not follow what he has.
 */
export class Topic {
  readonly #source: Source
  readonly #followers = new Map<Sink, Follower>()
  #isBusy = false
  #isDirty = false
  #spacingMs = SPACING_MS_MIN
  #toldAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #behind: NodeJS.Timeout | undefined

  constructor(source: Source) {
    this.#source = source
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
    this.#isDirty = true
    if (this.#isBusy || this.#timer !== undefined) return
    const waitMs = Math.max(0, this.#toldAtMs + this.#spacingMs - performance.now())
    this.#timer = setTimeout(() => void this.#tell(), waitMs)
  }

  close(): void {
    this.#followers.clear()
    clearTimeout(this.#timer)
    clearTimeout(this.#behind)
  }

  async #tell(): Promise<void> {
    this.#timer = undefined
    this.#isDirty = false
    const news = this.#source.news()
    if (news !== undefined) {
      this.#isBusy = true
      await this.#round(news)
      this.#isBusy = false
    }
    if (this.#isDirty) this.touch()
  }

  async #round({
    from,
    to,
    text,
  }: {
    readonly from: number
    readonly to: number
    readonly text: string
  }): Promise<void> {
    const beganAtMs = performance.now()
    const message = Buffer.from(text)
    let busyMs = 0
    let turnAtMs = beganAtMs
    let told = 0
    let isOneBehind = false
    for (const follower of this.#followers.values()) {
      if (follower.version === from && !follower.sink.isFull) {
        follower.sink.send(message)
        follower.version = to
      } else if (follower.version !== to) isOneBehind = true
      if (++told % ROUND === 0) {
        busyMs += performance.now() - turnAtMs
        await new Promise((resolve) => setImmediate(resolve))
        turnAtMs = performance.now()
      }
    }
    this.#toldAtMs = performance.now()
    busyMs += this.#toldAtMs - turnAtMs
    const tookMs = Math.max(busyMs, (this.#toldAtMs - beganAtMs) / 2)
    this.#spacingMs = Math.min(SPACING_MS_MAX, Math.max(SPACING_MS_MIN, PAUSE_FACTOR * tookMs))
    if (isOneBehind) this.#lookSoon()
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
      const all = this.#isBusy ? undefined : this.#source.snapshot()
      let isOneBehind = this.#isBusy || all === undefined
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
