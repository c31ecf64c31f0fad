import { setTimeout as sleep } from 'node:timers/promises'
import type { Archive } from '#mesh/archive/archive.ts'
import { archiveStream } from '#mesh/archive/archiver.ts'
import { type ProjectionPosition, type TrimOptions, trimStreams } from '#mesh/archive/trimmer.ts'
import { feedPositions } from '#mesh/ingest/feed.ts'
import { SnapshotBroken } from '#mesh/machine/snapshots/file.ts'
import { SnapshotStore } from '#mesh/machine/snapshots/store.ts'
import { createPool, type Pool, type Row } from '#mesh/mysql.ts'
import type { Service } from '#mesh/service.ts'
import { EVENTS_STREAM, type Log, STREAM_OF_LOG } from '#mesh/subjects.ts'
import type { ArchiveConfig } from './config.ts'

/** After a failure: at a first start the streams are not there yet. */
const RETRY_SECONDS = 2

/** Archives, and trims where that is wanted, again and again until the process stops. A failure is shown and tried again. */
export function keepArchive(service: Service, config: ArchiveConfig, archive: Archive): void {
  const { nats, log, shutdown } = service
  const run = async (): Promise<void> => {
    const trim = config.trim && (await trimOptions(service, config.trim, config, archive))
    while (!shutdown.aborted) {
      let pauseSeconds = config.everySeconds
      try {
        for (const stream of [...Object.values(STREAM_OF_LOG), EVENTS_STREAM]) {
          await archiveStream(nats, archive, stream, config, ({ from, to, bytes, rawBytes }) =>
            log.info({ stream, from, to, bytes, rawBytes }, 'archived'),
          )
        }
        if (trim !== undefined) await trimStreams(trim)
        service.ready('archive', true, { at: new Date().toISOString() })
      } catch (error) {
        if (shutdown.aborted) return
        log.error({ err: error }, 'the archive could not be kept')
        service.ready('archive', false, { error: String(error) })
        pauseSeconds = Math.min(pauseSeconds, RETRY_SECONDS)
      }
      await sleep(pauseSeconds * 1000, undefined, { signal: shutdown }).catch(() => {})
    }
  }
  void run().catch(service.fail)
}

async function trimOptions(
  service: Service,
  trim: NonNullable<ArchiveConfig['trim']>,
  { replicas }: ArchiveConfig,
  archive: Archive,
): Promise<TrimOptions> {
  const { nats, log } = service
  const { directory, kept } = trim.snapshots
  const store = await SnapshotStore.open({ directory, nats, replicas, logger: log })
  let pool: Pool | undefined
  if (trim.mysqlUrl === undefined) log.warn('without MYSQL_URL no projection is asked how far it has read')
  else pool = createPool(trim.mysqlUrl)
  service.onStop(() => pool?.end())
  return {
    nats,
    archive,
    afterSeconds: trim.afterSeconds,
    oldestSnapshot: (of, slot) => oldestGood(service, store, kept, of, slot),
    projections: async () => [
      ...(pool === undefined ? [] : await positionsIn(pool)),
      ...(await feedPositions(nats, replicas)),
    ],
    onTrimmed: (subject, limit, removed) => {
      if (removed > 0) log.info({ subject, limit, removed }, 'trimmed')
    },
  }
}

/** Snapshots that were read once and found good. */
const good = new Set<string>()

async function oldestGood(
  { log }: Service,
  store: SnapshotStore,
  kept: number,
  of: Log,
  slot: number,
): Promise<number | undefined> {
  const stored = await store.listStored(of, slot)
  if (stored.length < kept) return undefined
  for (const snapshot of stored) {
    if (good.has(snapshot.name)) continue
    try {
      await store.read(snapshot)
      good.add(snapshot.name)
    } catch (error) {
      if (!(error instanceof SnapshotBroken)) throw error
      log.error({ err: error, snapshot: snapshot.name }, 'a broken snapshot: its slot is not trimmed')
      return undefined
    }
  }
  return stored.at(-1)?.sequence
}

async function positionsIn(pool: Pool): Promise<ProjectionPosition[]> {
  const [rows] = await pool.query<Row[]>('SELECT projection, slot, frame_sequence FROM positions')
  return rows.map((row) => ({
    projection: String(row.projection),
    slot: Number(row.slot),
    frameSequence: Number(row.frame_sequence),
  }))
}
