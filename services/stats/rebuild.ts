import { PubHeaders } from '@nats-io/jetstream'
import { type Bus, streamsOf } from '#mesh/bus.ts'
import { inTransaction, type Pool, withNamedLock } from '#mesh/mysql.ts'
import { loadPositions, NOTHING_WRITTEN, type Progress } from '#mesh/projection/positions.ts'
import type { StatsProgress } from '#mesh/protocol/stats.ts'
import { RpcError } from '#mesh/rpc.ts'
import { EVENTS_STREAM, framesSubject, Log, Projection } from '#mesh/subjects.ts'

interface Rebuilt {
  readonly nats: Bus
  readonly pool: Pool
  readonly accountSlots: number
  readonly marketSlots: number
}

interface Source {
  readonly projection: string
  readonly log: Log
  readonly slot: number
}

/** What comes from the log alone; statements that were issued stay. */
const TABLES = ['candles', 'traded_markets', 'member_days', 'member_asset_days', 'fee_discounts'] as const

function sourcesOf({ accountSlots, marketSlots }: Rebuilt): Source[] {
  const slots = (projection: string, log: Log, count: number) =>
    Array.from({ length: count }, (_, slot) => ({ projection, log, slot }))
  return [
    ...slots(Projection.candles, Log.markets, marketSlots),
    ...slots(Projection.memberDays, Log.accounts, accountSlots),
  ]
}

/**
 * Empties everything that was written and its positions in one transaction, so that whoever writes the slots begins anew at the
 * first frame. @throws RpcError `frames_trimmed` where that is not to be had: nothing is emptied then.
 */
export async function rebuild(of: Rebuilt): Promise<StatsProgress> {
  for (const source of sourcesOf(of)) await checkBeginning(of.nats, source)
  await withNamedLock(of.pool, 'stats rebuild ', () =>
    inTransaction(of.pool, async (connection) => {
      // First of all: it waits for those who write, and whoever comes to write later is refused.
      await connection.query(
        `UPDATE positions SET frame_sequence = 0, frame_hash = 0, frame_time_us = 0, in_sequence = 0, in_item = 0, in_complete = 1
         WHERE projection IN (?)`,
        [[Projection.candles, Projection.memberDays]],
      )
      for (const table of TABLES) await connection.query(`DELETE FROM ${table}`)
    }),
  )
  return readProgress(of)
}

export async function readProgress(of: Rebuilt): Promise<StatsProgress> {
  const streams = streamsOf(of.nats)
  const positions = new Map<string, ReadonlyMap<number, Progress>>([
    [Projection.candles, await loadPositions(of.pool, Projection.candles)],
    [Projection.memberDays, await loadPositions(of.pool, Projection.memberDays)],
  ])
  const slots = await Promise.all(
    sourcesOf(of).map(async ({ projection, log, slot }) => {
      const { frameSequence } = positions.get(projection)?.get(slot) ?? NOTHING_WRITTEN
      const last = await streams.last(EVENTS_STREAM, framesSubject(log, slot))
      return { projection, slot, frameSequence, lastFrame: last?.seq ?? 0 }
    }),
  )
  return { slots }
}

/** The first frame follows none. */
async function checkBeginning(nats: Bus, { log, slot }: Source): Promise<void> {
  const streams = streamsOf(nats)
  const subject = framesSubject(log, slot)
  if ((await streams.last(EVENTS_STREAM, subject)) === undefined) return
  const reader = await streams.read(EVENTS_STREAM, subject, 1)
  try {
    for await (const { seq, headers } of reader) {
      const previous = Number(headers?.get(PubHeaders.ExpectedLastSubjectSequenceHdr) || 0)
      if (previous === 0) return
      const where = `The first frame of ${subject} at hand is ${seq}, which follows ${previous}.`
      throw new RpcError('frames_trimmed', `${where} Start stats with the ARCHIVE_DIR that has the others.`)
    }
  } finally {
    reader.stop()
  }
}
