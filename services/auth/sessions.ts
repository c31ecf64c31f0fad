import { createHash, randomBytes } from 'node:crypto'
import { inTransaction, type PoolConnection, type Row } from '#mesh/mysql.ts'
import {
  type DoneReply,
  deniedKey,
  type LoginRequest,
  type LogoutRequest,
  type MemberInfo,
  type RefreshRequest,
  type SessionReply,
} from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import { attemptLimits } from './domain/attempts.ts'
import { normalEmail } from './domain/members.ts'
import { insertCredentials, lockMember, requireWelcome } from './members.ts'
import type { AuthParts } from './parts.ts'
import { credentialsInvalid, passwordOfRow, requireStill, SELECT_PASSWORD } from './passwords.ts'

/** Open sessions of one member, at most: the oldest ends when one more begins. */
const SESSIONS_MAX = 50

/** No way to tell a wrong password from an unknown e-mail, in words or in time: both are hashed, both are counted. */
export async function login(parts: AuthParts, request: LoginRequest): Promise<SessionReply> {
  const { pool, hasher, attempts, denials } = parts
  const email = normalEmail(request.email) ?? request.email
  const limits = attemptLimits(email, request.clientHash)
  await attempts.count(limits)
  const [rows] = await pool.query<Row[]>(`${SELECT_PASSWORD} WHERE m.email = ?`, [asciiOnly(email)])
  const row = rows[0]
  const stored = row && passwordOfRow(row)
  const isRight = await hasher.matches(request.password, stored)
  if (!isRight || row === undefined || stored === undefined) throw credentialsInvalid()
  await attempts.takeBack(limits)

  const memberId = Number(row.id)
  const rehashed = hasher.isOutdated(stored) ? await hasher.hash(request.password) : undefined
  const sessionId = await parts.ids.next()
  const { member, refreshToken, refreshExpiresAtMs, ended } = await inTransaction(pool, async (connection) => {
    const found = await lockMember(connection, memberId)
    await requireStill(connection, memberId, stored)
    requireWelcome(found)
    if (rehashed !== undefined) await insertCredentials(connection, [memberId], rehashed, Date.now())
    const keys = await endSessions(parts, connection, memberId, SESSIONS_MAX - 1)
    const nowMs = Date.now()
    const expiresAtMs = nowMs + parts.config.refreshTokenS * 1000
    await connection.query(
      'INSERT INTO sessions (id, member_id, created_at_ms, refreshed_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?)',
      [sessionId, memberId, nowMs, nowMs, expiresAtMs],
    )
    const token = await insertRefreshToken(connection, sessionId, expiresAtMs)
    return { member: found, refreshToken: token, refreshExpiresAtMs: expiresAtMs, ended: keys }
  })
  await denials.publish(ended)
  return { ...(await accessToken(parts, member, sessionId)), refreshToken, refreshExpiresAtMs }
}

/** A used token that comes again was copied by somebody, owner or thief: the session ends for both. */
export async function refresh(parts: AuthParts, request: RefreshRequest): Promise<SessionReply> {
  const { pool, denials } = parts
  const tokenHash = hashOf(request.refreshToken)
  const outcome = await inTransaction(pool, async (connection) => {
    const [rows] = await connection.query<Row[]>(
      `SELECT s.id, s.member_id, s.expires_at_ms, s.ended_at_ms, t.used_at_ms
       FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.token_hash = ? FOR UPDATE`,
      [tokenHash],
    )
    const row = rows[0]
    const nowMs = Date.now()
    if (row === undefined || row.ended_at_ms !== null || Number(row.expires_at_ms) <= nowMs) {
      throw new RpcError('refresh_invalid', 'This session has ended.')
    }
    const sessionId = Number(row.id)
    if (row.used_at_ms !== null) {
      await connection.query('UPDATE sessions SET ended_at_ms = ? WHERE id = ?', [nowMs, sessionId])
      return { stolen: await denySessions(parts, connection, [sessionId]) }
    }
    const member = await lockMember(connection, Number(row.member_id))
    requireWelcome(member)
    await connection.query('UPDATE refresh_tokens SET used_at_ms = ? WHERE token_hash = ?', [nowMs, tokenHash])
    await connection.query('UPDATE sessions SET refreshed_at_ms = ? WHERE id = ?', [nowMs, sessionId])
    const refreshExpiresAtMs = Number(row.expires_at_ms)
    const refreshToken = await insertRefreshToken(connection, sessionId, refreshExpiresAtMs)
    return { member, sessionId, refreshToken, refreshExpiresAtMs }
  })
  if ('stolen' in outcome) {
    await denials.publish(outcome.stolen)
    parts.log.warn({ denied: outcome.stolen }, 'a refresh token was used twice: its session has ended')
    throw new RpcError('refresh_reused', 'This refresh token was used before: its session has ended.')
  }
  const { member, sessionId, refreshToken, refreshExpiresAtMs } = outcome
  return { ...(await accessToken(parts, member, sessionId)), refreshToken, refreshExpiresAtMs }
}

export async function logout(parts: AuthParts, { memberId, sessionId }: LogoutRequest): Promise<DoneReply> {
  const { pool, denials } = parts
  const keys = await inTransaction(pool, async (connection) => {
    if (sessionId === undefined) return await endSessions(parts, connection, memberId)
    const [result] = await connection.query(
      'UPDATE sessions SET ended_at_ms = ? WHERE id = ? AND member_id = ? AND ended_at_ms IS NULL',
      [Date.now(), sessionId, memberId],
    )
    const hasEnded = 'affectedRows' in result && result.affectedRows === 1
    return hasEnded ? await denySessions(parts, connection, [Number(sessionId)]) : [deniedKey.session(sessionId)]
  })
  await denials.publish(keys)
  return { done: true }
}

/** Within the caller's transaction. Keeps the newest. @returns the keys to publish after the commit. */
export async function endSessions(
  parts: AuthParts,
  connection: PoolConnection,
  memberId: number,
  keepCount = 0,
): Promise<string[]> {
  const nowMs = Date.now()
  const [rows] = await connection.query<Row[]>(
    `SELECT id, refreshed_at_ms FROM sessions
     WHERE member_id = ? AND ended_at_ms IS NULL AND expires_at_ms > ? ORDER BY created_at_ms DESC, id DESC LIMIT 1000 OFFSET ? FOR UPDATE`,
    [memberId, nowMs, keepCount],
  )
  if (rows.length === 0) return []
  await connection.query('UPDATE sessions SET ended_at_ms = ? WHERE id IN (?)', [
    nowMs,
    rows.map((row) => Number(row.id)),
  ])
  // Of a session that was refreshed long ago no access token is good any more.
  const sinceMs = nowMs - parts.config.accessTokenS * 1000 - CLOCKS_MS
  const live = rows.filter((row) => Number(row.refreshed_at_ms) > sinceMs)
  return await denySessions(
    parts,
    connection,
    live.map((row) => Number(row.id)),
  )
}

/** What clocks of several instances may differ, in milliseconds. */
const CLOCKS_MS = 60_000

async function denySessions(
  parts: AuthParts,
  connection: PoolConnection,
  sessionIds: readonly number[],
): Promise<string[]> {
  const keys = sessionIds.map((sessionId) => deniedKey.session(String(sessionId)))
  const untilMs = Date.now() + parts.config.accessTokenS * 1000 + CLOCKS_MS
  await parts.denials.write(connection, keys, 'token_revoked', untilMs)
  return keys
}

async function accessToken(
  { config, ids, signer }: AuthParts,
  { memberId, roles }: MemberInfo,
  sessionId: number,
): Promise<Pick<SessionReply, 'memberId' | 'roles' | 'accessToken' | 'expiresAtMs'>> {
  const tokenId = await ids.next()
  const expiresAtMs = (Math.floor(Date.now() / 1000) + config.accessTokenS) * 1000
  const token = signer.sign({ memberId, tokenId, roles, scopes: ['read', 'trade', 'account'], sessionId, expiresAtMs })
  return { memberId, roles, accessToken: token, expiresAtMs }
}

async function insertRefreshToken(connection: PoolConnection, sessionId: number, expiresAtMs: number): Promise<string> {
  const token = randomBytes(32).toString('base64url')
  await connection.query('INSERT INTO refresh_tokens (token_hash, session_id, expires_at_ms) VALUES (?, ?, ?)', [
    hashOf(token),
    sessionId,
    expiresAtMs,
  ])
  return token
}

/** Random bytes need no salt and no slow hash. */
const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest()

/** The column is ASCII; what is not matches nobody. */
const asciiOnly = (text: string): string => (/^[\x20-\x7e]*$/.test(text) ? text : '')
