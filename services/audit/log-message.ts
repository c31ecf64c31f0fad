import type { ReadMessage } from '#mesh/bus.ts'
import type { LogMessage } from '#mesh/machine/slot.ts'

/** A message of a slot's log, and the number of the slot. */
export function toLogMessage(message: ReadMessage): { readonly slot: number; readonly message: LogMessage } {
  const words = message.subject.split('.')
  return {
    slot: Number(words[1]),
    message: {
      sequence: message.seq,
      timeUs: Math.floor(message.info.timestampNanos / 1000),
      source: words[2] === 'from' ? (words[3] ?? '') : 'cmd',
      text: message.string(),
    },
  }
}
