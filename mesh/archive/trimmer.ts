import { JetStreamApiError, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { streamsOf } from '../bus.ts'
import { Bucket, EVENTS_STREAM, LOG_OF_PROJECTION, Log, STREAM_OF_LOG, trimKey } from '../subjects.ts'
import type { Archive } from './archive.ts'

export interface TrimOptions {
  readonly nats: NatsConnection
  readonly archive: Archive
  /** A segment stays until its last message is so old. */
  readonly afterSeconds: number
  /**
   * Sequence of a slot's oldest kept snapshot, all of them good; undefined: there are not as many as there should be.
   * What comes from that message on is never removed.
   */
  readonly oldestSnapshot: (log: Log, slot: number) => Promise<number | undefined>
  /** How far the projections that keep their position outside the bus have read a slot's frames. */
  readonly projections: () => Promise<readonly ProjectionPosition[]>
  readonly onTrimmed: (subject: string, limit: number, removed: number) => void
}

export interface ProjectionPosition {
  readonly projection: string
  readonly slot: number
  /** In EVENTS; 0: it has not begun. */
  readonly frameSequence: number
}

/** The logs whose slots have snapshots that are kept for good, and whose frames are read from a position on. */
const TRIMMED_LOGS = [Log.accounts, Log.markets] as const

/**
 * Removes from the streams what lies in the archive and nobody there needs any more: no consumer, no projection, no snapshot.
 * Each subject's last message stays. Definitions are never trimmed: everybody reads them from the first one on.
 */
export async function trimStreams(options: TrimOptions): Promise<void> {
  const manager = await jetstreamManager(options.nats)
  for (const log of TRIMMED_LOGS) await trimLog(manager, options, log)
  await trimEvents(manager, options)
}

async function trimLog(manager: JetStreamManager, options: TrimOptions, log: Log): Promise<void> {
  const { nats, oldestSnapshot, onTrimmed } = options
  const stream = STREAM_OF_LOG[log]
  const limitOfAll = await limitOf(manager, options, stream)
  if (limitOfAll <= 1) return
  const bySlot = Map.groupBy(await subjectsOf(manager, stream, '>'), (subject) => Number(subject.split('.')[1]))
  const trims = await streamsOf(nats).bucket(Bucket.trims)
  for (const [slot, subjects] of bySlot) {
    const snapshot = await oldestSnapshot(log, slot)
    if (snapshot === undefined) continue
    const limit = Math.min(limitOfAll, snapshot)
    const before = await trims.get(trimKey(stream, slot))
    // Said first: whoever recovers meanwhile must know that the beginning may be gone.
    if (limit > Number(before?.string() ?? 0)) await trims.put(trimKey(stream, slot), String(limit))
    for (const subject of subjects) onTrimmed(subject, limit, await purge(manager, stream, subject, limit))
  }
}

async function trimEvents(manager: JetStreamManager, options: TrimOptions): Promise<void> {
  const limitOfAll = await limitOf(manager, options, EVENTS_STREAM)
  if (limitOfAll <= 1) return
  const positions = await options.projections()
  for (const log of TRIMMED_LOGS) {
    for (const subject of await subjectsOf(manager, EVENTS_STREAM, `events.${log}.>`)) {
      const slot = Number(subject.split('.')[2])
      const behind: number[] = []
      for (const position of positions) {
        if (position.slot === slot && !(await hasAll(manager, position))) behind.push(position.frameSequence + 1)
      }
      const limit = Math.min(limitOfAll, ...behind)
      options.onTrimmed(subject, limit, await purge(manager, EVENTS_STREAM, subject, limit))
    }
  }
}

/** Everything before this sequence is archived, old enough, and was delivered to all consumers that there are. */
async function limitOf(
  manager: JetStreamManager,
  { archive, afterSeconds }: TrimOptions,
  stream: string,
): Promise<number> {
  const { created } = await manager.streams.info(stream)
  const untilUs = (Date.now() - afterSeconds * 1000) * 1000
  let limit = 1
  for (const entry of await archive.segments(stream, created)) {
    if (entry.lastTimeUs > untilUs) break
    await archive.check(entry)
    limit = entry.to + 1
  }
  for await (const consumer of manager.consumers.list(stream)) {
    if (consumer.num_pending > 0) limit = Math.min(limit, consumer.delivered.stream_seq + 1)
  }
  return limit
}

/**
 * Whether a projection has read all frames of its slot: its last frame is read, or there are none at all. Of one that is not known
 * here the slot of that number in either log may be the one.
 */
async function hasAll(
  manager: JetStreamManager,
  { projection, slot, frameSequence }: ProjectionPosition,
): Promise<boolean> {
  const known = LOG_OF_PROJECTION.get(projection)
  const lasts: number[] = []
  for (const log of known === undefined ? TRIMMED_LOGS : [known])
    lasts.push(await lastOf(manager, EVENTS_STREAM, `events.${log}.${slot}`))
  return frameSequence === 0 ? lasts.every((last) => last === 0) : lasts.includes(frameSequence)
}

async function subjectsOf(manager: JetStreamManager, stream: string, filter: string): Promise<string[]> {
  const { state } = await manager.streams.info(stream, { subjects_filter: filter })
  return Object.keys(state.subjects ?? {}).sort()
}

async function lastOf(manager: JetStreamManager, stream: string, subject: string): Promise<number> {
  try {
    return (await manager.streams.getMessage(stream, { last_by_subj: subject }))?.seq ?? 0
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return 0
    throw error
  }
}

/** Removes a subject's messages before the limit, but never its last one. Returns how many. */
async function purge(manager: JetStreamManager, stream: string, subject: string, limit: number): Promise<number> {
  const last = await lastOf(manager, stream, subject)
  const before = Math.min(limit, last)
  if (before <= 1) return 0
  return (await manager.streams.purge(stream, { filter: subject, seq: before })).purged
}
