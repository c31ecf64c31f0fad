import { inTransaction, type Row } from '#mesh/mysql.ts'
import {
  type CreateTokenRequest,
  type DoneReply,
  deniedKey,
  type ListTokensRequest,
  type RevokeTokenRequest,
  type Scope,
  type TokenInfo,
  type TokenReply,
  type TokensReply,
} from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import { findMember, lockMember, requireAdmin, requireWelcome } from './members.ts'
import type { AuthParts } from './parts.ts'

const TOKENS_MAX = 100
const LIFETIME_DAYS_DEFAULT = 90
const DAY_S = 86_400

export async function createToken(parts: AuthParts, request: CreateTokenRequest): Promise<TokenReply> {
  const { config, pool, ids, signer } = parts
  const { actorId, memberId, name, members } = request
  const scopes = (['read', 'trade'] as const).filter((scope) => request.scopes.includes(scope))
  // Who may act for others is not the broker's own choice.
  if (actorId !== memberId || members !== undefined) await requireAdmin(parts, actorId)
  const lifetimeDays = request.lifetimeDays ?? Math.min(LIFETIME_DAYS_DEFAULT, config.programTokenDaysMax)
  if (lifetimeDays > config.programTokenDaysMax) {
    throw new RpcError('lifetime_too_long', `A token lives at most ${config.programTokenDaysMax} days.`, {
      field: 'lifetimeDays',
    })
  }
  for (const other of members ?? []) requireWelcome(await findMember(parts, other))
  const tokenId = await ids.next()
  const nowMs = Date.now()
  const expiresAtMs = (Math.floor(nowMs / 1000) + lifetimeDays * DAY_S) * 1000
  const token = await inTransaction(pool, async (connection) => {
    const owner = await lockMember(connection, memberId)
    requireWelcome(owner)
    const isBroker = owner.roles.includes('broker')
    if (members !== undefined && !isBroker) throw new RpcError('not_a_broker', 'Only a broker acts for others.')
    const [live] = await connection.query<Row[]>(
      'SELECT COUNT(*) AS count FROM program_tokens WHERE member_id = ? AND revoked_at_ms IS NULL AND expires_at_ms > ?',
      [memberId, nowMs],
    )
    if (Number(live[0]?.count) >= TOKENS_MAX)
      throw new RpcError('too_many_tokens', `A member has at most ${TOKENS_MAX} tokens.`)
    await connection.query(
      `INSERT INTO program_tokens (id, member_id, name, scopes, for_members, created_by, created_at_ms, expires_at_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      [tokenId, memberId, name, scopes.join(), members?.join() ?? null, actorId, nowMs, expiresAtMs],
    )
    return await signer.signLong(connection, {
      memberId,
      tokenId,
      roles: members === undefined ? ['member'] : ['member', 'broker'],
      scopes,
      ...(members === undefined ? {} : { members }),
      expiresAtMs,
    })
  })
  return { tokenId: String(tokenId), token, expiresAtMs }
}

export async function listTokens(parts: AuthParts, { actorId, memberId }: ListTokensRequest): Promise<TokensReply> {
  if (actorId !== memberId) await requireAdmin(parts, actorId)
  const [rows] = await parts.pool.query<Row[]>(
    'SELECT * FROM program_tokens WHERE member_id = ? AND revoked_at_ms IS NULL AND expires_at_ms > ? ORDER BY created_at_ms DESC, id DESC LIMIT ?',
    [memberId, Date.now(), TOKENS_MAX],
  )
  return { tokens: rows.map(tokenOfRow) }
}

/** Idempotent. What it refuses from now on, every gateway refuses at once. */
export async function revokeToken(
  parts: AuthParts,
  { actorId, memberId, tokenId }: RevokeTokenRequest,
): Promise<DoneReply> {
  const { pool, denials } = parts
  if (actorId !== memberId) await requireAdmin(parts, actorId)
  const key = deniedKey.token(tokenId)
  await inTransaction(pool, async (connection) => {
    const [rows] = await connection.query<Row[]>(
      'SELECT expires_at_ms FROM program_tokens WHERE id = ? AND member_id = ? FOR UPDATE',
      [tokenId, memberId],
    )
    if (rows[0] === undefined) throw new RpcError('token_unknown', 'There is no such token.')
    await connection.query('UPDATE program_tokens SET revoked_at_ms = COALESCE(revoked_at_ms, ?) WHERE id = ?', [
      Date.now(),
      tokenId,
    ])
    await denials.write(connection, [key], 'token_revoked', Number(rows[0].expires_at_ms) + 1000)
  })
  await denials.publish([key])
  return { done: true }
}

const tokenOfRow = (row: Row): TokenInfo => ({
  tokenId: String(row.id),
  name: String(row.name),
  scopes: String(row.scopes).split(',') as Scope[],
  ...(row.for_members === null ? {} : { members: String(row.for_members).split(',').map(Number) }),
  createdAtMs: Number(row.created_at_ms),
  expiresAtMs: Number(row.expires_at_ms),
})
