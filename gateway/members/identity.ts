import type { Claims, Role, Scope } from '#mesh/protocol/auth.ts'

/** Whom a token proves, with what the hot path asks worked out once. */
export interface Identity {
  readonly memberId: number
  readonly slot: number
  readonly roles: readonly Role[]
  readonly scopes: readonly Scope[]
  readonly mayRead: boolean
  readonly mayTrade: boolean
  readonly mayAccount: boolean
  readonly isAdmin: boolean
  /** Others whom it may act for. */
  readonly members: ReadonlySet<number> | undefined
  readonly sessionId: string | undefined
  readonly tokenId: string
  readonly expiresAtMs: number
}

export const NOBODY: Identity = {
  memberId: 0,
  slot: 0,
  roles: [],
  scopes: [],
  mayRead: false,
  mayTrade: false,
  mayAccount: false,
  isAdmin: false,
  members: undefined,
  sessionId: undefined,
  tokenId: '',
  expiresAtMs: 0,
}

export function identityOf(claims: Claims, slot: number): Identity {
  const { roles, scopes, members } = claims
  const mayAccount = scopes.includes('account')
  return {
    memberId: claims.memberId,
    slot,
    roles,
    scopes,
    mayRead: scopes.includes('read'),
    mayTrade: scopes.includes('trade'),
    mayAccount,
    isAdmin: mayAccount && roles.includes('admin'),
    members: members === undefined ? undefined : new Set(members),
    sessionId: claims.sessionId,
    tokenId: claims.tokenId,
    expiresAtMs: claims.expiresAtS * 1000,
  }
}
