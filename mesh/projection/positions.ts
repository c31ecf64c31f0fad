import type { Connection, ResultSetHeader } from 'mysql2/promise'
import type { FrameHeader } from '#mesh/frames.ts'
import type { Pool, Row } from '#mesh/mysql.ts'
import { ascii, int } from './sql.ts'

/** How far a projection has come in a slot. All zero where it has not begun. */
export interface Progress {
  /** The last written frame: where it stands in EVENTS, the hash in its header, the slot's time. */
  readonly frameSequence: number
  readonly frameHash: number
  readonly frameTimeUs: number
  /** The last written item of the slot's log, and whether it is the last of its message. */
  readonly inSequence: number
  readonly inItem: number
  readonly inComplete: boolean
}

export const NOTHING_WRITTEN: Progress = {
  frameSequence: 0,
  frameHash: 0,
  frameTimeUs: 0,
  inSequence: 0,
  inItem: 0,
  inComplete: true,
}

/** Another instance has written this slot meanwhile: forget what is at hand and load the position again. */
export class SteppedDown extends Error {
  override readonly name = 'SteppedDown'
  readonly code = 'stepped_down'
}

export const progressAt = (header: FrameHeader, frameSequence: number): Progress => ({
  frameSequence,
  frameHash: header.hash,
  frameTimeUs: header.timeUs,
  inSequence: header.inTo[0],
  inItem: header.inTo[1],
  inComplete: header.complete,
})

/** Whether everything up to and with this message of the slot's log is written. */
export const hasPassed = (progress: Progress, sequence: number): boolean =>
  progress.inSequence > sequence || (progress.inSequence === sequence && progress.inComplete)

/** What the writing of a slot needs of a connection to MySQL. */
export type WriterConnection = Pick<Connection, 'query' | 'destroy'>

/** Rows for slots that have none yet. */
export async function createPositions(pool: Pool, projection: string, slots: number): Promise<void> {
  const name = ascii(projection, 32)
  const all = Array.from({ length: slots }, (_, slot) => slot)
  await pool.query(
    `INSERT IGNORE INTO positions (projection, slot, frame_sequence, frame_hash, frame_time_us, in_sequence, in_item, in_complete)
     VALUES ${all.map((slot) => `(${name},${slot},0,0,0,0,0,1)`).join(',')}`,
  )
  await pool.query(
    `INSERT IGNORE INTO projection_slots (projection, slot, owner, owned_until)
     VALUES ${all.map((slot) => `(${name},${slot},'','2000-01-01')`).join(',')}`,
  )
}

/**
 * Whoever has nothing to write learns here that others wrote, or that everything is to be written anew.
 * @throws SteppedDown when the stored position is another one.
 */
export async function checkPosition(
  connection: WriterConnection,
  { projection, slot }: { readonly projection: string; readonly slot: number },
  written: Progress,
): Promise<void> {
  const stored = (await loadPositions(connection, projection)).get(slot) ?? NOTHING_WRITTEN
  if (stored.frameSequence === written.frameSequence && stored.frameHash === written.frameHash) return
  throw new SteppedDown(`Slot ${slot} is written up to frame ${stored.frameSequence}, not ${written.frameSequence}.`)
}

export async function loadPositions(pool: Pick<Pool, 'query'>, projection: string): Promise<Map<number, Progress>> {
  const [rows] = await pool.query<Row[]>(
    `SELECT slot, frame_sequence, frame_hash, frame_time_us, in_sequence, in_item, in_complete
     FROM positions WHERE projection = ${ascii(projection, 32)}`,
  )
  return new Map(
    rows.map((row) => [
      Number(row.slot),
      {
        frameSequence: Number(row.frame_sequence),
        frameHash: Number(row.frame_hash),
        frameTimeUs: Number(row.frame_time_us),
        inSequence: Number(row.in_sequence),
        inItem: Number(row.in_item),
        inComplete: Number(row.in_complete) === 1,
      },
    ]),
  )
}

/**
 * Writes rows and the position in one transaction; the connection allows several statements in one query.
 * After any failure the connection is of no more use, and what is stored is either all of it or nothing.
 * @throws SteppedDown when the stored position is not `from`.
 */
export async function writeBatch(
  connection: WriterConnection,
  place: { readonly projection: string; readonly slot: number },
  move: { readonly from: Progress; readonly to: Progress },
  statements: readonly string[],
): Promise<void> {
  const { from, to } = move
  const [results] = await connection.query<ResultSetHeader[]>(
    `START TRANSACTION;
     UPDATE positions SET frame_sequence=${int(to.frameSequence)}, frame_hash=${int(to.frameHash)},
       frame_time_us=${int(to.frameTimeUs)}, in_sequence=${int(to.inSequence)}, in_item=${int(to.inItem)},
       in_complete=${to.inComplete ? 1 : 0}
     WHERE projection=${ascii(place.projection, 32)} AND slot=${place.slot}
       AND frame_sequence=${int(from.frameSequence)} AND frame_hash=${int(from.frameHash)}`,
  )
  if (results[1]?.affectedRows !== 1) {
    await connection.query('ROLLBACK')
    throw new SteppedDown(`Slot ${place.slot} was written beyond frame ${from.frameSequence} by another instance.`)
  }
  // Without values, not with none: the driver would look for placeholders in half a megabyte.
  await connection.query([...statements, 'COMMIT'].join(';\n'), null)
}
