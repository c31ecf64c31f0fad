import assert from 'node:assert/strict'

/** Entries that are kept for each end of a pair: a mirror is seconds behind, not hours. */
const KEPT_MAX = 500_000

interface Sent {
  /** Of the sender's log. */
  readonly sequence: number
  /** Items that it has sent to this target once that message is applied. */
  readonly count: number
}

interface Received {
  /** Of the receiver's log. */
  readonly sequence: number
  /** The number of the message's last item. */
  readonly last: number
}

/** The copies of the logs are further apart than what is remembered of them. */
export class CutTooDeep extends Error {
  override readonly name = 'CutTooDeep'
  readonly code = 'cut_too_deep'
}

/**
 * Copies of several logs, each whole up to some end of its own. What one slot has received must have been sent by another, from
 * what that one's copy still has; else its log is cut before it, which may leave others with something that nobody sent.
 */
export class CausalCut {
  readonly #ends = new Map<string, number>()
  readonly #sent = new Map<string, Sent[]>()
  readonly #received = new Map<string, Received[]>()
  readonly #forgotten = new Set<readonly unknown[]>()

  /** The last message of a slot's log. */
  end(slot: string, sequence: number): void {
    this.#ends.set(slot, sequence)
  }

  /** After the message at `sequence`, in order. */
  sent(source: string, target: string, entry: Sent): void {
    this.#keep(this.#sent, pairOf(source, target), entry)
  }

  /** In order. */
  received(source: string, target: string, entry: Received): void {
    this.#keep(this.#received, pairOf(source, target), entry)
  }

  /**
   * Where each slot's log has to end so that nobody has received what nobody has sent; as late as that can be.
   * @throws CutTooDeep
   */
  find(): Map<string, number> {
    const cut = new Map(this.#ends)
    let changed = true
    while (changed) {
      changed = false
      for (const [pair, received] of this.#received) {
        const [source, target] = slotsOf(pair)
        const sentCount = this.#sentCount(pair, cut.get(source) ?? 0)
        const end = cut.get(target) ?? 0
        const unsent = received.findIndex(({ last, sequence }) => last > sentCount && sequence <= end)
        const first = received[unsent]
        if (first === undefined) continue
        if (unsent === 0 && this.#forgotten.has(received)) throw new CutTooDeep(`${pair} differs beyond what is kept.`)
        cut.set(target, first.sequence - 1)
        changed = true
      }
    }
    return cut
  }

  #sentCount(pair: string, sequence: number): number {
    const sent = this.#sent.get(pair) ?? []
    let from = 0
    let to = sent.length
    while (from < to) {
      const middle = (from + to) >> 1
      if ((sent[middle]?.sequence ?? 0) <= sequence) from = middle + 1
      else to = middle
    }
    if (from === 0 && this.#forgotten.has(sent)) throw new CutTooDeep(`${pair} is cut before what is kept.`)
    return sent[from - 1]?.count ?? 0
  }

  #keep<Entry extends { readonly sequence: number }>(all: Map<string, Entry[]>, pair: string, entry: Entry): void {
    const entries = all.get(pair) ?? []
    assert((entries.at(-1)?.sequence ?? 0) <= entry.sequence, 'entries come in the order of the log')
    if (entries.length >= 2 * KEPT_MAX) {
      entries.splice(0, KEPT_MAX)
      this.#forgotten.add(entries)
    }
    entries.push(entry)
    all.set(pair, entries)
  }
}

const pairOf = (source: string, target: string): string => `${source}>${target}`

function slotsOf(pair: string): [source: string, target: string] {
  const [source = '', target = ''] = pair.split('>')
  return [source, target]
}
