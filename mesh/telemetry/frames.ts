import { type Attributes, attributesOf, nameOf, type Telemetry } from './telemetry.ts'
import { childOf, newTrace, type Traceparent } from './traceparent.ts'

/** The sampled events of a frame: their places in it, and their spans. */
export type FrameTraces = ReadonlyMap<number, Traceparent>

/** A sampled event on its way into a batch. */
export interface Batched {
  readonly parent: Traceparent
  readonly attributes: Attributes
  /** When its frame was read. */
  readonly readUs: number
}

/** Of the events of a frame those that are sampled. */
export const batchedOf = (events: readonly object[], traces: FrameTraces, readUs: number): Batched[] =>
  Array.from(traces, ([index, parent]) => batchedEvent(events[index], parent, readUs))

export function batchedEvent(event: object | undefined, parent: Traceparent, readUs: number): Batched {
  const { order } = (event ?? {}) as { readonly order?: object }
  return { parent, readUs, attributes: { ...attributesOf(order ?? event), 'exchange.event': nameOf(event) } }
}

/** More are not told of in one batch. */
export const BATCHED_MAX = 200

/** One span for the batch, which is a trace of its own, and one in each event's trace; each links to the other. */
export function recordBatch(
  telemetry: Telemetry,
  name: string,
  batched: readonly Batched[],
  { startUs, attributes }: { readonly startUs: number; readonly attributes: Attributes },
): void {
  const endUs = telemetry.nowUs()
  const self = newTrace()
  const links: Traceparent[] = []
  for (const { parent, attributes: own, readUs } of batched) {
    const one = childOf(parent)
    links.push(one)
    telemetry.record({
      name,
      self: one,
      parent,
      kind: 'consumer',
      startUs,
      endUs,
      attributes: { ...attributes, ...own, 'exchange.batch.wait_us': Math.max(0, startUs - readUs) },
      links: [self],
    })
  }
  telemetry.record({ name: `${name} batch`, self, kind: 'client', startUs, endUs, attributes, links })
}
