import type { ReadMessage } from '../bus.ts'
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
  }
}
