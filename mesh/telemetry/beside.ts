import { isTraceparent, type Traceparent } from './traceparent.ts'

/**
 * What travels beside the items of a message, in no state and no hash: machines of another version, or without tracing, pass over it.
 *
 * - Commands on their way to a log and frames have the header `traces`: `<index> <traceparent>` of what is sampled, with commas.
 * - Messages between slots have `ways` in their first line, for hops as well.
 */
export const TRACES_HEADER = 'traces'

/** So many of one message get spans further on; it bounds the header. */
const TRACES_MAX = 500

export type Traces = readonly (readonly [index: number, span: Traceparent])[]

export const encodeTraces = (traces: Traces): string =>
  traces
    .slice(0, TRACES_MAX)
    .map(([index, span]) => `${index} ${span}`)
    .join(',')

export function decodeTraces(text: string): Map<number, Traceparent> {
  const traces = new Map<number, Traceparent>()
  for (const one of text.split(',', TRACES_MAX)) {
    const [index = '', span] = one.split(' ')
    if (/^[0-9]{1,9}$/.test(index) && isTraceparent(span)) traces.set(Number(index), span)
  }
  return traces
}

/** How an item came here: when it was stored and taken up, hop after hop, and its span where it is sampled. */
export interface Way {
  /** Microseconds since 1970: stored in the accounts log, taken up there, stored in the markets log, taken up there, … */
  readonly hops: string
  readonly span: Traceparent | undefined
}

/** From this item of the pair on, up to the next run. */
export interface Run {
  readonly first: number
  readonly way: Way | undefined
}

/** As it stands in the first line of a message between slots. */
export type WrittenRun = readonly [first: number, hops?: string, span?: string]

export const encodeRuns = (runs: readonly Run[]): string =>
  runs
    .map(({ first, way }) => (way === undefined ? `[${first}]` : `[${first},"${way.hops}"${spanText(way)}]`))
    .join(',')

const spanText = ({ span }: Way): string => (span === undefined ? '' : `,"${span}"`)

const HOPS = /^[0-9,]{1,200}$/

/** What is something else is not passed on: it would be written into the next message as it is. */
export const areHops = (text: unknown): text is string => typeof text === 'string' && HOPS.test(text)

/** From `hops` to numbers; nothing where it is something else. */
export function decodeHops(hops: string): number[] {
  const times = hops.split(',').map(Number)
  return times.every(Number.isSafeInteger) ? times : []
}
