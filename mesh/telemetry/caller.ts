import type { EdgeHeaders } from './telemetry.ts'
import { type Traceparent, traceparentOf } from './traceparent.ts'

/** Version, trace id, span id and flags; a later version may have more behind them. */
const W3C = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/
/** Trace id of 64 or 128 bits without its leading zeros, span id, parent's span id, flags. */
const JAEGER = /^([0-9a-f]{1,32}):([0-9a-f]{1,16}):[0-9a-f]{1,16}:[0-9a-f]{1,2}$/i
const CHARS_MAX = 128
const NO_ID = /^0+$/

/**
 * The span of the caller, from W3C's `traceparent` or the `uber-trace-id` of Jaeger's old clients. Whether the caller sampled it says
 * nothing here: his trace goes on in ours, and what is sampled is our own business.
 */
export function callerOf(headers: EdgeHeaders): Traceparent | undefined {
  const { traceparent, 'uber-trace-id': uberTraceId } = headers
  if (typeof traceparent === 'string') return spanOf(W3C.exec(traceparent.slice(0, CHARS_MAX)))
  if (typeof uberTraceId === 'string') return spanOf(JAEGER.exec(decoded(uberTraceId.slice(0, CHARS_MAX))))
  return undefined
}

function spanOf(match: RegExpExecArray | null): Traceparent | undefined {
  const [, traceId, spanId] = match ?? []
  if (traceId === undefined || spanId === undefined || NO_ID.test(traceId) || NO_ID.test(spanId)) return undefined
  return traceparentOf(traceId.toLowerCase().padStart(32, '0'), spanId.toLowerCase().padStart(16, '0'))
}

/** Some clients send it encoded as a part of a URL. */
const decoded = (text: string): string => text.replace(/%3a/gi, ':')
