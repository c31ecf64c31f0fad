import type { Logger } from 'pino'
import type { CommandPublisher } from '#mesh/commands.ts'
import type { Ids } from '#mesh/ids.ts'
import { inTransaction, type Pool, type PoolConnection, type Row } from '#mesh/mysql.ts'
import type { AccountStatus, CreateAccount, SetAccountStatus } from '#mesh/protocol/accounts.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log } from '#mesh/subjects.ts'

/**
 * Commands for the members' accounts. They are written in the transaction that decides them and appended to the member's log
 * when it is committed: at once, or by whichever instance comes by later. A command may be appended twice, always with the
 * same id and content, which the machine tells as a repeat.
 */
export interface Outbox {
  /** Within the caller's transaction. */
  writeCreation(connection: PoolConnection, memberIds: readonly number[]): Promise<OutboxRow[]>
  /** Likewise; the caller has locked the member's row. */
  writeStatus(connection: PoolConnection, memberId: number, status: AccountStatus): Promise<void>
  /** Creations have no order to keep among themselves: appended side by side, in few messages. */
  appendCreations(rows: readonly OutboxRow[]): Promise<void>
  /** All that is left of one member's, in order, no two instances at once. */
  appendMember(memberId: number): Promise<void>
  /** What has been left by those who died or found no log. */
  appendLeftovers(olderThanMs: number): Promise<number>
}

export interface OutboxRow {
  readonly command: CreateAccount | SetAccountStatus
}

const MEMBERS_MAX = 500
const AT_ONCE = 50

export function createOutbox(parts: {
  readonly pool: Pool
  readonly ids: Ids
  readonly publisher: CommandPublisher
  readonly accountSlots: number
  readonly log: Logger
}): Outbox {
  const { pool, ids, publisher, accountSlots, log } = parts

  const write = async (connection: PoolConnection, rows: readonly OutboxRow[]): Promise<void> => {
    const nowMs = Date.now()
    const values = rows.map(({ command }) => [command.commandId, command.memberId, JSON.stringify(command), nowMs])
    await connection.query('INSERT INTO auth_outbox (command_id, member_id, command, created_at_ms) VALUES ?', [values])
  }
  const append = (command: CreateAccount | SetAccountStatus) =>
    publisher.append(Log.accounts, accountSlotOf(command.memberId, accountSlots), command)
  const appendMember = (memberId: number): Promise<void> =>
    inTransaction(pool, async (connection) => {
      await connection.query('SELECT id FROM members WHERE id = ? FOR UPDATE', [memberId])
      const [rows] = await connection.query<Row[]>(
        'SELECT position, command FROM auth_outbox WHERE member_id = ? ORDER BY position',
        [memberId],
      )
      for (const row of rows) {
        await append(JSON.parse(String(row.command)))
        await connection.query('DELETE FROM auth_outbox WHERE position = ?', [row.position])
      }
    })

  return {
    async writeCreation(connection, memberIds) {
      const commandIds = await ids.nextMany(memberIds.length)
      const rows = memberIds.map((memberId, index): OutboxRow => {
        const commandId = commandIds[index] ?? 0
        return { command: { type: 'CreateAccount', commandId, replyTo: '', memberId } }
      })
      await write(connection, rows)
      return rows
    },
    async writeStatus(connection, memberId, status) {
      const commandId = await ids.next()
      await write(connection, [{ command: { type: 'SetAccountStatus', commandId, replyTo: '', memberId, status } }])
    },
    async appendCreations(rows) {
      await Promise.all(rows.map(({ command }) => append(command)))
      await pool.query('DELETE FROM auth_outbox WHERE command_id IN (?)', [
        rows.map(({ command }) => command.commandId),
      ])
    },
    appendMember,
    async appendLeftovers(olderThanMs) {
      const [rows] = await pool.query<Row[]>(
        'SELECT DISTINCT member_id FROM auth_outbox WHERE created_at_ms < ? LIMIT ?',
        [Date.now() - olderThanMs, MEMBERS_MAX],
      )
      const memberIds = rows.map((row) => Number(row.member_id))
      for (let start = 0; start < memberIds.length; start += AT_ONCE) {
        await Promise.all(memberIds.slice(start, start + AT_ONCE).map(appendMember))
      }
      if (memberIds.length > 0) log.info({ members: memberIds.length }, 'appended what was left in the outbox')
      return memberIds.length
    },
  }
}
