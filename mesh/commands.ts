import { type Bus, telemetryOf, timeOf } from './bus.ts'
import { COUNT_BUCKETS, gauge, histogram } from './metrics.ts'
import { encodeLine } from './protocol/compact.ts'
import { RpcError } from './rpc.ts'
import { createStore, StoreRefused } from './store.ts'
import { commandSubject, type Log } from './subjects.ts'
import { encodeTraces } from './telemetry/beside.ts'
import type { ActiveTrace, Appending } from './telemetry/telemetry.ts'

/** Where a command was stored: the stream's sequence and its place in the message. */
export interface Stored {
  readonly sequence: number
  readonly index: number
}

export interface CommandPublisher {
  /**
   * Appends a command to a slot's log. What is appended within one turn of the event loop travels as one message.
   * Rejects with `RpcError` code `publish_unknown` when no ack came in time: it may be stored all the same; with
   * `publish_refused` when the bus did not take it: it is not stored, and never will be.
   */
  append(log: Log, slot: number, item: object, trace?: ActiveTrace): Promise<Stored>
}

/** Largest message of several items, in characters; a single larger item travels alone. */
export const BATCH_CHARS_MAX = 256 * 1024

/** How long an ack is waited for, in milliseconds. */
const ACK_MS_MAX = 2_000

const batchItems = histogram('exchange_command_batch_items', 'Commands per message to a log.', [], COUNT_BUCKETS)
const unacknowledged = gauge('exchange_commands_unacknowledged', 'Commands that the log has not acknowledged yet.', [])

interface Waiting {
  resolve: (stored: Stored) => void
  reject: (error: Error) => void
  appending: Appending | undefined
}

interface Batch {
  readonly subject: string
  lines: string[]
  chars: number
  waiting: Waiting[]
  /** Places and spans of the sampled ones. */
  traces: [index: number, span: string][] | undefined
}

export function createCommandPublisher(nats: Bus, ackMsMax = ACK_MS_MAX): CommandPublisher {
  const { soon } = timeOf(nats)
  const telemetry = telemetryOf(nats)
  const store = createStore(nats, ackMsMax)
  const open = new Map<string, Batch>()
  let scheduled = false

  const flush = (): void => {
    scheduled = false
    for (const batch of open.values()) void send(batch)
    open.clear()
  }
  const send = async (batch: Batch): Promise<void> => {
    const count = batch.lines.length
    batchItems.observe(count)
    unacknowledged.inc(count)
    try {
      const traces = batch.traces === undefined ? undefined : encodeTraces(batch.traces)
      const sequence = await store.append(batch.subject, batch.lines.join('\n'), undefined, traces)
      for (let index = 0; index < batch.waiting.length; index++) {
        const one = batch.waiting[index]
        one?.appending?.stored(sequence)
        one?.resolve({ sequence, index })
      }
    } catch (error) {
      const code = error instanceof StoreRefused ? 'publish_refused' : 'publish_unknown'
      const failure = new RpcError(code, `No ack from the log: ${String(error)}`)
      for (const { reject, appending } of batch.waiting) {
        appending?.failed(code)
        reject(failure)
      }
    } finally {
      unacknowledged.dec(count)
    }
  }

  return {
    append: (log, slot, item, trace = telemetry?.active()) =>
      new Promise((resolve, reject) => {
        const subject = commandSubject(log, slot)
        const line = encodeLine(item)
        let batch = open.get(subject)
        if (batch !== undefined && batch.chars + line.length > BATCH_CHARS_MAX) {
          void send(batch)
          batch = undefined
        }
        if (batch === undefined) {
          batch = { subject, lines: [], chars: 0, waiting: [], traces: undefined }
          open.set(subject, batch)
        }
        const appending = trace?.append?.(item)
        if (appending?.span !== undefined) {
          batch.traces ??= []
          batch.traces.push([batch.lines.length, appending.span])
        }
        batch.lines.push(line)
        batch.chars += line.length + 1
        batch.waiting.push({ resolve, reject, appending })
        if (!scheduled) {
          scheduled = true
          soon(flush)
        }
      }),
  }
}
