import { PubHeaders } from '@nats-io/jetstream'
import { type Bus, streamsOf, telemetryOf } from './bus.ts'
import { decodeEvent } from './protocol/compact.ts'
import { EVENTS_STREAM, framesSubject, type Log } from './subjects.ts'
import { decodeTraces, TRACES_HEADER } from './telemetry/beside.ts'
import type { FrameTraces } from './telemetry/frames.ts'

/** [sequence in the slot's log, item in that message, event of that item], each from 0 but the sequence. */
export type Position = readonly [sequence: number, item: number, event: number]

export const FRAME_VERSION = 1

export interface FrameHeader {
  /** First and last item of the slot's log that this frame covers: [sequence, item]. */
  readonly inFrom: readonly [number, number]
  readonly inTo: readonly [number, number]
  /** Whether `inTo` is the last item of its message. */
  readonly complete: boolean
  /** The chain over all inputs and events of the slot up to here. */
  readonly hash: number
  /** The slot's time after the last input, in microseconds. */
  readonly timeUs: number
  readonly version: number
}

export interface Frame<Event> {
  readonly header: FrameHeader
  readonly events: readonly (Event & { readonly position: Position })[]
  /** Where tracing is on, and some of its events are of sampled orders. */
  readonly traces?: FrameTraces
}

/** Line 1 is the header, each further line one event with its position. */
export function encodeFrame(header: FrameHeader, eventLines: readonly string[]): string {
  return eventLines.length === 0 ? JSON.stringify(header) : `${JSON.stringify(header)}\n${eventLines.join('\n')}`
}

export function parseFrameHeader(bytes: Uint8Array): FrameHeader {
  const end = bytes.indexOf(10)
  return JSON.parse(decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))) as FrameHeader
}

export function parseFrame<Event>(bytes: Uint8Array): Frame<Event> {
  const text = decoder.decode(bytes)
  const end = text.indexOf('\n')
  if (end < 0) return { header: JSON.parse(text) as FrameHeader, events: [] }
  const events = JSON.parse(`[${text.slice(end + 1).replaceAll('\n', ',')}]`) as unknown[]
  return {
    header: JSON.parse(text.slice(0, end)) as FrameHeader,
    events: events.map((event) => decodeEvent(event) as Frame<Event>['events'][number]),
  }
}

const decoder = new TextDecoder()

export interface FrameReader {
  stop(): Promise<void>
  /** Ends when stopped; rejects with what `onFrame` threw or what the stream refused. */
  readonly done: Promise<void>
}

/**
 * Reads a slot's frames in order from the EVENTS stream, after the given sequence of that stream (0: from the first).
 * The next frame is handed over when `onFrame` has returned, or its promise is fulfilled: that is the back pressure.
 * `previousSequence` is where its writer had stored the frame before it: who follows can tell that none is missing.
 */
export async function followFrames<Event>(
  nats: Bus,
  log: Log,
  slot: number,
  afterStreamSequence: number,
  onFrame: (frame: Frame<Event>, streamSequence: number, previousSequence: number | undefined) => void | Promise<void>,
): Promise<FrameReader> {
  const isTraced = telemetryOf(nats) !== undefined
  const messages = await streamsOf(nats).read(EVENTS_STREAM, framesSubject(log, slot), afterStreamSequence + 1)
  const done = (async () => {
    for await (const message of messages) {
      const expected = message.headers?.get(PubHeaders.ExpectedLastSubjectSequenceHdr)
      const previous = expected ? Number(expected) : undefined
      const traces = isTraced ? message.headers?.get(TRACES_HEADER) : undefined
      const frame = parseFrame<Event>(message.data)
      const taken = onFrame(traces ? { ...frame, traces: decodeTraces(traces) } : frame, message.seq, previous)
      if (taken !== undefined) await taken
    }
  })()
  done.catch(() => messages.stop())
  return {
    done,
    stop: async () => {
      messages.stop()
      await done.catch(() => {})
    },
  }
}
