import { createHash, randomBytes } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import type { LogoutRequest, RefreshRequest, SessionReply } from '#mesh/protocol/auth.ts'
import { callRpcPatiently, RpcError } from '#mesh/rpc.ts'
import { Rpc } from '#mesh/subjects.ts'
import type { TokenVerifier } from '#mesh/tokens.ts'

/** An admin who has logged in here. The tokens stay in this process: a browser has a random name for them, and no more. */
export interface Admin {
  readonly memberId: number
  readonly email: string
}

export interface Sessions {
  /** Returns what the browser keeps. @throws RpcError with auth's code, or `admins_only` */
  begin(credentials: { email: string; password: string }, address: string): Promise<string>
  /**
   * Whose it is; undefined where it is nobody's, or nobody's any more.
   * @throws RpcError where that cannot be told now: `auth_not_ready`, `service_unavailable`, `service_timeout`
   */
  admin(key: string): Promise<Admin | undefined>
  end(key: string): Promise<void>
  stop(): Promise<void>
}

interface Session extends Admin {
  readonly beganAtMs: number
  tokens: SessionReply
  /** One at a time: a refresh token that is used twice ends its session. */
  refreshing?: Promise<void> | undefined
}

/** Passwords are hashed there, and may wait for their turn. */
const AUTH_MS_MAX = 10_000
const SESSION_MS_MAX = 12 * 3_600_000
const SESSIONS_MAX = 100
/** Tokens that are good for less time are replaced. */
const FRESH_MS_MIN = 5_000
const SWEEP_MS = 60_000

export function createSessions(nats: NatsConnection, verifier: TokenVerifier, log: Logger): Sessions {
  const sessions = new Map<string, Session>()
  const ask = <Reply>(subject: string, request: object): Promise<Reply> =>
    callRpcPatiently<Reply>(nats, subject, request, AUTH_MS_MAX)

  /** A session that is left open at auth would live on for weeks. */
  const logout = async ({ memberId, accessToken }: SessionReply): Promise<void> => {
    const request: LogoutRequest = { memberId, sessionId: sessionIdOf(accessToken) }
    await ask(Rpc.authLogout, request).catch((err) => log.warn({ err }, 'a session was not ended at auth'))
  }
  const drop = async (key: string): Promise<void> => {
    const session = sessions.get(key)
    sessions.delete(key)
    if (session !== undefined) await logout(session.tokens)
  }
  const refresh = async (key: string, session: Session): Promise<void> => {
    const request: RefreshRequest = { refreshToken: session.tokens.refreshToken }
    try {
      session.tokens = await ask<SessionReply>(Rpc.authRefresh, request)
    } catch (error) {
      const isRefused = error instanceof RpcError && /^(refresh|member)_/.test(error.code)
      if (!isRefused) throw error
      sessions.delete(key)
    }
  }
  const sweep = setInterval(() => {
    const oldestMs = Date.now() - SESSION_MS_MAX
    for (const [key, { beganAtMs }] of sessions) if (beganAtMs < oldestMs) void drop(key)
  }, SWEEP_MS)
  sweep.unref()

  return {
    begin: async (credentials, address) => {
      const tokens = await ask<SessionReply>(Rpc.authLogin, { ...credentials, clientHash: hashOf(address) })
      const { memberId, roles } = tokens
      if (!roles.includes('admin')) {
        await logout(tokens)
        throw new RpcError('admins_only', 'This account is not an admin.')
      }
      if (sessions.size >= SESSIONS_MAX) await drop(sessions.keys().next().value ?? '')
      const key = randomBytes(32).toString('base64url')
      sessions.set(key, { memberId, email: credentials.email, beganAtMs: Date.now(), tokens })
      log.info({ memberId }, 'an admin has logged in')
      return key
    },
    admin: async (key) => {
      const session = sessions.get(key)
      if (session === undefined) return undefined
      if (Date.now() - session.beganAtMs > SESSION_MS_MAX) {
        await drop(key)
        return undefined
      }
      if (session.tokens.expiresAtMs - Date.now() < FRESH_MS_MIN) {
        session.refreshing ??= refresh(key, session).finally(() => {
          session.refreshing = undefined
        })
        await session.refreshing
        if (!sessions.has(key)) return undefined
      }
      // Every time: a revocation, a block and a role that was taken count at once.
      const claims = verifier.verify(session.tokens.accessToken)
      if ('code' in claims && claims.code === 'auth_not_ready')
        throw new RpcError(
          claims.code,
          'NATS cannot be reached: without it nothing is known, and nobody is recognised.',
        )
      if ('code' in claims || !claims.roles.includes('admin')) {
        sessions.delete(key)
        return undefined
      }
      return { memberId: session.memberId, email: session.email }
    },
    end: drop,
    stop: async () => {
      clearInterval(sweep)
      await Promise.all([...sessions.keys()].map(drop))
    },
  }
}

/** Auth's own name for the login, which the token that it signed has in it. */
function sessionIdOf(token: string): string {
  const [, payload = ''] = token.split('.')
  return String(JSON.parse(Buffer.from(payload, 'base64url').toString()).sid)
}

const hashOf = (address: string): string => createHash('sha256').update(address).digest('base64url').slice(0, 22)
