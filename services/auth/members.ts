import { inTransaction, isDuplicate, type PoolConnection, type Row } from '#mesh/mysql.ts'
import {
  type BlockMemberRequest,
  type CloseMemberRequest,
  type DoneReply,
  deniedKey,
  type ListMembersRequest,
  type MemberInfo,
  type MemberStatus,
  type MembersReply,
  type RegisterReply,
  type RegisterRequest,
  type Role,
  type SetRolesRequest,
} from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import {
  denialCodeOf,
  isPasswordLongEnough,
  normalEmail,
  PASSWORD_CHARS_MIN,
  rolesToText,
  textToRoles,
} from './domain/members.ts'
import type { StoredPassword } from './hashing.ts'
import type { AuthParts } from './parts.ts'
import { provePassword } from './passwords.ts'
import { endSessions } from './sessions.ts'

/** What was told to a member is refused until every token that could say otherwise has expired. */
const DAY_MS = 86_400_000

export async function register(parts: AuthParts, request: RegisterRequest): Promise<RegisterReply> {
  const email = normalEmail(request.email)
  if (email === undefined) throw new RpcError('email_invalid', 'That is no e-mail address.', { field: 'email' })
  requireLongPassword(request.password)
  const [known] = await parts.pool.query<Row[]>('SELECT 1 FROM members WHERE email = ?', [email])
  if (known.length > 0) throw emailTaken()
  const password = await parts.hasher.hash(request.password)
  const { memberId, stored } = await insertMember(parts, { email, roles: ['member'], password })
  return { memberId, email, accountStored: stored }
}

/** One transaction with the account's command; then the command, at once. */
export async function insertMember(
  parts: AuthParts,
  member: { readonly email: string; readonly roles: readonly Role[]; readonly password: StoredPassword },
): Promise<{ readonly memberId: number; readonly stored: boolean }> {
  const { pool, ids, outbox, log } = parts
  const { email, roles, password } = member
  const memberId = await ids.next()
  const nowMs = Date.now()
  const rows = await inTransaction(pool, async (connection) => {
    const [denied] = await connection.query<Row[]>('SELECT 1 FROM deny_list WHERE email = ?', [email])
    if (denied.length > 0)
      throw new RpcError('email_denied', 'Nobody may register with this e-mail.', { field: 'email' })
    await connection.query('INSERT INTO members (id, email, roles, status, created_at_ms) VALUES (?, ?, ?, ?, ?)', [
      memberId,
      email,
      rolesToText(roles),
      'active',
      nowMs,
    ])
    await insertCredentials(connection, [memberId], password, nowMs)
    return await outbox.writeCreation(connection, [memberId])
  }).catch((error: unknown) => {
    throw isDuplicate(error) ? emailTaken() : error
  })
  try {
    await outbox.appendCreations(rows)
    return { memberId, stored: true }
  } catch (err) {
    log.warn({ err, memberId }, 'an account is created later')
    return { memberId, stored: false }
  }
}

export async function insertCredentials(
  connection: PoolConnection,
  memberIds: readonly number[],
  { hash, salt, costLog2, blockSize, parallel }: StoredPassword,
  nowMs: number,
): Promise<void> {
  await connection.query(
    `INSERT INTO credentials (member_id, password_hash, salt, cost_log2, block_size, parallelism, changed_at_ms) VALUES ?
     ON DUPLICATE KEY UPDATE password_hash = VALUES(password_hash), salt = VALUES(salt), cost_log2 = VALUES(cost_log2),
       block_size = VALUES(block_size), parallelism = VALUES(parallelism), changed_at_ms = VALUES(changed_at_ms)`,
    [memberIds.map((memberId) => [memberId, hash, salt, costLog2, blockSize, parallel, nowMs])],
  )
}

export function requireLongPassword(password: string): void {
  if (isPasswordLongEnough(password)) return
  throw new RpcError('password_too_short', `A password has at least ${PASSWORD_CHARS_MIN} characters.`, {
    field: 'password',
  })
}

export async function closeMember(parts: AuthParts, request: CloseMemberRequest): Promise<DoneReply> {
  const { pool, denials, outbox } = parts
  const { memberId } = request
  await provePassword(parts, memberId, request.password, request.clientHash)
  const keys = await inTransaction(pool, async (connection) => {
    const member = await lockMember(connection, memberId)
    if (member.status === 'closed') return []
    if (member.roles.includes('admin') && (await countAdmins(connection)) < 2) {
      throw new RpcError('last_admin', 'The last admin cannot leave.')
    }
    await connection.query("UPDATE members SET status = 'closed' WHERE id = ?", [memberId])
    await outbox.writeStatus(connection, memberId, 'closed')
    const ended = await endSessions(parts, connection, memberId)
    return [await writeMemberDenial(parts, connection, memberId), ...ended]
  })
  await denials.publish(keys)
  await outbox.appendMember(memberId)
  return { done: true }
}

export async function blockMember(
  parts: AuthParts,
  { actorId, memberId, reason }: BlockMemberRequest,
): Promise<DoneReply> {
  await requireAdmin(parts, actorId)
  if (actorId === memberId) throw new RpcError('last_admin', 'An admin cannot block himself.')
  await setStatus(parts, memberId, 'blocked')
  parts.log.warn({ actorId, memberId, reason }, 'a member was blocked')
  return { done: true }
}

export async function unblockMember(
  parts: AuthParts,
  { actorId, memberId, reason }: BlockMemberRequest,
): Promise<DoneReply> {
  await requireAdmin(parts, actorId)
  await setStatus(parts, memberId, 'active')
  parts.log.warn({ actorId, memberId, reason }, 'a member was unblocked')
  return { done: true }
}

async function setStatus(parts: AuthParts, memberId: number, status: 'active' | 'blocked'): Promise<void> {
  const { pool, denials, outbox } = parts
  const key = await inTransaction(pool, async (connection) => {
    const member = await lockMember(connection, memberId)
    if (member.status === 'closed') throw new RpcError('member_closed', 'The member has left.')
    if (member.status !== status) {
      await connection.query('UPDATE members SET status = ? WHERE id = ?', [status, memberId])
      await outbox.writeStatus(connection, memberId, status)
    }
    return await writeMemberDenial(parts, connection, memberId)
  })
  await denials.publish([key])
  await outbox.appendMember(memberId)
}

export async function setRoles(parts: AuthParts, { actorId, memberId, roles }: SetRolesRequest): Promise<DoneReply> {
  const { pool, denials } = parts
  await requireAdmin(parts, actorId)
  if (actorId === memberId) throw new RpcError('own_roles', 'Nobody changes his own roles.')
  const keys = await inTransaction(pool, async (connection) => {
    const member = await lockMember(connection, memberId)
    const text = rolesToText(roles)
    if (text === rolesToText(member.roles)) return []
    await connection.query('UPDATE members SET roles = ? WHERE id = ?', [text, memberId])
    const ended = await endSessions(parts, connection, memberId)
    const revoked = roles.includes('broker') ? [] : await revokeBrokerTokens(parts, connection, memberId)
    return [...ended, ...revoked]
  })
  await denials.publish(keys)
  parts.log.warn({ actorId, memberId, roles }, "a member's roles were changed")
  return { done: true }
}

async function revokeBrokerTokens(parts: AuthParts, connection: PoolConnection, memberId: number): Promise<string[]> {
  const nowMs = Date.now()
  const [rows] = await connection.query<Row[]>(
    `SELECT id, expires_at_ms FROM program_tokens
     WHERE member_id = ? AND revoked_at_ms IS NULL AND expires_at_ms > ? AND for_members IS NOT NULL FOR UPDATE`,
    [memberId, nowMs],
  )
  const keys: string[] = []
  for (const row of rows) {
    await connection.query('UPDATE program_tokens SET revoked_at_ms = ? WHERE id = ?', [nowMs, row.id])
    const key = deniedKey.token(String(row.id))
    await parts.denials.write(connection, [key], 'token_revoked', Number(row.expires_at_ms) + 1000)
    keys.push(key)
  }
  return keys
}

export async function listMembers(parts: AuthParts, request: ListMembersRequest): Promise<MembersReply> {
  await requireAdmin(parts, request.actorId)
  const email = request.email === undefined ? undefined : (normalEmail(request.email) ?? '')
  const [rows] = await parts.pool.query<Row[]>(
    `${SELECT_MEMBER} WHERE m.id > ?${email === undefined ? '' : ' AND m.email = ?'}${request.memberId === undefined ? '' : ' AND m.id = ?'}
     ORDER BY m.id LIMIT ?`,
    [request.afterMemberId ?? 0, email, request.memberId, request.limit].filter((value) => value !== undefined),
  )
  return { members: rows.map(memberOfRow) }
}

// rows

const SELECT_MEMBER = `SELECT m.id, m.email, m.roles, m.status, m.created_at_ms,
  EXISTS (SELECT 1 FROM deny_list d WHERE d.member_id = m.id) OR EXISTS (SELECT 1 FROM deny_list d WHERE d.email = m.email) AS denied
  FROM members m`

const memberOfRow = (row: Row): MemberInfo => ({
  memberId: Number(row.id),
  email: String(row.email),
  roles: textToRoles(String(row.roles)),
  status: row.status as MemberStatus,
  denied: Number(row.denied) === 1,
  createdAtMs: Number(row.created_at_ms),
})

/** @throws RpcError `member_unknown` */
export async function lockMember(connection: PoolConnection, memberId: number): Promise<MemberInfo> {
  await connection.query('SELECT id FROM members WHERE id = ? FOR UPDATE', [memberId])
  const [rows] = await connection.query<Row[]>(`${SELECT_MEMBER} WHERE m.id = ?`, [memberId])
  if (rows[0] === undefined) throw new RpcError('member_unknown', 'There is no such member.')
  return memberOfRow(rows[0])
}

export async function findMember(parts: AuthParts, memberId: number): Promise<MemberInfo> {
  const [rows] = await parts.pool.query<Row[]>(`${SELECT_MEMBER} WHERE m.id = ?`, [memberId])
  if (rows[0] === undefined) throw new RpcError('member_unknown', 'There is no such member.')
  return memberOfRow(rows[0])
}

/** @throws RpcError `member_blocked`, `member_closed`, `member_denied` */
export function requireWelcome({ status, denied }: MemberInfo): void {
  const code = denialCodeOf(status, denied)
  if (code !== undefined) throw new RpcError(code, 'The member may not come in.')
}

/** What MySQL says now, not a token of a quarter of an hour ago. @throws RpcError `forbidden` */
export async function requireAdmin(parts: AuthParts, actorId: number): Promise<void> {
  const [rows] = await parts.pool.query<Row[]>(`${SELECT_MEMBER} WHERE m.id = ?`, [actorId])
  const actor = rows[0] && memberOfRow(rows[0])
  if (actor?.roles.includes('admin') && denialCodeOf(actor.status, actor.denied) === undefined) return
  throw new RpcError('forbidden', 'Only an admin may do that.')
}

/** The caller has locked the member's row. @returns the key to publish after the commit. */
export async function writeMemberDenial(
  parts: AuthParts,
  connection: PoolConnection,
  memberId: number,
): Promise<string> {
  const [rows] = await connection.query<Row[]>(`${SELECT_MEMBER} WHERE m.id = ?`, [memberId])
  const member = rows[0] && memberOfRow(rows[0])
  const code = member && denialCodeOf(member.status, member.denied)
  const key = deniedKey.member(memberId)
  await parts.denials.write(connection, [key], code, Date.now() + (parts.config.programTokenDaysMax + 2) * DAY_MS)
  return key
}

/** The rows of all admins are locked: two who leave at once do so one after the other. */
async function countAdmins(connection: PoolConnection): Promise<number> {
  const [rows] = await connection.query<Row[]>(
    "SELECT id FROM members WHERE status = 'active' AND roles LIKE '%admin%' FOR UPDATE",
  )
  return rows.length
}

const emailTaken = () => new RpcError('email_taken', 'Somebody has registered with this e-mail.', { field: 'email' })
