import { createHash, randomUUID } from 'node:crypto'
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import type { ReadMessage } from '../bus.ts'
import { subjectMatches } from './subject-matches.ts'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** The archive must not be used, or not be written to. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError'
  readonly code:
    | 'archive_damaged' // a file is missing or has another checksum
    | 'archive_gap' // its segments, or the stream behind them, do not follow each other
    | 'archive_of_another_stream' // it was made of a stream of the same name that is another one

  constructor(code: ArchiveError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** The index: one such entry for each segment, in a small file beside it. */
export interface SegmentEntry {
  readonly stream: string
  /** When the stream was made: another stream of the same name has another. */
  readonly created: string
  /** Sequences of the first and the last message; none is missing between them. */
  readonly from: number
  readonly to: number
  readonly file: string
  /** SHA-256 of the file, hexadecimal. */
  readonly sha256: string
  readonly bytes: number
  readonly rawBytes: number
  readonly firstTimeUs: number
  readonly lastTimeUs: number
  /** Messages by subject. */
  readonly subjects: Readonly<Record<string, number>>
}

/** A message as it was stored. */
export interface ArchivedMessage extends ReadMessage {
  readonly info: { readonly timestampNanos: number }
}

interface MessageHead {
  readonly seq: number
  readonly subject: string
  readonly timestampNanos: number
  readonly bytes: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Headers that a reader of the mesh asks for. */
const KEPT_HEADERS = ['Nats-Expected-Last-Subject-Sequence']
const COMPRESSION_LEVEL = 3

/**
 * The beginning of the streams, in files: segments of consecutive messages, compressed by zstd. In a segment each message is a
 * line of JSON and its data, each ended by a line feed: `zstdcat` shows them.
 */
export class Archive {
  readonly directory: string
  /** Segments whose files were found whole. */
  readonly #checked = new Set<string>()
  /** They never change. */
  readonly #entries = new Map<string, SegmentEntry>()

  constructor(directory: string) {
    this.directory = directory
  }

  /** The last archived sequence; 0: nothing is. Looks at the last segment alone. @throws ArchiveError */
  async end(stream: string, created: string): Promise<number> {
    const last = (await this.#names(stream)).at(-1)
    return last === undefined ? 0 : (await this.#entry(stream, created, last)).to
  }

  /** In order, without gaps, from the stream's first message on. `created`: of the stream that is there now. @throws ArchiveError */
  async segments(stream: string, created: string): Promise<SegmentEntry[]> {
    const entries: SegmentEntry[] = []
    for (const name of await this.#names(stream)) {
      const entry = await this.#entry(stream, created, name)
      const expected = (entries.at(-1)?.to ?? 0) + 1
      if (entry.from !== expected) {
        throw new ArchiveError('archive_gap', `${name} of ${stream} begins at ${entry.from}, not at ${expected}.`)
      }
      entries.push(entry)
    }
    return entries
  }

  async #names(stream: string): Promise<string[]> {
    const names = await readdir(this.#of(stream)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    return names.filter((each) => each.endsWith('.json')).sort()
  }

  async #entry(stream: string, created: string, name: string): Promise<SegmentEntry> {
    const path = join(this.#of(stream), name)
    const entry = this.#entries.get(path) ?? (JSON.parse(await readFile(path, 'utf8')) as SegmentEntry)
    this.#entries.set(path, entry)
    if (entry.created === created) return entry
    throw new ArchiveError(
      'archive_of_another_stream',
      `${this.#of(stream)} is of a ${stream} that was made at ${entry.created}; the one that is there was made at ${created}.`,
    )
  }

  /**
   * Adds the next segment: first its file, synced, then its entry, which only one of several writers can add.
   * @throws ArchiveError @throws an error with the code EEXIST where another process has added one meanwhile
   */
  async append(stream: string, created: string, messages: readonly ReadMessage[]): Promise<SegmentEntry> {
    const [first, last] = [messages[0], messages.at(-1)]
    if (first === undefined || last === undefined) throw new RangeError('a segment has messages')
    const subjects: Record<string, number> = {}
    const raw: Uint8Array[] = []
    messages.forEach((message, index) => {
      if (message.seq !== first.seq + index) {
        throw new ArchiveError('archive_gap', `${stream} has no message ${first.seq + index}, but ${message.seq}.`)
      }
      subjects[message.subject] = (subjects[message.subject] ?? 0) + 1
      raw.push(Buffer.from(`${JSON.stringify(headOf(message))}\n`), message.data, LINE_FEED)
    })
    const whole = Buffer.concat(raw)
    const bytes = await compress(whole, {
      params: { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
    })
    const sha256 = sha256Of(bytes)
    const name = String(first.seq).padStart(16, '0')
    const entry: SegmentEntry = {
      stream,
      created,
      from: first.seq,
      to: last.seq,
      file: `${name}.${sha256.slice(0, 16)}.zst`,
      sha256,
      bytes: bytes.length,
      rawBytes: whole.length,
      firstTimeUs: Math.floor(first.info.timestampNanos / 1000),
      lastTimeUs: Math.floor(last.info.timestampNanos / 1000),
      subjects,
    }
    await mkdir(this.#of(stream), { recursive: true })
    await this.#write(stream, entry.file, bytes)
    await this.#write(stream, `${name}.json`, Buffer.from(`${JSON.stringify(entry, undefined, 2)}\n`))
    return entry
  }

  /** Whether the segment lies here as it was written; looked at once. @throws ArchiveError `archive_damaged` */
  async check(entry: SegmentEntry): Promise<void> {
    if (this.#checked.has(entry.sha256)) return
    await this.#bytesOf(entry)
    this.#checked.add(entry.sha256)
  }

  /** The messages of the subjects that match, from a sequence on. @throws ArchiveError */
  async *read(entries: readonly SegmentEntry[], filter: string, fromSequence: number): AsyncGenerator<ArchivedMessage> {
    for (const entry of entries) {
      if (entry.to < fromSequence) continue
      if (!Object.keys(entry.subjects).some((subject) => subjectMatches(filter, subject))) continue
      for (const message of parseSegment(await decompress(await this.#bytesOf(entry)))) {
        if (message.seq >= fromSequence && subjectMatches(filter, message.subject)) yield message
      }
    }
  }

  async #bytesOf({ stream, file, sha256 }: SegmentEntry): Promise<Buffer> {
    const path = join(this.#of(stream), file)
    const bytes = await readFile(path).catch((error: Error) => {
      throw new ArchiveError('archive_damaged', `${path} cannot be read: ${error.message}.`)
    })
    if (sha256Of(bytes) !== sha256) {
      throw new ArchiveError('archive_damaged', `${path} has another checksum than it was written with.`)
    }
    return bytes
  }

  /** Under its name only when it is whole, and only if there is none of that name. */
  async #write(stream: string, name: string, bytes: Uint8Array): Promise<void> {
    const directory = this.#of(stream)
    const partial = join(directory, `${name}.${randomUUID()}.part`)
    try {
      const file = await open(partial, 'wx')
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      await link(partial, join(directory, name)).catch((error: NodeJS.ErrnoException) => {
        // The same content under the same name is as good; an entry of another writer is not.
        if (error.code !== 'EEXIST' || name.endsWith('.json')) throw error
      })
    } finally {
      await rm(partial, { force: true })
    }
    const handle = await open(directory, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  #of(stream: string): string {
    return join(this.directory, stream)
  }
}

const LINE_FEED = Buffer.from('\n')

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function headOf({ seq, subject, info, data, headers }: ReadMessage): MessageHead {
  const kept = KEPT_HEADERS.map((name) => [name, headers?.get(name) ?? ''] as const).filter(([, value]) => value !== '')
  const head = { seq, subject, timestampNanos: info.timestampNanos, bytes: data.length }
  return kept.length === 0 ? head : { ...head, headers: Object.fromEntries(kept) }
}

function* parseSegment(bytes: Buffer): Generator<ArchivedMessage> {
  for (let at = 0; at < bytes.length; ) {
    const headEnd = bytes.indexOf(10, at)
    const {
      seq,
      subject,
      timestampNanos,
      bytes: length,
      headers,
    } = JSON.parse(bytes.toString('utf8', at, headEnd)) as MessageHead
    const data = bytes.subarray(headEnd + 1, headEnd + 1 + length)
    at = headEnd + 1 + length + 1
    yield {
      seq,
      subject,
      data,
      string: () => data.toString('utf8'),
      headers: headers === undefined ? undefined : { get: (name) => headers[name] ?? '' },
      info: { timestampNanos },
    }
  }
}
