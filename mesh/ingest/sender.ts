import type { TokenVerifier } from '#mesh/tokens.ts'
import type { DeadCode, SourceMessage } from './source.ts'

const BEARER = 'Bearer '
const MEMBER_ID = /^[1-9][0-9]{0,15}$/

/**
 * The member whom a message is for: the token's own, or one whom a broker's token lists. `not_ready`: keys or revocations are not
 * known at the moment, which says nothing about the message.
 */
export function memberOf(
  { authorization, onBehalfOf }: SourceMessage,
  verifier: TokenVerifier,
): { readonly memberId: number } | { readonly code: DeadCode; readonly field?: string } | 'not_ready' {
  if (authorization === undefined || !authorization.startsWith(BEARER)) return { code: 'token_missing' }
  const claims = verifier.verify(authorization.slice(BEARER.length))
  if ('code' in claims) return claims.code === 'auth_not_ready' ? 'not_ready' : { code: claims.code }
  if (!claims.scopes.includes('trade')) return { code: 'scope_missing' }
  if (onBehalfOf === undefined) return { memberId: claims.memberId }
  const memberId = MEMBER_ID.test(onBehalfOf) ? Number(onBehalfOf) : 0
  if (memberId === claims.memberId) return { memberId }
  if (!claims.members?.includes(memberId)) return { code: 'member_not_listed', field: 'x-member-id' }
  const denial = verifier.denialOf(memberId)
  return denial === undefined ? { memberId } : { code: denial, field: 'x-member-id' }
}
