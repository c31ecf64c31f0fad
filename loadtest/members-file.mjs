// Where `npm run seed` leaves the members for artillery. Plain JavaScript: artillery may run on an older Node.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const projectDirectory = resolve(dirname(fileURLToPath(import.meta.url)), '..')

export const membersPath =
  process.env.LOADTEST_MEMBERS || join(projectDirectory, '.exchange', 'loadtest', 'members.json')

/** Tokens that expire sooner are no longer used. */
const LEFT_MS_MIN = 5 * 60 * 1000

/**
 * @typedef {{ expiresAtMs: number, tokens: string[] }} Members
 * @returns {Members | undefined} undefined where there are none whose tokens are good for a while.
 */
export function readMembers() {
  if (!existsSync(membersPath)) return undefined
  const members = JSON.parse(readFileSync(membersPath, 'utf8'))
  return members.expiresAtMs - Date.now() < LEFT_MS_MIN ? undefined : members
}

/** @param {Members} members */
export function writeMembers(members) {
  mkdirSync(dirname(membersPath), { recursive: true })
  // Tokens are as good as passwords for as long as they last.
  writeFileSync(`${membersPath}.new`, JSON.stringify(members), { mode: 0o600 })
  renameSync(`${membersPath}.new`, membersPath)
}
