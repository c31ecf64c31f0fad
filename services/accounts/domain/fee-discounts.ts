import type { RecordsHash } from './hashes.ts'

const PPM = 1_000_000

/** As it is packed: the day, and the members by id. */
export type PackedDiscounts = readonly [day: number, discounts: readonly (readonly [memberId: number, ppm: number])[]]

/** What members are let off of the markets' fees, in parts per million of them: who has traded much. Most have nothing. */
export class FeeDiscounts {
  readonly #ppmOf = new Map<number, number>()
  /** Days since 1970: the latest one that anything was set for. */
  #day = 0

  /**
   * From the day on. What comes for an earlier day than the latest is late, and changes nothing.
   * @returns whether it is another one than before
   */
  set(memberId: number, day: number, ppm: number): boolean {
    if (day < this.#day) return false
    this.#day = day
    if ((this.#ppmOf.get(memberId) ?? 0) === ppm) return false
    if (ppm === 0) this.#ppmOf.delete(memberId)
    else this.#ppmOf.set(memberId, ppm)
    return true
  }

  /** What is left of a fee rate, rounded up. */
  rateFor(memberId: number, ratePpm: number): number {
    if (this.#ppmOf.size === 0) return ratePpm
    const ppm = this.#ppmOf.get(memberId)
    // Below 2^53, and a fraction of it is never as small as what a division loses.
    return ppm === undefined ? ratePpm : Math.ceil((ratePpm * (PPM - ppm)) / PPM)
  }

  /** Nothing where nothing was ever set: a log without it packs and hashes as it always did. */
  packed(): PackedDiscounts | undefined {
    if (this.#day === 0) return undefined
    return [this.#day, [...this.#ppmOf].sort(([a], [b]) => a - b)]
  }

  static restore(packed: PackedDiscounts | undefined): FeeDiscounts {
    const discounts = new FeeDiscounts()
    const [day, all] = packed ?? [0, []]
    discounts.#day = day
    for (const [memberId, ppm] of all) discounts.#ppmOf.set(memberId, ppm)
    return discounts
  }

  addTo(hash: RecordsHash, kind: number): void {
    if (this.#day > 0) hash.begin(kind).number(0).number(this.#day).end()
    for (const [memberId, ppm] of this.#ppmOf) hash.begin(kind).number(memberId).number(ppm).end()
  }
}
