import Type from 'typebox'
import { CLOSED, Id, nullable, Time } from './common.ts'

// Whether it is an address is auth's to say (`email_invalid`), so there is no format here.
const Email = Type.String({ minLength: 3, maxLength: 254, examples: ['ann@example.com'] })
const NewPassword = Type.String({ minLength: 1, maxLength: 200, description: '8 to 200 characters.' })
const Password = Type.String({ minLength: 1, maxLength: 200 })
export const TokenId = Type.String({ pattern: '^[0-9]{1,16}$' })
const RoleName = Type.Enum(['member', 'broker', 'admin'])
const ScopeName = Type.Enum(['read', 'trade', 'account'])

export const NewMember = Type.Object({ email: Email, password: NewPassword }, CLOSED)
export const CreatedMember = Type.Object({
  id: Id,
  email: Email,
  ready: Type.Boolean({ description: 'false: the account follows by itself shortly.' }),
})

export const Me = Type.Object({
  id: Id,
  roles: Type.Array(RoleName),
  scopes: Type.Array(ScopeName),
  tokenExpiresAt: Time,
})
export const NewSession = Type.Object({ email: Email, password: Password }, CLOSED)
export const Session = Type.Object({
  memberId: Id,
  roles: Type.Array(RoleName),
  accessToken: Type.String(),
  expiresAt: Time,
  refreshToken: Type.String({ description: 'Good for one use.' }),
  refreshExpiresAt: Time,
})
export const Refresh = Type.Object({ refreshToken: Type.String({ minLength: 1, maxLength: 200 }) }, CLOSED)
export const EndSessionsQuery = Type.Object(
  {
    all: Type.Optional(Type.Enum(['true', 'false'], { description: 'All sessions of the member. Default: this one.' })),
  },
  CLOSED,
)
export const PasswordChange = Type.Object({ currentPassword: Password, newPassword: NewPassword }, CLOSED)
export const Closing = Type.Object({ password: Password }, CLOSED)
export const Done = Type.Object({ done: Type.Literal(true) })

export const Jwks = Type.Object({
  keys: Type.Array(
    Type.Object({
      kty: Type.Literal('EC'),
      crv: Type.Literal('P-256'),
      x: Type.String(),
      y: Type.String(),
      kid: Type.String(),
      alg: Type.Literal('ES256'),
      use: Type.Literal('sig'),
    }),
  ),
})

export const NewToken = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 64 }),
    scopes: Type.Array(Type.Enum(['read', 'trade']), { minItems: 1, maxItems: 2 }),
    members: Type.Optional(
      Type.Array(Id, {
        minItems: 1,
        maxItems: 100,
        description: 'Whom it may act for, with the header `X-Member-Id`; made by an admin for a broker.',
      }),
    ),
    memberId: Type.Optional(
      Type.String({ ...Id, description: 'Whose token it is; an admin may name another member.' }),
    ),
    lifetimeDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650, default: 90 })),
  },
  CLOSED,
)
export const CreatedToken = Type.Object({
  id: TokenId,
  token: Type.String({ description: 'Shown this once.' }),
  expiresAt: Time,
})
export const TokensQuery = Type.Object(
  { memberId: Type.Optional(Type.String({ ...Id, description: 'An admin may name another member.' })) },
  CLOSED,
)
export const Tokens = Type.Object({
  tokens: Type.Array(
    Type.Object({
      id: TokenId,
      name: Type.String(),
      scopes: Type.Array(ScopeName),
      members: nullable(Type.Array(Id)),
      createdAt: Time,
      expiresAt: Time,
    }),
  ),
})

// for admins

export const MembersQuery = Type.Object(
  {
    email: Type.Optional(Email),
    memberId: Type.Optional(Id),
    limit: Type.Optional(Type.String({ pattern: '^(?:[1-9][0-9]?|[1-4][0-9]{2}|500)$' })),
    cursor: Type.Optional(Id),
  },
  CLOSED,
)
export const Members = Type.Object({
  members: Type.Array(
    Type.Object({
      id: Id,
      email: Email,
      roles: Type.Array(RoleName),
      status: Type.Enum(['active', 'blocked', 'closed']),
      denied: Type.Boolean(),
      createdAt: Time,
    }),
  ),
  cursor: nullable(Id),
})
export const Block = Type.Object({ reason: Type.Optional(Type.String({ maxLength: 200 })) }, CLOSED)
export const Roles = Type.Object({ roles: Type.Array(RoleName, { maxItems: 3 }) }, CLOSED)
export const NewDenial = Type.Object(
  {
    memberId: Type.Optional(Id),
    email: Type.Optional(Email),
    reason: Type.Optional(Type.String({ maxLength: 200 })),
  },
  CLOSED,
)
export const DenialTarget = Type.Object({ memberId: Type.Optional(Id), email: Type.Optional(Email) }, CLOSED)
export const DenialsQuery = Type.Object(
  {
    limit: Type.Optional(Type.String({ pattern: '^(?:[1-9][0-9]?|[1-4][0-9]{2}|500)$' })),
    cursor: Type.Optional(Id),
  },
  CLOSED,
)
export const Denials = Type.Object({
  denials: Type.Array(
    Type.Object({
      id: Id,
      memberId: nullable(Id),
      email: nullable(Email),
      reason: Type.String(),
      createdBy: Id,
      createdAt: Time,
    }),
  ),
  cursor: nullable(Id),
})
export const RotatedKey = Type.Object({ keyId: Type.String(), usedFrom: Time })
