import Type, { type Static } from 'typebox'

/**
 * What `auth` answers on `Rpc.auth*`. Requests are schemas (type and validator in one); the service refuses what does not fit
 * with `request_invalid` and the field's name in `details.field`. Times are milliseconds since 1970. Ids are numbers here.
 *
 * Who asks: the gateway verifies the access token and passes `actorId`, the member whom it proves. What an admin alone
 * may do, `auth` grants only if the actor is an active admin in MySQL at that moment (`forbidden`), whatever his token says.
 *
 * Codes that any of them may answer: `request_invalid`, `auth_busy` (too much to hash: try again), `internal_error`;
 * those of its own stand at each.
 */

const Closed = { additionalProperties: false } as const
const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

export const Role = { member: 'member', broker: 'broker', admin: 'admin' } as const
export type Role = (typeof Role)[keyof typeof Role]
const RoleSchema = Type.Union([Type.Literal('member'), Type.Literal('broker'), Type.Literal('admin')])

/**
 * `read` and `trade` can be given to programs. `account` comes with a login alone: password, tokens, closing, logout, and
 * everything that an admin does.
 */
export const Scope = { read: 'read', trade: 'trade', account: 'account' } as const
export type Scope = (typeof Scope)[keyof typeof Scope]

/** What a verified token says. */
export interface Claims {
  readonly memberId: number
  /** Always has `member`. */
  readonly roles: readonly Role[]
  readonly scopes: readonly Scope[]
  /** `jti` */
  readonly tokenId: string
  /** `sid`: the login that it came from; absent from tokens of programs. */
  readonly sessionId?: string
  /** `members`: whom a broker's token may act for (besides the broker himself). */
  readonly members?: readonly number[]
  readonly issuedAtS: number
  readonly expiresAtS: number
}

/** Why a token is refused. 401, except `member_*`: 403; `auth_not_ready`: 503. */
export type TokenCode =
  | 'token_missing'
  | 'token_malformed' // not a JWT at all
  | 'token_expired'
  | 'token_invalid' // forged, `alg: none` or any other, unknown key, another issuer or audience, claims that are not ours
  | 'token_revoked' // logged out, its session ended, or revoked by name
  | 'member_blocked'
  | 'member_closed'
  | 'member_denied' // on the deny list
  | 'auth_not_ready' // keys or revocations are not loaded, or out of touch for 5 s

// register

/** Lower-cased and trimmed by the service; plain ASCII addresses. */
const Email = Type.String({ minLength: 3, maxLength: 254 })
/** What one types: 8 to 200 characters for a new one (`password_too_short`), anything at login. */
const Password = Type.String({ minLength: 1, maxLength: 200 })
/** A hash of the client's address, so that a flood of attempts from one place is limited. */
const ClientHash = Type.Optional(Type.String({ minLength: 1, maxLength: 64 }))

/** Codes: `email_invalid`, `password_too_short`, `email_taken`, `email_denied`. */
export const RegisterRequest = Type.Object({ email: Email, password: Password, clientHash: ClientHash }, Closed)
export type RegisterRequest = Static<typeof RegisterRequest>
export interface RegisterReply {
  readonly memberId: number
  readonly email: string
  /** The account's creation is stored in its log. False: the log gave no answer, it follows by itself shortly. */
  readonly accountStored: boolean
}

// sessions

/**
 * Codes: `credentials_invalid` (wrong password or no such member: no telling which), `login_rate_limited`
 * (`details.retryAfterS`); with the right password only: `member_blocked`, `member_closed`, `member_denied`.
 */
export const LoginRequest = Type.Object({ email: Email, password: Password, clientHash: ClientHash }, Closed)
export type LoginRequest = Static<typeof LoginRequest>
export interface SessionReply {
  readonly memberId: number
  readonly roles: readonly Role[]
  readonly accessToken: string
  readonly expiresAtMs: number
  /** Good for one use: the answer brings the next one. A second use ends the session, for whoever has it. */
  readonly refreshToken: string
  readonly refreshExpiresAtMs: number
}

/** Codes: `refresh_invalid` (unknown, expired, or its session ended), `refresh_reused` (theft: the session ends), `member_*`. */
export const RefreshRequest = Type.Object({ refreshToken: Type.String({ minLength: 1, maxLength: 200 }) }, Closed)
export type RefreshRequest = Static<typeof RefreshRequest>

/** Ends one session, or all of the member's where none is named. Idempotent; effective at once everywhere. */
export const LogoutRequest = Type.Object(
  { memberId: Id, sessionId: Type.Optional(Type.String({ pattern: '^[0-9]{1,16}$' })) },
  Closed,
)
export type LogoutRequest = Static<typeof LogoutRequest>
export interface DoneReply {
  readonly done: true
}

// the member's own affairs

/** Ends all sessions of the member. Codes: `credentials_invalid`, `login_rate_limited`, `password_too_short`, `member_unknown`. */
export const ChangePasswordRequest = Type.Object(
  { memberId: Id, currentPassword: Password, newPassword: Password, clientHash: ClientHash },
  Closed,
)
export type ChangePasswordRequest = Static<typeof ChangePasswordRequest>

/** For good: sessions and tokens end, the e-mail stays taken. Codes: `credentials_invalid`, `login_rate_limited`, `member_unknown`,
 * `last_admin`. */
export const CloseMemberRequest = Type.Object({ memberId: Id, password: Password, clientHash: ClientHash }, Closed)
export type CloseMemberRequest = Static<typeof CloseMemberRequest>

// tokens for programs

/**
 * A member makes them for himself. A token that acts for others (`members`) is made by an admin for a member with the
 * role `broker` (`not_a_broker`). Codes also: `forbidden`, `too_many_tokens`, `lifetime_too_long`, `member_*`.
 */
export const CreateTokenRequest = Type.Object(
  {
    actorId: Id,
    memberId: Id,
    name: Type.String({ minLength: 1, maxLength: 64 }),
    scopes: Type.Array(Type.Union([Type.Literal('read'), Type.Literal('trade')]), {
      minItems: 1,
      maxItems: 2,
      uniqueItems: true,
    }),
    members: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: 100, uniqueItems: true })),
    /** Default 90; at most PROGRAM_TOKEN_DAYS_MAX. */
    lifetimeDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650 })),
  },
  Closed,
)
export type CreateTokenRequest = Static<typeof CreateTokenRequest>
export interface TokenReply {
  readonly tokenId: string
  /** Shown this once. */
  readonly token: string
  readonly expiresAtMs: number
}

/** Codes: `forbidden` (another member's, without being an admin). */
export const ListTokensRequest = Type.Object({ actorId: Id, memberId: Id }, Closed)
export type ListTokensRequest = Static<typeof ListTokensRequest>
export interface TokenInfo {
  readonly tokenId: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly members?: readonly number[]
  readonly createdAtMs: number
  readonly expiresAtMs: number
}
/** Those that are good, newest first. */
export interface TokensReply {
  readonly tokens: readonly TokenInfo[]
}

/** Codes: `forbidden`, `token_unknown`. */
export const RevokeTokenRequest = Type.Object(
  { actorId: Id, memberId: Id, tokenId: Type.String({ pattern: '^[0-9]{1,16}$' }) },
  Closed,
)
export type RevokeTokenRequest = Static<typeof RevokeTokenRequest>

// for admins; all of them may answer `forbidden`, those with a memberId `member_unknown`

export const ListMembersRequest = Type.Object(
  {
    actorId: Id,
    limit: Type.Integer({ minimum: 1, maximum: 500 }),
    /** The last id of the page before. */
    afterMemberId: Type.Optional(Id),
    email: Type.Optional(Email),
    memberId: Type.Optional(Id),
  },
  Closed,
)
export type ListMembersRequest = Static<typeof ListMembersRequest>
export type MemberStatus = 'active' | 'blocked' | 'closed'
export interface MemberInfo {
  readonly memberId: number
  readonly email: string
  readonly roles: readonly Role[]
  readonly status: MemberStatus
  /** On the deny list, by id or e-mail. */
  readonly denied: boolean
  readonly createdAtMs: number
}
/** By id. */
export interface MembersReply {
  readonly members: readonly MemberInfo[]
}

/**
 * Blocked: no login, no token is good, and the member's account refuses commands (`SetAccountStatus` in its log).
 * Idempotent; answers when both are stored. Codes: `member_closed`; `last_admin` (an admin blocks himself).
 */
export const BlockMemberRequest = Type.Object(
  { actorId: Id, memberId: Id, reason: Type.Optional(Type.String({ maxLength: 200 })) },
  Closed,
)
export type BlockMemberRequest = Static<typeof BlockMemberRequest>

/** Ends the member's sessions, and a broker's tokens with the role. Codes: `own_roles` (nobody changes his own). */
export const SetRolesRequest = Type.Object(
  { actorId: Id, memberId: Id, roles: Type.Array(RoleSchema, { maxItems: 3, uniqueItems: true }) },
  Closed,
)
export type SetRolesRequest = Static<typeof SetRolesRequest>

/**
 * Who may not come in: a member by id, or whoever has an e-mail (registered or not). Tokens are refused at once
 * (`member_denied`); what the account has in the market stays. Codes: `email_invalid`, `own_denial`.
 */
export const DenyListRequest = Type.Union([
  Type.Object(
    { actorId: Id, action: Type.Literal('add'), memberId: Id, reason: Type.Optional(Type.String({ maxLength: 200 })) },
    Closed,
  ),
  Type.Object(
    { actorId: Id, action: Type.Literal('add'), email: Email, reason: Type.Optional(Type.String({ maxLength: 200 })) },
    Closed,
  ),
  Type.Object({ actorId: Id, action: Type.Literal('remove'), memberId: Id }, Closed),
  Type.Object({ actorId: Id, action: Type.Literal('remove'), email: Email }, Closed),
  Type.Object(
    {
      actorId: Id,
      action: Type.Literal('list'),
      limit: Type.Integer({ minimum: 1, maximum: 500 }),
      /** The last `entryId` of the page before. */
      beforeEntryId: Type.Optional(Id),
    },
    Closed,
  ),
])
export type DenyListRequest = Static<typeof DenyListRequest>
export interface DenyListEntry {
  readonly entryId: number
  readonly memberId?: number
  readonly email?: string
  readonly reason: string
  readonly createdBy: number
  readonly createdAtMs: number
}
/** For `list`, newest first; empty for the other actions. */
export interface DenyListReply {
  readonly entries: readonly DenyListEntry[]
}

/** A new signing key, published now, used after KEY_LEAD_S. The old ones stay until their tokens have expired. */
export const RotateKeyRequest = Type.Object({ actorId: Id }, Closed)
export type RotateKeyRequest = Static<typeof RotateKeyRequest>
export interface RotateKeyReply {
  readonly keyId: string
  readonly usedFromMs: number
}

// for other services

/** Codes: those of `TokenCode`. */
export const VerifyRequest = Type.Object({ token: Type.String({ maxLength: 8192 }) }, Closed)
export type VerifyRequest = Static<typeof VerifyRequest>
export interface VerifyReply {
  readonly claims: Claims
}

/** A JSON Web Key Set: the public keys by which tokens of this mesh are verified, now or soon. */
export interface JwksReply {
  readonly keys: readonly PublicKey[]
}
/** What `Bucket.keys` holds as well, under `kid`. */
export interface PublicKey {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly kid: string
  readonly alg: 'ES256'
  readonly use: 'sig'
}

/**
 * For load tests: members with accounts and an access token each, in seconds. `seedMembers` of mesh/seeding.ts asks for many
 * in several requests. Refused in production mode (`seed_refused`).
 */
export const SeedRequest = Type.Object(
  {
    count: Type.Integer({ minimum: 1, maximum: 5000 }),
    /** Of the access tokens. Default 3600. */
    lifetimeS: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
  },
  Closed,
)
export type SeedRequest = Static<typeof SeedRequest>
export interface SeedReply {
  /** All of them have this one. Their e-mails are `seed-<memberId>@seed.invalid`. */
  readonly password: string
  readonly members: readonly (readonly [memberId: number, accessToken: string])[]
}

// the bucket `denied`

/**
 * What `Bucket.denied` holds under each key, as JSON. MySQL is its source; auth puts back what the bucket lost and takes
 * out what is over, which is when every token that it could refuse has expired.
 *
 * | key | refuses |
 * |---|---|
 * | `jti.<tokenId>` | one token |
 * | `family.<sessionId>` | the access tokens of one login |
 * | `member.<memberId>` | every token of the member, and a broker's for him |
 */
export interface Denial {
  readonly code: 'token_revoked' | 'member_blocked' | 'member_closed' | 'member_denied'
  readonly untilMs: number
}
export const deniedKey = {
  token: (tokenId: string): string => `jti.${tokenId}`,
  session: (sessionId: string): string => `family.${sessionId}`,
  member: (memberId: number): string => `member.${memberId}`,
} as const
