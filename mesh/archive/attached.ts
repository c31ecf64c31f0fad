import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { ReadMessage, StreamReader } from '../bus.ts'
import { Archive, type ArchivedMessage, type SegmentEntry } from './archive.ts'
import { subjectMatches } from './subject-matches.ts'

/** A connection with an archive reads the beginning of the streams there, whether they were trimmed or not. */
const attached = new WeakMap<NatsConnection, Archive>()

export function attachArchive(nats: NatsConnection, directory: string): Archive {
  const archive = new Archive(directory)
  attached.set(nats, archive)
  return archive
}

/** What the archive has of a stream; nothing where there is no archive. */
export interface ArchivedPart {
  /** The last archived sequence. */
  readonly end: number
  /** Archived messages of the subjects that match. */
  count(filter: string): number
  read(filter: string, fromSequence: number): AsyncIterable<ArchivedMessage>
}

/** Nothing where no message from this sequence on is archived. @throws ArchiveError */
export async function archivedPart(
  nats: NatsConnection,
  stream: string,
  fromSequence: number,
): Promise<ArchivedPart | undefined> {
  const archive = attached.get(nats)
  if (archive === undefined) return undefined
  const { streams } = await jetstreamManager(nats, { checkAPI: false })
  const { created } = await streams.info(stream)
  if ((await archive.end(stream, created)) < fromSequence) return undefined
  const entries = await archive.segments(stream, created)
  return {
    end: entries.at(-1)?.to ?? 0,
    count: (filter) => entries.reduce((sum, entry) => sum + countOf(entry, filter), 0),
    read: (filter, fromSequence) => archive.read(entries, filter, fromSequence),
  }
}

function countOf({ subjects }: SegmentEntry, filter: string): number {
  let sum = 0
  for (const [subject, count] of Object.entries(subjects)) if (subjectMatches(filter, subject)) sum += count
  return sum
}

/** What is archived, and behind it what the stream has, as one. */
export function readBoth(
  part: ArchivedPart,
  place: { readonly subject: string; readonly fromSequence: number },
  openStream: (fromSequence: number) => Promise<StreamReader>,
): StreamReader {
  let stream: StreamReader | undefined
  let isStopped = false
  async function* read(): AsyncGenerator<ReadMessage> {
    for await (const message of part.read(place.subject, place.fromSequence)) {
      if (isStopped) return
      yield message
    }
    stream = await openStream(Math.max(part.end + 1, place.fromSequence))
    if (isStopped) stream.stop()
    yield* stream
  }
  return {
    [Symbol.asyncIterator]: read,
    stop: () => {
      isStopped = true
      stream?.stop()
    },
  }
}
