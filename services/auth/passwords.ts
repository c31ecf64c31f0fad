import { inTransaction, type PoolConnection, type Row } from '#mesh/mysql.ts'
import type { ChangePasswordRequest, DoneReply } from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import { attemptLimits } from './domain/attempts.ts'
import type { StoredPassword } from './hashing.ts'
import { insertCredentials, lockMember, requireLongPassword } from './members.ts'
import type { AuthParts } from './parts.ts'
import { endSessions } from './sessions.ts'

export async function changePassword(parts: AuthParts, request: ChangePasswordRequest): Promise<DoneReply> {
  const { pool, hasher, denials } = parts
  const { memberId } = request
  requireLongPassword(request.newPassword)
  const proven = await provePassword(parts, memberId, request.currentPassword, request.clientHash)
  const password = await hasher.hash(request.newPassword)
  const keys = await inTransaction(pool, async (connection) => {
    await lockMember(connection, memberId)
    await requireStill(connection, memberId, proven)
    await insertCredentials(connection, [memberId], password, Date.now())
    return await endSessions(parts, connection, memberId)
  })
  await denials.publish(keys)
  return { done: true }
}

/** @throws RpcError `credentials_invalid`, `login_rate_limited`, `member_unknown` */
export async function provePassword(
  parts: AuthParts,
  memberId: number,
  password: string,
  clientHash: string | undefined,
): Promise<StoredPassword> {
  const [rows] = await parts.pool.query<Row[]>(`${SELECT_PASSWORD} WHERE m.id = ?`, [memberId])
  const row = rows[0]
  if (row === undefined) throw new RpcError('member_unknown', 'There is no such member.')
  const stored = passwordOfRow(row)
  const limits = attemptLimits(String(row.email), clientHash)
  await parts.attempts.count(limits)
  if (!(await parts.hasher.matches(password, stored))) throw credentialsInvalid()
  await parts.attempts.takeBack(limits)
  return stored
}

export const SELECT_PASSWORD = `SELECT m.id, m.email, c.password_hash, c.salt, c.cost_log2, c.block_size, c.parallelism
  FROM members m JOIN credentials c ON c.member_id = m.id`

export const passwordOfRow = (row: Row): StoredPassword => ({
  hash: row.password_hash,
  salt: row.salt,
  costLog2: Number(row.cost_log2),
  blockSize: Number(row.block_size),
  parallel: Number(row.parallelism),
})

/** The password that was proven a moment ago is the member's yet. The caller has locked the member's row. */
export async function requireStill(
  connection: PoolConnection,
  memberId: number,
  proven: StoredPassword,
): Promise<void> {
  const [rows] = await connection.query<Row[]>(`${SELECT_PASSWORD} WHERE m.id = ?`, [memberId])
  if (rows[0] === undefined || !passwordOfRow(rows[0]).hash.equals(proven.hash)) throw credentialsInvalid()
}

export const credentialsInvalid = () => new RpcError('credentials_invalid', 'E-mail or password is wrong.')
