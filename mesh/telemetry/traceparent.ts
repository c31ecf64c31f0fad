import { randomBytes } from 'node:crypto'

/**
 * W3C's `traceparent` of a span that is recorded: `00-<trace id>-<span id>-01`. Nothing else travels inside the mesh: what is not
 * sampled has none.
 */
export type Traceparent = string

const FORM = /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/

/** Whoever writes to the bus is trusted with commands, yet what is no traceparent is not passed on. */
export const isTraceparent = (text: unknown): text is Traceparent => typeof text === 'string' && FORM.test(text)

export const traceparentOf = (traceId: string, spanId: string): Traceparent => `00-${traceId}-${spanId}-01`

export const traceIdOf = (span: Traceparent): string => span.slice(3, 35)

export const spanIdOf = (span: Traceparent): string => span.slice(36, 52)

/** Its left half is this process's own; tracers that look at ids themselves go by the right one. */
export const newTraceId = (): string => PROCESS + newSpanId()

/** Not all zeros, which would be no id. */
export const newSpanId = (): string => wordOf(Math.random() * 2 ** 32) + wordOf(1 + Math.random() * (2 ** 32 - 1))

/** This is done for every request. */
const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function wordOf(number: number): string {
  const word = number >>> 0
  return `${BYTES[word >>> 24]}${BYTES[(word >>> 16) & 255]}${BYTES[(word >>> 8) & 255]}${BYTES[word & 255]}`
}

const PROCESS = randomBytes(8).toString('hex')

/** The first span of a new trace. */
export const newTrace = (): Traceparent => traceparentOf(newTraceId(), newSpanId())

/** Another span of the same trace. */
export const childOf = (span: Traceparent): Traceparent => traceparentOf(traceIdOf(span), newSpanId())
