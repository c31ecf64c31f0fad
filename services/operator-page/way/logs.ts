import {
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { READER_OPTIONS } from '#mesh/stream-reader.ts'
import { TRACES_HEADER } from '#mesh/telemetry/beside.ts'

/** A message as it lies in a stream. */
export interface Stored {
  readonly stream: string
  readonly subject: string
  readonly sequence: number
  /** When it was stored. */
  readonly timeUs: number
  readonly data: Uint8Array
  /** Which of its items are sampled. */
  readonly traces?: string
}

interface Stretch {
  readonly stream: string
  readonly subject: string
  readonly fromMs: number
  /** Messages that were stored later are not looked at. */
  readonly toMs?: number
}

/** Looks into the streams, never far: what takes longer than this is left. */
export interface Logs {
  at(stream: string, sequence: number): Promise<Stored | undefined>
  /** The messages of a stretch of time, up to the end of the stream. Returns false where it gave up before. */
  scan(stretch: Stretch, look: (message: Stored) => 'on' | 'done'): Promise<boolean>
}

const SCAN_MS_MAX = 3_000
const SCAN_BYTES_MAX = 64 * 1024 ** 2
const ANSWER_MS_MAX = 2_000

export function createLogs(nats: NatsConnection): Logs {
  const js: JetStreamClient = jetstream(nats, { timeout: ANSWER_MS_MAX })
  let opened: Promise<JetStreamManager> | undefined
  const manager = (): Promise<JetStreamManager> => {
    opened ??= js.jetstreamManager(false)
    return opened
  }
  return {
    at: async (stream, sequence) => {
      const { streams } = await manager()
      try {
        const found = await streams.getMessage(stream, { seq: sequence })
        if (found === null) return undefined
        const timeUs = microseconds(found.timestamp)
        const traces = found.header?.get(TRACES_HEADER)
        return { stream, subject: found.subject, sequence, timeUs, data: found.data, ...(traces ? { traces } : {}) }
      } catch (error) {
        if (error instanceof JetStreamApiError && error.status === 404) return undefined
        throw error
      }
    },
    scan: async ({ stream, subject, fromMs, toMs = Number.POSITIVE_INFINITY }, look) => {
      const consumer = await js.consumers.get(stream, {
        filter_subjects: subject,
        deliver_policy: DeliverPolicy.StartTime,
        opt_start_time: new Date(fromMs).toISOString(),
      })
      try {
        if ((await consumer.info()).num_pending === 0) return true
        const deadlineMs = performance.now() + SCAN_MS_MAX
        const messages = await consumer.consume(READER_OPTIONS)
        const late = setTimeout(() => messages.stop(), SCAN_MS_MAX)
        let bytes = 0
        try {
          for await (const message of messages) {
            const timeUs = Math.floor(message.info.timestampNanos / 1_000)
            if (timeUs / 1_000 > toMs) return true
            const { seq: sequence, subject: name, data } = message
            if (look({ stream, subject: name, sequence, timeUs, data }) === 'done') return true
            if (message.info.pending === 0) return true
            bytes += data.length
            if (bytes > SCAN_BYTES_MAX || performance.now() > deadlineMs) return false
          }
        } finally {
          clearTimeout(late)
          messages.stop()
        }
        return false
      } finally {
        await consumer.delete().catch(() => {})
      }
    },
  }
}

/** Of a time as NATS writes it: nine places after the second, or fewer. */
function microseconds(timestamp: string): number {
  const [, second = '', fraction = ''] = /^([^.]+?)(?:\.([0-9]+))?Z$/.exec(timestamp) ?? []
  return Date.parse(`${second}Z`) * 1_000 + Number(fraction.padEnd(6, '0').slice(0, 6))
}
