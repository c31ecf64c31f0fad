import { createPublicKey, type KeyObject } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import jwt from 'jsonwebtoken'
import type { Logger } from 'pino'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { type BucketView, followBucket } from './buckets.ts'
import { type Claims, type Denial, deniedKey, type TokenCode } from './protocol/auth.ts'
import { Bucket } from './subjects.ts'

export const TOKEN_ISSUER_DEFAULT = 'exchange'
export const TOKEN_AUDIENCE_DEFAULT = 'exchange-api'

/** Longest token that is looked at, in characters: a broker's for 100 members has about 3000. */
export const TOKEN_CHARS_MAX = 8192

/** Of a signature: 192 bits. */
const KEY_CHARS = 32

export interface TokenVerifier {
  /**
   * What the token says, or why it is refused. A token that was seen before costs a look-up, so that it can be asked for
   * every request; a revocation counts from the moment it is in the bucket.
   */
  verify(token: string | undefined): Claims | { readonly code: TokenCode }
  /** Why a member may not be acted for by anybody now, if so: for a broker's `members`. */
  denialOf(memberId: number): Denial['code'] | undefined
  /** Keys and revocations are loaded and at most 5 s old. Without it every token is refused with `auth_not_ready`. */
  isReady(): boolean
  /** Resolves when both are loaded for the first time. */
  loaded(): Promise<void>
  readonly keys: BucketView
  readonly denied: BucketView
  close(): void
}

export interface TokenVerifierParts {
  readonly nats: NatsConnection
  readonly log: Logger
  /** `TOKEN_ISSUER`, `TOKEN_AUDIENCE` */
  readonly issuer?: string
  readonly audience?: string
  readonly replicas?: number
  /** Tokens that are remembered, at most. Default 100 000 (about 100 MB). */
  readonly cachedMax?: number
}

interface Verified {
  readonly token: string
  readonly claims: Claims
  readonly expiresAtMs: number
  /** The state of the deny bucket in which it was found good. */
  checkedAt: number
}

/** What a token of ours has to say; anything else is `token_invalid`. */
const Payload = Compile(
  Type.Object({
    sub: Type.String({ pattern: '^[1-9][0-9]{0,15}$' }),
    jti: Type.String({ pattern: '^[0-9]{1,16}$' }),
    iat: Type.Integer(),
    exp: Type.Integer(),
    roles: Type.Array(Type.Union([Type.Literal('member'), Type.Literal('broker'), Type.Literal('admin')])),
    scopes: Type.Array(Type.Union([Type.Literal('read'), Type.Literal('trade'), Type.Literal('account')])),
    sid: Type.Optional(Type.String()),
    members: Type.Optional(Type.Array(Type.Integer())),
  }),
)

export function createTokenVerifier(parts: TokenVerifierParts): TokenVerifier {
  const { nats, log, replicas = 1, cachedMax = 100_000 } = parts
  const issuer = parts.issuer ?? TOKEN_ISSUER_DEFAULT
  const audience = parts.audience ?? TOKEN_AUDIENCE_DEFAULT
  const publicKeys = new Map<string, KeyObject>()
  const denials = new Map<string, Denial['code']>()
  /** Counts the changes of `denials`. */
  let denialsVersion = 0
  // Two generations make a cache of bounded size without an order to keep: what is asked for moves to the young one.
  // The key is a token's end, a part of its signature: hashing all of it at every request takes five times as long.
  let young = new Map<string, Verified>()
  let old = new Map<string, Verified>()

  const keys = followBucket({
    nats,
    bucket: Bucket.keys,
    replicas,
    log,
    changed(keyId, value) {
      publicKeys.delete(keyId)
      young.clear()
      old.clear()
      if (value === undefined) return
      try {
        publicKeys.set(keyId, createPublicKey({ key: JSON.parse(value), format: 'jwk' }))
      } catch (err) {
        log.error({ err, keyId }, 'a public key cannot be read')
      }
    },
  })
  const denied = followBucket({
    nats,
    bucket: Bucket.denied,
    replicas,
    log,
    changed(key, value) {
      denialsVersion += 1
      if (value === undefined) denials.delete(key)
      else denials.set(key, denialCode(value))
    },
  })
  const isReady = (): boolean => keys.isCurrent() && denied.isCurrent()

  const remember = (key: string, verified: Verified): void => {
    if (young.size >= cachedMax / 2) {
      old = young
      young = new Map()
    }
    young.set(key, verified)
  }
  const recall = (key: string): Verified | undefined => {
    const found = young.get(key)
    if (found !== undefined) return found
    const older = old.get(key)
    if (older !== undefined) remember(key, older)
    return older
  }
  const denialOfClaims = ({ tokenId, sessionId, memberId }: Claims): Denial['code'] | undefined =>
    denials.get(deniedKey.member(memberId)) ??
    denials.get(deniedKey.token(tokenId)) ??
    (sessionId === undefined ? undefined : denials.get(deniedKey.session(sessionId)))

  const verifyAnew = (token: string): Verified | { readonly code: TokenCode } => {
    if (token.length > TOKEN_CHARS_MAX) return { code: 'token_malformed' }
    const decoded = decode(token)
    if (decoded === null) return { code: 'token_malformed' }
    const key = publicKeys.get(String(decoded.header.kid))
    if (key === undefined) return { code: 'token_invalid' }
    let payload: unknown
    try {
      payload = jwt.verify(token, key, { algorithms: ['ES256'], issuer, audience })
    } catch (error) {
      return { code: error instanceof jwt.TokenExpiredError ? 'token_expired' : 'token_invalid' }
    }
    if (!Payload.Check(payload) || !Number.isSafeInteger(Number(payload.sub))) return { code: 'token_invalid' }
    const claims: Claims = {
      memberId: Number(payload.sub),
      roles: payload.roles,
      scopes: payload.scopes,
      tokenId: payload.jti,
      ...(payload.sid === undefined ? {} : { sessionId: payload.sid }),
      ...(payload.members === undefined ? {} : { members: payload.members }),
      issuedAtS: payload.iat,
      expiresAtS: payload.exp,
    }
    return { token, claims, expiresAtMs: payload.exp * 1000, checkedAt: -1 }
  }

  return {
    verify(token) {
      if (token === undefined || token === '') return { code: 'token_missing' }
      if (!isReady()) return { code: 'auth_not_ready' }
      const key = token.slice(-KEY_CHARS)
      let verified = recall(key)
      if (verified === undefined || verified.token !== token) {
        const fresh = verifyAnew(token)
        if ('code' in fresh) return fresh
        remember(key, fresh)
        verified = fresh
      }
      if (verified.expiresAtMs <= Date.now()) return { code: 'token_expired' }
      if (verified.checkedAt !== denialsVersion) {
        const code = denialOfClaims(verified.claims)
        if (code !== undefined) return { code }
        verified.checkedAt = denialsVersion
      }
      return verified.claims
    },
    denialOf: (memberId) => denials.get(deniedKey.member(memberId)),
    isReady,
    async loaded() {
      await Promise.all([keys.loaded(), denied.loaded()])
    },
    keys,
    denied,
    close() {
      keys.close()
      denied.close()
    },
  }
}

function decode(token: string): jwt.Jwt | null {
  try {
    return jwt.decode(token, { complete: true })
  } catch {
    return null
  }
}

/** What cannot be read denies as well. */
function denialCode(text: string): Denial['code'] {
  try {
    return (JSON.parse(text) as Denial).code
  } catch {
    return 'token_revoked'
  }
}
