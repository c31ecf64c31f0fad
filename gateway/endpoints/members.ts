import { createHash } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import { formatTime } from '#mesh/edge/time.ts'
import type * as auth from '#mesh/protocol/auth.ts'
import { callRpcPatiently } from '#mesh/rpc.ts'
import { Rpc } from '#mesh/subjects.ts'
import { created, type Endpoint, endpoint, ok } from '../http/endpoint.ts'
import type { Identity } from '../members/identity.ts'
import * as schemas from '../schemas/members.ts'
import { idOf } from './parameters.ts'

/** Passwords are hashed there, and may wait for their turn. */
const AUTH_MS_MAX = 10_000

export const askAuth = <Result>(nats: NatsConnection, subject: string, request: object): Promise<Result> =>
  callRpcPatiently<Result>(nats, subject, request, AUTH_MS_MAX)

export const timeOfMs = (ms: number): string => formatTime(ms * 1000)

const AUTH_CODES = [
  'request_invalid',
  'auth_busy',
  'database_unavailable',
  'service_unavailable',
  'service_timeout',
] as const
const DONE = '{"done":true}'

export function memberEndpoints(nats: NatsConnection): Endpoint[] {
  return [
    endpoint({
      method: 'POST',
      path: '/members',
      access: 'public',
      kind: 'login',
      tag: 'Members',
      summary: 'Register',
      body: schemas.NewMember,
      answers: { 201: schemas.CreatedMember },
      codes: ['missing_field', 'email_invalid', 'email_taken', 'email_denied', 'password_too_short', ...AUTH_CODES],
      handle: async ({ body, address }) => {
        const { memberId, email, accountStored } = await askAuth<auth.RegisterReply>(nats, Rpc.authRegister, {
          ...body,
          clientHash: hashOf(address),
        })
        return created(JSON.stringify({ id: String(memberId), email, ready: accountStored }))
      },
    }),
    endpoint({
      method: 'GET',
      path: '/members/me',
      access: 'read',
      kind: 'read',
      tag: 'Members',
      summary: 'Whom the token proves',
      answers: { 200: schemas.Me },
      codes: [],
      handle: ({ identity }) => ok(meJson(identity)),
    }),
    endpoint({
      method: 'PUT',
      path: '/members/me/password',
      access: 'account',
      kind: 'login',
      tag: 'Members',
      summary: 'Change the password',
      description: 'Ends all sessions of the member.',
      body: schemas.PasswordChange,
      answers: { 200: schemas.Done },
      codes: ['credentials_invalid', 'login_rate_limited', 'password_too_short', 'member_unknown', ...AUTH_CODES],
      handle: async ({ body, identity, address }) => {
        await askAuth<auth.DoneReply>(nats, Rpc.authChangePassword, {
          ...body,
          memberId: identity.memberId,
          clientHash: hashOf(address),
        })
        return ok(DONE)
      },
    }),
    endpoint({
      method: 'POST',
      path: '/members/me/close',
      access: 'account',
      kind: 'login',
      tag: 'Members',
      summary: 'Close the membership, for good',
      body: schemas.Closing,
      answers: { 200: schemas.Done },
      codes: ['credentials_invalid', 'login_rate_limited', 'member_unknown', 'last_admin', ...AUTH_CODES],
      handle: async ({ body, identity, address }) => {
        await askAuth<auth.DoneReply>(nats, Rpc.authCloseMember, {
          ...body,
          memberId: identity.memberId,
          clientHash: hashOf(address),
        })
        return ok(DONE)
      },
    }),

    endpoint({
      method: 'GET',
      path: '/jwks',
      access: 'public',
      kind: 'public',
      tag: 'Sessions',
      summary: 'The public keys by which tokens are verified',
      answers: { 200: schemas.Jwks },
      codes: ['service_unavailable', 'service_timeout'],
      handle: async () => ok(JSON.stringify(await askAuth<auth.JwksReply>(nats, Rpc.authJwks, {}))),
    }),
    endpoint({
      method: 'POST',
      path: '/sessions',
      access: 'public',
      kind: 'login',
      tag: 'Sessions',
      summary: 'Log in',
      body: schemas.NewSession,
      answers: { 201: schemas.Session },
      codes: [
        'missing_field',
        'credentials_invalid',
        'login_rate_limited',
        'member_blocked',
        'member_closed',
        'member_denied',
        ...AUTH_CODES,
      ],
      handle: async ({ body, address }) =>
        created(sessionJson(await askAuth(nats, Rpc.authLogin, { ...body, clientHash: hashOf(address) }))),
    }),
    endpoint({
      method: 'POST',
      path: '/sessions/refresh',
      access: 'public',
      kind: 'login',
      tag: 'Sessions',
      summary: 'A new access token for a refresh token',
      description: 'A refresh token is good for one use; a second use ends its session.',
      body: schemas.Refresh,
      answers: { 200: schemas.Session },
      codes: [
        'missing_field',
        'refresh_invalid',
        'refresh_reused',
        'member_blocked',
        'member_closed',
        'member_denied',
        ...AUTH_CODES,
      ],
      handle: async ({ body }) => ok(sessionJson(await askAuth(nats, Rpc.authRefresh, body))),
    }),
    endpoint({
      method: 'DELETE',
      path: '/sessions',
      access: 'account',
      kind: 'read',
      tag: 'Sessions',
      summary: 'Log out',
      query: schemas.EndSessionsQuery,
      answers: { 200: schemas.Done },
      codes: AUTH_CODES,
      handle: async ({ query, identity }) => {
        const { memberId, sessionId } = identity
        const one = query.all === 'true' || sessionId === undefined ? {} : { sessionId }
        await askAuth<auth.DoneReply>(nats, Rpc.authLogout, { memberId, ...one })
        return ok(DONE)
      },
    }),

    endpoint({
      method: 'POST',
      path: '/tokens',
      access: 'account',
      kind: 'read',
      tag: 'Tokens',
      summary: 'A long-lived token for a program',
      body: schemas.NewToken,
      answers: { 201: schemas.CreatedToken },
      codes: [
        'missing_field',
        'forbidden',
        'too_many_tokens',
        'lifetime_too_long',
        'not_a_broker',
        'member_unknown',
        ...AUTH_CODES,
      ],
      handle: async ({ body, identity }) => {
        const { members, memberId, ...rest } = body
        const reply = await askAuth<auth.TokenReply>(nats, Rpc.authCreateToken, {
          ...rest,
          actorId: identity.memberId,
          memberId: memberId === undefined ? identity.memberId : idOf(memberId, 'memberId'),
          ...(members === undefined ? {} : { members: members.map((id) => idOf(id, 'members')) }),
        })
        const { tokenId, token, expiresAtMs } = reply
        return created(JSON.stringify({ id: tokenId, token, expiresAt: timeOfMs(expiresAtMs) }))
      },
    }),
    endpoint({
      method: 'GET',
      path: '/tokens',
      access: 'account',
      kind: 'read',
      tag: 'Tokens',
      summary: 'Tokens that are good, newest first',
      query: schemas.TokensQuery,
      answers: { 200: schemas.Tokens },
      codes: ['forbidden', ...AUTH_CODES],
      handle: async ({ query, identity }) => {
        const memberId = query.memberId === undefined ? identity.memberId : idOf(query.memberId, 'memberId')
        const { tokens } = await askAuth<auth.TokensReply>(nats, Rpc.authListTokens, {
          actorId: identity.memberId,
          memberId,
        })
        return ok(
          JSON.stringify({
            tokens: tokens.map(({ tokenId, name, scopes, members, createdAtMs, expiresAtMs }) => ({
              id: tokenId,
              name,
              scopes,
              members: members?.map(String) ?? null,
              createdAt: timeOfMs(createdAtMs),
              expiresAt: timeOfMs(expiresAtMs),
            })),
          }),
        )
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/tokens/{tokenId}',
      access: 'account',
      kind: 'read',
      tag: 'Tokens',
      summary: 'Revoke a token; it is refused everywhere at once',
      query: schemas.TokensQuery,
      answers: { 200: schemas.Done },
      codes: ['forbidden', 'token_unknown', ...AUTH_CODES],
      handle: async ({ params, query, identity }) => {
        const memberId = query.memberId === undefined ? identity.memberId : idOf(query.memberId, 'memberId')
        const tokenId = params.tokenId ?? ''
        await askAuth<auth.DoneReply>(nats, Rpc.authRevokeToken, { actorId: identity.memberId, memberId, tokenId })
        return ok(DONE)
      },
    }),
  ]
}

/** Auth limits attempts by the address without having to know it. */
const hashOf = (address: string): string => createHash('sha256').update(address).digest('base64url').slice(0, 22)

function meJson({ memberId, roles, scopes, expiresAtMs }: Identity): string {
  return JSON.stringify({ id: String(memberId), roles, scopes, tokenExpiresAt: timeOfMs(expiresAtMs) })
}

function sessionJson(session: auth.SessionReply): string {
  return JSON.stringify({
    memberId: String(session.memberId),
    roles: session.roles,
    accessToken: session.accessToken,
    expiresAt: timeOfMs(session.expiresAtMs),
    refreshToken: session.refreshToken,
    refreshExpiresAt: timeOfMs(session.refreshExpiresAtMs),
  })
}
