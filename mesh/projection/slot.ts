import { createConnection } from 'mysql2/promise'
import { connectionOptions, type Pool } from '#mesh/mysql.ts'
import type { ProjectionBatch } from './inbox.ts'
import { checkPosition, loadPositions, NOTHING_WRITTEN, type WriterConnection, writeBatch } from './positions.ts'
import { FrameWriter, type Sink, type WriterOptions } from './writer.ts'

export interface SlotOptions<Event> extends Omit<WriterOptions<Event, ProjectionBatch<Event>>, 'openSink'> {
  /** A connection of the slot's own, for its transactions. */
  readonly connect: () => Promise<WriterConnection>
  readonly pool: Pick<Pool, 'query'>
}

/** The server ends a connection that is quiet for so long, and with it a transaction that a paused process left open. */
const QUIET_SECONDS_MAX = 5

/** Writes one slot to MySQL, from the stored position on, until it is stopped. */
export class SlotWriter<Event> extends FrameWriter<Event, ProjectionBatch<Event>> {
  constructor(options: SlotOptions<Event>) {
    super({ ...options, openSink: () => openSink(options) })
  }
}

async function openSink<Event>(options: SlotOptions<Event>): Promise<Sink<ProjectionBatch<Event>>> {
  const { pool, connect, projection, slot } = options
  const progress = (await loadPositions(pool, projection)).get(slot) ?? NOTHING_WRITTEN
  const connection = await connect()
  const place = { projection, slot }
  let written = progress
  return {
    progress,
    attributes: { 'db.system.name': 'mysql' },
    write: async (batch, move) => {
      await writeBatch(connection, place, move, batch.statements())
      written = move.to
    },
    keepAlive: () => checkPosition(connection, place, written),
    close: () => connection.destroy(),
  }
}

export async function connectWriter(mysqlUrl: string): Promise<WriterConnection> {
  const connection = await createConnection({ ...connectionOptions(mysqlUrl), multipleStatements: true })
  // A connection that breaks while nothing is asked of it says so at the next statement.
  connection.on('error', () => {})
  await connection.query(
    `SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', wait_timeout = ${QUIET_SECONDS_MAX},
       innodb_lock_wait_timeout = ${QUIET_SECONDS_MAX * 2};
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED`,
  )
  return connection
}
