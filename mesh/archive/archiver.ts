import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type ReadMessage, streamsOf } from '../bus.ts'
import type { Archive, SegmentEntry } from './archive.ts'

export interface ArchiveLimits {
  /** Younger messages stay out of it: the stream may still lose them, and another one take their sequence. */
  readonly afterSeconds: number
  /** A segment is closed at about so many bytes, before they are compressed. */
  readonly segmentBytes: number
}

/** Adds to the archive what the stream has behind it and is old enough. `onSegment` is told of each segment. */
export async function archiveStream(
  nats: NatsConnection,
  archive: Archive,
  stream: string,
  { afterSeconds, segmentBytes }: ArchiveLimits,
  onSegment: (entry: SegmentEntry) => void = () => {},
): Promise<void> {
  const { streams } = await jetstreamManager(nats)
  const { created, state } = await streams.info(stream)
  const end = await archive.end(stream, created)
  if (state.messages === 0 || state.last_seq <= end) return
  const untilUs = (Date.now() - afterSeconds * 1000) * 1000
  const reader = await streamsOf(nats).read(stream, '>', end + 1)
  let messages: ReadMessage[] = []
  let bytes = 0
  const close = async (): Promise<void> => {
    if (messages.length > 0) onSegment(await archive.append(stream, created, messages))
    messages = []
    bytes = 0
  }
  try {
    for await (const message of reader) {
      if (Math.floor(message.info.timestampNanos / 1000) > untilUs) break
      messages.push(message)
      bytes += message.data.length
      if (bytes >= segmentBytes) await close()
      if (message.seq >= state.last_seq) break
    }
    await close()
  } finally {
    reader.stop()
  }
}
