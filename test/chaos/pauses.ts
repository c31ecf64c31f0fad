/** When members were last answered, by the part of the exchange that it took; and how long there was none. */
export interface Gap {
  readonly part: string
  readonly fromMs: number
  readonly toMs: number
}

/** Shorter ones are of no interest, in milliseconds. */
const GAP_MS_MIN = 50

export class Pauses {
  readonly #lastMs = new Map<string, number>()
  readonly #gaps: Gap[] = []
  readonly #nowMs: () => number

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs
  }

  /** This part of the exchange has answered. */
  answered(part: string): void {
    const nowMs = this.#nowMs()
    const fromMs = this.#lastMs.get(part)
    this.#lastMs.set(part, nowMs)
    if (fromMs !== undefined && nowMs - fromMs >= GAP_MS_MIN) this.#gaps.push({ part, fromMs, toMs: nowMs })
  }

  /** Nobody asks for anything now, so nobody waits. */
  forget(): void {
    this.#lastMs.clear()
    this.#gaps.length = 0
  }

  /** The longest time without an answer of any one of these parts that touches this span, in milliseconds. */
  longest(parts: readonly string[], fromMs: number, toMs: number): number {
    let longest = 0
    for (const gap of this.#all()) {
      if (!parts.includes(gap.part) || gap.toMs < fromMs || gap.fromMs > toMs) continue
      longest = Math.max(longest, gap.toMs - gap.fromMs)
    }
    return Math.round(longest)
  }

  /** Of a part that has not answered since, the time until now is one too. */
  #all(): Gap[] {
    const nowMs = this.#nowMs()
    return [...this.#gaps, ...[...this.#lastMs].map(([part, fromMs]) => ({ part, fromMs, toMs: nowMs }))]
  }
}
