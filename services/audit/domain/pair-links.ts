import { PairLink } from './pair-link.ts'

/** All pairs of a mesh, each made when it is first heard of. */
export class PairLinks {
  readonly #bySender = new Map<string, Map<string, PairLink>>()

  of(sender: string, target: string): PairLink {
    let ofSender = this.#bySender.get(sender)
    if (ofSender === undefined) {
      ofSender = new Map()
      this.#bySender.set(sender, ofSender)
    }
    let link = ofSender.get(target)
    if (link === undefined) {
      link = new PairLink(sender, target)
      ofSender.set(target, link)
    }
    return link
  }

  *all(): Generator<PairLink> {
    for (const ofSender of this.#bySender.values()) yield* ofSender.values()
  }
}
