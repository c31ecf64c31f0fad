import assert from 'node:assert/strict'

/** What rests at a price. */
export type Level = readonly [priceTicks: number, lots: number]

/** What changes first..last of a book left behind: for each level touched what rests there now, 0 for nothing. */
export interface BookChange {
  readonly first: number
  readonly last: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

/** A market's book by price, rebuilt from its changes. */
export class DepthBook {
  readonly bids = new DepthSide(1)
  readonly asks = new DepthSide(-1)
  /** The last change that is in it. */
  #sequence = 0

  get sequence(): number {
    return this.#sequence
  }

  /** `known`: it was in there before. `gap`: changes before it are missing, and it is left out. */
  apply({ first, last, bids, asks }: BookChange): 'applied' | 'known' | 'gap' {
    if (last <= this.#sequence) return 'known'
    if (first > this.#sequence + 1) return 'gap'
    for (const [priceTicks, lots] of bids) this.bids.set(priceTicks, lots)
    for (const [priceTicks, lots] of asks) this.asks.set(priceTicks, lots)
    this.#sequence = last
    return 'applied'
  }

  /** Forgets everything, and is this from now on. Levels best first. */
  reset(sequence: number, bids: readonly Level[], asks: readonly Level[]): void {
    this.bids.reset(bids)
    this.asks.reset(asks)
    this.#sequence = sequence
  }
}

/** One side, sorted so that the best level is the last one: most changes are near it. */
class DepthSide {
  /** 1: the highest price is the best one. -1: the lowest. */
  readonly #sign: 1 | -1
  #keys: number[] = []
  #lots: number[] = []

  constructor(sign: 1 | -1) {
    this.#sign = sign
  }

  get count(): number {
    return this.#keys.length
  }

  /** What rests at a price from now on; 0 takes the level away. */
  set(priceTicks: number, lots: number): void {
    assert(lots >= 0, 'nothing rests below zero')
    const key = priceTicks * this.#sign
    const at = this.#placeOf(key)
    if (this.#keys[at] === key) {
      if (lots > 0) this.#lots[at] = lots
      else {
        this.#keys.splice(at, 1)
        this.#lots.splice(at, 1)
      }
    } else if (lots > 0) {
      this.#keys.splice(at, 0, key)
      this.#lots.splice(at, 0, lots)
    }
  }

  reset(levels: readonly Level[]): void {
    const sorted = levels
      .map(([priceTicks, lots]) => [priceTicks * this.#sign, lots] as const)
      .sort(([a], [b]) => a - b)
    this.#keys = sorted.map(([key]) => key)
    this.#lots = sorted.map(([, lots]) => lots)
  }

  /** Best first. */
  top(levelsMax: number): Level[] {
    const levels: Level[] = []
    for (let at = this.#keys.length - 1; at >= 0 && levels.length < levelsMax; at--) {
      levels.push([(this.#keys[at] ?? 0) * this.#sign, this.#lots[at] ?? 0])
    }
    return levels
  }

  /** The place of the first key that is not below this one. */
  #placeOf(key: number): number {
    const last = this.#keys.length - 1
    if (last >= 0 && key > (this.#keys[last] ?? 0)) return last + 1
    let from = 0
    let to = this.#keys.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if ((this.#keys[middle] ?? 0) < key) from = middle + 1
      else to = middle
    }
    return from
  }
}
