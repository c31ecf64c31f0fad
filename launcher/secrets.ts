import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

export type KeptSecret = { value: string; isNew: boolean }

/** A secret that is made up once and then kept in a file that only its owner reads. */
export function keptSecret(path: string): KeptSecret {
  if (existsSync(path)) return { value: readFileSync(path, 'utf8').trim(), isNew: false }
  const value = randomBytes(18).toString('base64url')
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${value}\n`, { mode: 0o600 })
  return { value, isNew: true }
}
