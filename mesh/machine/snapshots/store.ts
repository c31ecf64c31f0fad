import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type ObjectStore, Objm } from '@nats-io/obj'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import { type Log, SNAPSHOTS_STORE, sourceName } from '../../subjects.ts'
import { readSnapshotFile, SnapshotBroken, type SnapshotHeader } from './file.ts'

export interface SnapshotName {
  readonly name: string
  /** Of the last message that it covers, and how many items it covers. */
  readonly sequence: number
  readonly itemsCount: number
}

/** What was unpacked from a file, and checked for damage. */
export interface LoadedSnapshot extends SnapshotName {
  readonly header: SnapshotHeader
  readonly body: Uint8Array
}

const NAME = /^(.+)\.s([0-9]+)\.i([0-9]+)$/
const UPLOAD_CHUNK_BYTES = 128 * 1024
/** What was begun and not finished for so long is a dead process's. */
const ABANDONED_MS = 600_000
const ANSWER_MS_MAX = 10_000

export const snapshotName = ({ log, slot, point }: SnapshotHeader): string =>
  `${sourceName(log, slot)}.s${point.applied[0]}.i${point.itemsCount}`

/** Snapshots as files, and in the object store of the bus, where every instance finds them. */
export class SnapshotStore {
  readonly #directory: string
  readonly #nats: NatsConnection
  readonly #objects: ObjectStore
  readonly #logger: Logger

  private constructor(directory: string, nats: NatsConnection, objects: ObjectStore, logger: Logger) {
    this.#directory = directory
    this.#nats = nats
    this.#objects = objects
    this.#logger = logger
  }

  static async open(options: {
    readonly directory: string
    readonly nats: NatsConnection
    readonly replicas: number
    readonly logger: Logger
  }): Promise<SnapshotStore> {
    const { directory, nats, replicas, logger } = options
    await mkdir(directory, { recursive: true })
    const objects = await new Objm(jetstream(nats, { timeout: ANSWER_MS_MAX })).create(SNAPSHOTS_STORE, { replicas })
    return new SnapshotStore(directory, nats, objects, logger)
  }

  pathOf(name: string): string {
    return join(this.#directory, `${name}.snapshot`)
  }

  /** Where one is written until it is proved. */
  unprovedPathOf(log: Log, slot: number): string {
    return join(this.#directory, `${sourceName(log, slot)}.${randomUUID()}.part`)
  }

  /** Gives the file its name once `prove` has read it back; removes it where that fails. @returns the name */
  async keep(path: string, header: SnapshotHeader, prove: () => Promise<void>): Promise<string> {
    try {
      await prove()
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
    const name = snapshotName(header)
    await rename(path, this.pathOf(name))
    return name
  }

  /** Those that are a file here or in the object store, newest first. */
  async list(log: Log, slot: number): Promise<SnapshotName[]> {
    const names = new Set([...(await this.#files(log, slot)), ...(await this.#stored(log, slot))])
    return [...names].map(parseName).sort((a, b) => b.sequence - a.sequence)
  }

  /** Those that every instance finds, newest first. */
  async listStored(log: Log, slot: number): Promise<SnapshotName[]> {
    return (await this.#stored(log, slot)).map(parseName).sort((a, b) => b.sequence - a.sequence)
  }

  /** The file, or where there is none or a damaged one what the object store has. @throws SnapshotBroken */
  async read(snapshot: SnapshotName): Promise<LoadedSnapshot> {
    const path = this.pathOf(snapshot.name)
    try {
      return { ...snapshot, ...(await readSnapshotFile(path)) }
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      if (!isMissing && !(error instanceof SnapshotBroken)) throw error
      if (!isMissing) this.#logger.error({ err: error, path }, 'a snapshot file is damaged; asking the object store')
      if (!(await this.#download(snapshot.name))) throw error
    }
    return { ...snapshot, ...(await readSnapshotFile(path)) }
  }

  /** From here on every instance finds it; older ones than the newest `kept` are dropped. */
  async publish(
    log: Log,
    slot: number,
    name: string,
    { uploadBytesPerSecond, kept }: { readonly uploadBytesPerSecond: number; readonly kept: number },
  ): Promise<void> {
    await this.#upload(name, uploadBytesPerSecond)
    await this.#prune(log, slot, kept)
  }

  /** Puts the file into the object store, not faster than that. */
  async #upload(name: string, bytesPerSecond: number): Promise<void> {
    const meta = { name, options: { max_chunk_size: UPLOAD_CHUNK_BYTES } }
    const data = Readable.toWeb(Readable.from(paced(this.pathOf(name), bytesPerSecond)))
    await this.#objects.put(meta, data as unknown as ReadableStream<Uint8Array>)
  }

  /** Drops all that is older than the newest `kept`, and what dead processes have begun. */
  async #prune(log: Log, slot: number, kept: number): Promise<void> {
    const stored = await this.listStored(log, slot)
    for (const { name } of stored.slice(kept)) await this.#objects.delete(name)
    // Newer files may be on their way into the object store.
    const oldest = stored[kept - 1]?.sequence ?? 0
    for (const name of await this.#files(log, slot)) {
      if (parseName(name).sequence < oldest) await rm(this.pathOf(name), { force: true })
    }
    await this.#removeAbandonedFiles()
    await this.#removeAbandonedChunks()
  }

  async #files(log: Log, slot: number): Promise<string[]> {
    const names = (await readdir(this.#directory))
      .filter((file) => file.endsWith('.snapshot'))
      .map((file) => file.slice(0, -'.snapshot'.length))
    return names.filter(isOf(log, slot))
  }

  async #stored(log: Log, slot: number): Promise<string[]> {
    const objects = await this.#objects.list()
    return objects.map(({ name }) => name).filter(isOf(log, slot))
  }

  async #download(name: string): Promise<boolean> {
    const found = await this.#objects.get(name)
    if (found === null) return false
    const partial = `${this.pathOf(name)}.${randomUUID()}.part`
    try {
      await pipeline(Readable.fromWeb(found.data as never), createWriteStream(partial, { flags: 'wx' }))
      const error = await found.error
      if (error) throw new SnapshotBroken('snapshot_damaged', `${name} in the object store: ${error.message}`)
      await rename(partial, this.pathOf(name))
      return true
    } finally {
      await rm(partial, { force: true })
    }
  }

  async #removeAbandonedFiles(): Promise<void> {
    for (const file of await readdir(this.#directory)) {
      if (!file.endsWith('.part')) continue
      const path = join(this.#directory, file)
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
      if (mtimeMs < Date.now() - ABANDONED_MS) await rm(path, { force: true })
    }
  }

  /** Chunks of an upload that never came to its end belong to no object. */
  async #removeAbandonedChunks(): Promise<void> {
    const { streams } = await jetstreamManager(this.#nats)
    const stream = `OBJ_${SNAPSHOTS_STORE}`
    const prefix = `$O.${SNAPSHOTS_STORE}.C.`
    const known = new Set((await this.#objects.list()).map(({ nuid }) => nuid))
    const { state } = await streams.info(stream, { subjects_filter: `${prefix}>` })
    for (const subject of Object.keys(state.subjects ?? {})) {
      if (known.has(subject.slice(prefix.length))) continue
      const last = await streams.getMessage(stream, { last_by_subj: subject })
      if (last !== null && last.time.getTime() < Date.now() - ABANDONED_MS) {
        await streams.purge(stream, { filter: subject })
      }
    }
  }
}

const isOf =
  (log: Log, slot: number) =>
  (name: string): boolean =>
    NAME.exec(name)?.[1] === sourceName(log, slot)

function parseName(name: string): SnapshotName {
  const [, , sequence, itemsCount] = NAME.exec(name) ?? []
  return { name, sequence: Number(sequence), itemsCount: Number(itemsCount) }
}

async function* paced(path: string, bytesPerSecond: number): AsyncGenerator<Uint8Array> {
  const beganMs = performance.now()
  let bytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: UPLOAD_CHUNK_BYTES })) {
    yield chunk as Uint8Array
    bytes += (chunk as Uint8Array).length
    const aheadMs = (bytes * 1000) / bytesPerSecond - (performance.now() - beganMs)
    if (aheadMs > 1) await sleep(aheadMs)
  }
}
