export interface Members {
  readonly expiresAtMs: number
  readonly tokens: readonly string[]
}
export const projectDirectory: string
export const membersPath: string
/** Undefined where there are none whose tokens are good for a while. */
export function readMembers(): Members | undefined
export function writeMembers(members: Members): void
