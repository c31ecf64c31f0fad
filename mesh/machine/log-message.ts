import type { ReadMessage } from '../bus.ts'
import { TRACES_HEADER } from '../telemetry/beside.ts'
import type { LogMessage } from './slot.ts'

/** A stored message as a fold reads it. */
export function toLogMessage(message: ReadMessage): LogMessage {
  const subject = message.subject
  const from = subject.indexOf('.from.')
  return {
    sequence: message.seq,
    timeUs: Math.floor(message.info.timestampNanos / 1000),
    source: from < 0 ? 'cmd' : subject.slice(from + 6),
    text: message.string(),
    // Messages between slots have it in their text.
    traces: from < 0 ? message.headers?.get(TRACES_HEADER) : undefined,
  }
}
