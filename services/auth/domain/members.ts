import type { Denial, MemberStatus, Role } from '#mesh/protocol/auth.ts'

/** As it is stored and compared, or undefined if it is none. Plain ASCII, lower case. */
export function normalEmail(text: string): string | undefined {
  const email = text.trim().toLowerCase()
  if (email.length > 254) return undefined
  return EMAIL.test(email) && !email.includes('..') && !email.startsWith('.') ? email : undefined
}
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
const EMAIL = new RegExp(`^[a-z0-9!#$%&'*+/=?^_\`{|}~.-]{1,64}(?<!\\.)@${LABEL}(\\.${LABEL})+$`)

/** Characters of a new password, at least. */
export const PASSWORD_CHARS_MIN = 8
export const isPasswordLongEnough = (password: string): boolean => [...password].length >= PASSWORD_CHARS_MIN

const ROLES: readonly Role[] = ['member', 'broker', 'admin']

/** `member` always, each once, in one order. */
export const rolesToText = (roles: readonly Role[]): string =>
  ROLES.filter((role) => role === 'member' || roles.includes(role)).join()
export const textToRoles = (text: string): Role[] => ROLES.filter((role) => text.split(',').includes(role))

/** Why a member does not come in, the weightiest reason first; undefined if he does. */
export function denialCodeOf(status: MemberStatus, isOnDenyList: boolean): Denial['code'] | undefined {
  if (status === 'closed') return 'member_closed'
  if (status === 'blocked') return 'member_blocked'
  if (isOnDenyList) return 'member_denied'
  return undefined
}
