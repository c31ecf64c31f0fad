import { inTransaction, isDuplicate, type Row } from '#mesh/mysql.ts'
import type { DenyListReply, DenyListRequest } from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import { normalEmail } from './domain/members.ts'
import { findMember, lockMember, requireAdmin, writeMemberDenial } from './members.ts'
import type { AuthParts } from './parts.ts'

export async function denyList(parts: AuthParts, request: DenyListRequest): Promise<DenyListReply> {
  await requireAdmin(parts, request.actorId)
  if (request.action === 'list') return await list(parts, request.limit, request.beforeEntryId)
  const email = 'email' in request ? requireEmail(request.email) : undefined
  const memberId = 'memberId' in request ? request.memberId : undefined
  const affectedId = memberId ?? (email === undefined ? undefined : await memberWith(parts, email))
  if (affectedId === request.actorId && request.action === 'add')
    throw new RpcError('own_denial', 'Nobody denies himself.')
  if (memberId !== undefined) await findMember(parts, memberId)
  if (request.action === 'add')
    await add(parts, { actorId: request.actorId, memberId, email, reason: request.reason ?? '' })
  else await remove(parts, { memberId, email })
  // Registered a moment before the entry was written, perhaps: looked up again.
  const deniedId = memberId ?? (email === undefined ? undefined : await memberWith(parts, email))
  if (deniedId !== undefined) await applyTo(parts, deniedId)
  parts.log.warn({ ...request }, 'the deny list was changed')
  return { entries: [] }
}

interface Subject {
  readonly memberId: number | undefined
  readonly email: string | undefined
}

async function add(
  parts: AuthParts,
  entry: Subject & { readonly actorId: number; readonly reason: string },
): Promise<void> {
  const entryId = await parts.ids.next()
  try {
    await parts.pool.query(
      'INSERT INTO deny_list (id, member_id, email, reason, created_by, created_at_ms) VALUES (?, ?, ?, ?, ?, ?)',
      [entryId, entry.memberId ?? null, entry.email ?? null, entry.reason, entry.actorId, Date.now()],
    )
  } catch (error) {
    // He is on it: as was asked.
    if (!isDuplicate(error)) throw error
  }
}

async function remove(parts: AuthParts, { memberId, email }: Subject): Promise<void> {
  await parts.pool.query('DELETE FROM deny_list WHERE member_id = ? OR email = ?', [memberId ?? null, email ?? null])
}

async function applyTo(parts: AuthParts, memberId: number): Promise<void> {
  const key = await inTransaction(parts.pool, async (connection) => {
    await lockMember(connection, memberId)
    return await writeMemberDenial(parts, connection, memberId)
  })
  await parts.denials.publish([key])
}

async function list(parts: AuthParts, limit: number, beforeEntryId: number | undefined): Promise<DenyListReply> {
  const [rows] = await parts.pool.query<Row[]>('SELECT * FROM deny_list WHERE id < ? ORDER BY id DESC LIMIT ?', [
    beforeEntryId ?? Number.MAX_SAFE_INTEGER,
    limit,
  ])
  return {
    entries: rows.map((row) => ({
      entryId: Number(row.id),
      ...(row.member_id === null ? {} : { memberId: Number(row.member_id) }),
      ...(row.email === null ? {} : { email: String(row.email) }),
      reason: String(row.reason),
      createdBy: Number(row.created_by),
      createdAtMs: Number(row.created_at_ms),
    })),
  }
}

async function memberWith(parts: AuthParts, email: string): Promise<number | undefined> {
  const [rows] = await parts.pool.query<Row[]>('SELECT id FROM members WHERE email = ?', [email])
  return rows[0] === undefined ? undefined : Number(rows[0].id)
}

function requireEmail(text: string): string {
  const email = normalEmail(text)
  if (email === undefined) throw new RpcError('email_invalid', 'That is no e-mail address.', { field: 'email' })
  return email
}
