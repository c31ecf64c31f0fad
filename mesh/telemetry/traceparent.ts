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

export const newTraceId = (): string => newSpanId() + newSpanId()

/** Not all zeros, which would be no id. */
export const newSpanId = (): string => word() + nonZeroWord()

const word = (): string =>
  Math.floor(Math.random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0')

const nonZeroWord = (): string =>
  Math.floor(1 + Math.random() * (2 ** 32 - 1))
    .toString(16)
    .padStart(8, '0')

/** The first span of a new trace. */
export const newTrace = (): Traceparent => traceparentOf(newTraceId(), newSpanId())

/** Another span of the same trace. */
export const childOf = (span: Traceparent): Traceparent => traceparentOf(traceIdOf(span), newSpanId())
