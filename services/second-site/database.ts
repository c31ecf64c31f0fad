import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { parseFrameHeader } from '#mesh/frames.ts'
import type { Pool, Row } from '#mesh/mysql.ts'
import { EVENTS_STREAM } from '#mesh/subjects.ts'

/** What the projections write, with how far they have come. */
const TABLES = [
  'orders_timeline',
  'orders',
  'fills',
  'movements',
  'balances',
  'asset_totals',
  'market_totals',
  'candles',
  'traded_markets',
  'member_days',
  'member_asset_days',
  'fee_discounts',
  'positions',
  'projection_slots',
  'projection_instances',
]
const APPLIED_MS_MAX = 600_000
const LOOK_MS = 200

/** How long the replica holds back what it has received: a mistake at the first site can be stopped in time. */
export async function delayReplica(pool: Pool, seconds: number): Promise<void> {
  if ((await replicaStatus(pool)) === undefined) throw new Error('This database is no replica: see the README.')
  await pool.query('STOP SLAVE')
  await pool.query('CHANGE MASTER TO MASTER_DELAY = ?', [seconds])
  await pool.query('START SLAVE')
}

export async function replicaState(pool: Pool): Promise<string> {
  const status = await replicaStatus(pool)
  if (status === undefined) return 'is no replica'
  const running = `receives: ${status.Slave_IO_Running}, applies: ${status.Slave_SQL_Running}`
  const error = String(status.Last_SQL_Error || status.Last_IO_Error || '')
  return `${running}, ${status.SQL_Delay} s delay${error === '' ? '' : `: ${error}`}`
}

/** Applies what the replica has received and held back, and makes it a database of its own. Harmless when it is done again. */
export async function releaseReplica(pool: Pool): Promise<void> {
  if ((await replicaStatus(pool)) !== undefined) {
    await pool.query('STOP SLAVE')
    const stopped = await replicaStatus(pool)
    // MariaDB throws away what was received and not applied, to ask for it again, unless it is told where to go on in that.
    await pool.query('CHANGE MASTER TO MASTER_USE_GTID = no, MASTER_DELAY = 0, RELAY_LOG_FILE = ?, RELAY_LOG_POS = ?', [
      stopped?.Relay_Log_File,
      Number(stopped?.Relay_Log_Pos),
    ])
    await pool.query('START SLAVE SQL_THREAD')
    const deadlineMs = performance.now() + APPLIED_MS_MAX
    for (;;) {
      const status = await replicaStatus(pool)
      if (String(status?.Last_SQL_Error ?? '') !== '')
        throw new Error(`The replica cannot go on: ${status?.Last_SQL_Error}`)
      if (/has read all relay log/i.test(String(status?.Slave_SQL_Running_State ?? ''))) break
      if (performance.now() > deadlineMs)
        throw new Error('The replica does not come to the end of what it has received.')
      await sleep(LOOK_MS)
    }
    await pool.query('STOP SLAVE')
    await pool.query('RESET SLAVE ALL')
  }
  await pool.query('SET GLOBAL read_only = 0')
}

/**
 * Where the database knows frames that are gone, its history is emptied and will be written anew from the streams.
 * @returns whether that was so.
 */
export async function dropHistoryAhead(pool: Pool, nats: NatsConnection): Promise<boolean> {
  const { streams } = await jetstreamManager(nats)
  const [positions] = await pool.query<Row[]>(
    'SELECT frame_sequence, frame_hash FROM positions WHERE frame_sequence > 0',
  )
  for (const { frame_sequence, frame_hash } of positions) {
    const stored = await streams.getMessage(EVENTS_STREAM, { seq: Number(frame_sequence) })
    if (stored !== null && parseFrameHeader(stored.data).hash === Number(frame_hash)) continue
    for (const table of TABLES) await pool.query(`TRUNCATE TABLE ${table}`)
    return true
  }
  return false
}

/** Members that were made or blocked within this time may have lost the command to their account. */
const RECENT_MS = 24 * 3_600_000

/**
 * The members' accounts may have lost the commands that made or blocked them; they are written again, and change nothing where
 * they were not lost.
 * @param nextIds gives ids that no other command has.
 * @returns how many commands.
 */
export async function repeatMemberCommands(pool: Pool, nextIds: (count: number) => Promise<number[]>): Promise<number> {
  const [members] = await pool.query<Row[]>(
    "SELECT id, status FROM members WHERE created_at_ms > ? OR status <> 'active' ORDER BY id",
    [Date.now() - RECENT_MS],
  )
  const commands = members.flatMap(({ id, status }) => {
    const memberId = Number(id)
    const create = { type: 'CreateAccount', replyTo: '', memberId }
    return status === 'active' ? [create] : [create, { type: 'SetAccountStatus', replyTo: '', memberId, status }]
  })
  const ids = await nextIds(commands.length)
  const values = commands.map((command, index) => {
    const commandId = ids[index] ?? 0
    return [commandId, command.memberId, JSON.stringify({ ...command, commandId }), 0]
  })
  for (let from = 0; from < values.length; from += ROWS_AT_ONCE) {
    const rows = values.slice(from, from + ROWS_AT_ONCE)
    await pool.query('INSERT INTO auth_outbox (command_id, member_id, command, created_at_ms) VALUES ?', [rows])
  }
  return values.length
}
const ROWS_AT_ONCE = 1_000

async function replicaStatus(pool: Pool): Promise<Row | undefined> {
  const [rows] = await pool.query<Row[]>('SHOW SLAVE STATUS')
  return rows[0]
}
