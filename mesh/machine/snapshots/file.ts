import { createHash, type Hash, randomUUID } from 'node:crypto'
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { constants, createZstdCompress, zstdDecompress } from 'node:zlib'
import type { Log } from '../../subjects.ts'
import type { FoldPoint } from '../slot.ts'

/** Why a snapshot is not used. */
export type SnapshotFault =
  | 'snapshot_unknown' // does not begin like a snapshot
  | 'snapshot_version_unknown'
  | 'snapshot_damaged' // another checksum, or cut short
  | 'snapshot_invalid' // sound bytes that are not a state of these rules and settings
  | 'snapshot_not_covered' // no stored frame begins after its position
  | 'snapshot_of_another_log' // the log has something else at its position
  | 'snapshot_log_trimmed' // the log no longer has what comes after its position
  | 'snapshot_differs' // the replay from it does not lead to the stored frames

/** A snapshot that must not be used; the one before it may be good. */
export class SnapshotBroken extends Error {
  override readonly name = 'SnapshotBroken'
  readonly code: SnapshotFault

  constructor(code: SnapshotFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export interface SnapshotHeader {
  readonly log: Log
  readonly slot: number
  /** Of the packed state, and of what is kept beside it for reads (0: nothing is). */
  readonly stateVersion: number
  readonly memoryVersion: number
  readonly point: FoldPoint
  readonly stateHash: string
  /** SHA-256 of the message at the point's sequence, hexadecimal. */
  readonly messageHash: string
  readonly takenAt: string
  readonly instance: string
}

/**
 * Magic and version (8 bytes), the header's length (32 bits, little-endian), the header as JSON, what was packed, compressed
 * by zstd, and the SHA-256 of all that.
 */
const MAGIC = Buffer.from('EXSNAP\0\x01', 'latin1')
const VERSION_AT = 7
const HASH_BYTES = 32
const BLOCK_BYTES = 256 * 1024
const COMPRESSION_LEVEL = 1

const decompress = promisify(zstdDecompress)

/** Writes beside the path, syncs, and only then gives it its name: what has that name is whole. */
export async function writeSnapshotFile(
  path: string,
  header: SnapshotHeader,
  parts: Iterable<Uint8Array>,
): Promise<{ readonly bytes: number }> {
  const partial = `${path}.${randomUUID()}.part`
  try {
    const file = await open(partial, 'wx')
    let bytes: number
    try {
      bytes = await writeAll(file, header, parts)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(partial, path)
    await syncDirectory(dirname(path))
    return { bytes }
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function writeAll(file: FileHandle, header: SnapshotHeader, parts: Iterable<Uint8Array>): Promise<number> {
  const hash = createHash('sha256')
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(json.length)
  const head = Buffer.concat([MAGIC, length, json])
  hash.update(head)
  await file.write(head)
  const compressor = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL } })
  let bytes = head.length
  await pipeline(Readable.from(inBlocks(parts)), compressor, hashing(hash), async (source) => {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      await file.write(chunk)
      bytes += chunk.length
    }
  })
  await file.write(hash.digest())
  return bytes + HASH_BYTES
}

/** Small parts together, large ones as they are. */
function* inBlocks(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  let small: Uint8Array[] = []
  let length = 0
  for (const part of parts) {
    if (part.length >= BLOCK_BYTES || length + part.length > BLOCK_BYTES) {
      if (length > 0) yield Buffer.concat(small)
      small = []
      length = 0
    }
    if (part.length >= BLOCK_BYTES) {
      yield part
    } else {
      small.push(part)
      length += part.length
    }
  }
  if (length > 0) yield Buffer.concat(small)
}

const hashing = (hash: Hash): Transform =>
  new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk)
      done(null, chunk)
    },
  })

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** The whole file, checked. @throws SnapshotBroken */
export async function readSnapshotFile(
  path: string,
): Promise<{ readonly header: SnapshotHeader; readonly body: Uint8Array }> {
  const bytes = await readFile(path)
  if (bytes.length < MAGIC.length || !bytes.subarray(0, VERSION_AT).equals(MAGIC.subarray(0, VERSION_AT))) {
    throw new SnapshotBroken('snapshot_unknown', `${path} does not begin like a snapshot.`)
  }
  if (bytes[VERSION_AT] !== MAGIC[VERSION_AT]) {
    throw new SnapshotBroken('snapshot_version_unknown', `${path} has the format ${bytes[VERSION_AT]}.`)
  }
  const end = bytes.length - HASH_BYTES
  const headerAt = MAGIC.length + 4
  if (end < headerAt || !createHash('sha256').update(bytes.subarray(0, end)).digest().equals(bytes.subarray(end))) {
    throw new SnapshotBroken('snapshot_damaged', `${path} has another checksum than it was written with.`)
  }
  const bodyAt = headerAt + bytes.readUInt32LE(MAGIC.length)
  const header = JSON.parse(bytes.toString('utf8', headerAt, bodyAt)) as SnapshotHeader
  return { header, body: await decompress(bytes.subarray(bodyAt, end)) }
}
