import type { Leases } from './leases.ts'

/** By who has held a slot last: what nobody else can have ready comes first. */
const RANK = { self: 0, nobody: 1, other: 2 } as const

/**
 * One recovery at a time in a process, as they share its one thread: the first slot is back after its own replay, not after
 * everybody's. Its own slots come first, those of instances that live last. So two instances that start together after both
 * have died begin with different halves, and all slots have an owner in half the time that a whole recovery takes.
 */
export class RecoveryTurns {
  readonly #leases: Pick<Leases, 'holder'>
  readonly #offset: number
  readonly #waiting = new Map<number, () => void>()
  #isBusy = false

  /** Instances without a past begin at different slots, by their names. */
  constructor(instanceId: string, leases: Pick<Leases, 'holder'>) {
    this.#leases = leases
    this.#offset = [...instanceId].reduce((sum, character) => sum + (character.codePointAt(0) ?? 0), 0)
  }

  /** In the order in which they should begin, as far as that is known now. */
  order(slots: readonly number[]): number[] {
    const first = this.#offset % slots.length
    return this.#byRank([...slots.slice(first), ...slots.slice(0, first)])
  }

  /** Does the slot's work when its turn has come. A slot waits once at most. */
  async inTurn<Result>(slot: number, work: () => Promise<Result>): Promise<Result> {
    if (this.#isBusy) await new Promise<void>((resolve) => this.#waiting.set(slot, resolve))
    this.#isBusy = true
    try {
      return await work()
    } finally {
      this.#passOn()
    }
  }

  #passOn(): void {
    const [next] = this.#byRank([...this.#waiting.keys()])
    if (next === undefined) {
      this.#isBusy = false
      return
    }
    const go = this.#waiting.get(next)
    this.#waiting.delete(next)
    go?.()
  }

  /** Those of one rank stay in the order in which they have come. */
  #byRank(slots: readonly number[]): number[] {
    const rank = (slot: number): number => RANK[this.#leases.holder(slot)]
    return slots.toSorted((a, b) => rank(a) - rank(b))
  }
}
