import { chainHash } from '../domain/chain.ts'
import type { WrittenRun } from '../telemetry/beside.ts'

/**
 * What travels from one slot to another: a run of items first..last on their pair's dense count.
 * Line 1 is the header, each further line one item. `before` is the chain's value before the first item.
 */
interface PairHeader {
  readonly first: number
  readonly before: number
  /** How the items came here, where tracing is on; in no state. */
  readonly ways?: readonly WrittenRun[]
}

/** Where one end of a pair stands: how many items, and the chain's value after the last of them. */
export interface PairEnd {
  count: number
  hash: number
}

export const pairStart = (): PairEnd => ({ count: 0, hash: 0 })

/** `ways`: what `SlotTraces` tells of them. */
export function encodePairMessage(header: PairHeader, items: readonly string[], ways = ''): string {
  const more = ways === '' ? '' : `,"ways":[${ways}]`
  return `{"first":${header.first},"before":${header.before}${more}}\n${items.join('\n')}`
}

export function splitPairMessage(text: string): { readonly header: PairHeader; readonly items: string[] } {
  const lines = text.split('\n')
  const header = JSON.parse(lines.shift() ?? '') as PairHeader
  return { header, items: lines }
}

/** Where the pair stands after this message. */
export function pairEndOf(text: string): PairEnd {
  const { header, items } = splitPairMessage(text)
  let hash = header.before
  for (const item of items) hash = chainHash(hash, item)
  return { count: header.first + items.length - 1, hash }
}

export type PairCheck =
  /** Take the items from this index on (possibly none). */
  { readonly take: number } | { readonly refuse: 'gap' | 'hash_differs' }

/** Whether a message follows what the receiver has; items it has already are skipped. */
export function checkPairMessage(end: PairEnd, header: PairHeader, items: readonly string[]): PairCheck {
  if (header.first > end.count + 1) return { refuse: 'gap' }
  const known = end.count - header.first + 1
  // A message that ends before our own end is old; there is no value of ours to compare it with.
  if (known > items.length) return { take: items.length }
  let hash = header.before
  for (let index = 0; index < known; index++) hash = chainHash(hash, items[index] ?? '')
  return hash === end.hash ? { take: known } : { refuse: 'hash_differs' }
}
