import { randomBytes } from 'node:crypto'
import { ConfigError } from '#mesh/config.ts'
import { type Row, withNamedLock } from '#mesh/mysql.ts'
import { RpcError } from '#mesh/rpc.ts'
import { isPasswordLongEnough, normalEmail } from './domain/members.ts'
import { insertMember } from './members.ts'
import type { AuthParts } from './parts.ts'

/**
 * Makes the first admin where there is none. Without a password in the configuration one is made up and told once.
 * @throws ConfigError in production mode without a password, and for an e-mail or password that cannot be used.
 */
export async function ensureAdmin(parts: AuthParts, tell: (line: string) => void): Promise<void> {
  const { config, pool } = parts
  const email = normalEmail(config.adminEmail)
  if (email === undefined) throw new ConfigError(`EXCHANGE_ADMIN_EMAIL is no e-mail address: "${config.adminEmail}".`)
  await withNamedLock(pool, 'auth-admin:', async () => {
    const [rows] = await pool.query<Row[]>("SELECT id FROM members WHERE roles LIKE '%admin%' LIMIT 1")
    if (rows.length > 0) return
    if (config.adminPassword === undefined && config.mode === 'production') {
      throw new ConfigError(
        'EXCHANGE_ADMIN_PASSWORD must be set: there is no admin yet, and production mode makes up no password.',
      )
    }
    const password = config.adminPassword ?? randomBytes(12).toString('base64url')
    if (!isPasswordLongEnough(password)) throw new ConfigError('EXCHANGE_ADMIN_PASSWORD is too short.')
    const stored = await parts.hasher.hash(password)
    const { memberId } = await insertMember(parts, { email, roles: ['member', 'admin'], password: stored }).catch(
      (error) => {
        if (!(error instanceof RpcError && error.code === 'email_taken')) throw error
        throw new ConfigError(`EXCHANGE_ADMIN_EMAIL belongs to a member who is no admin: "${email}".`)
      },
    )
    parts.log.info({ memberId, email }, 'the first admin was made')
    if (config.adminPassword === undefined) tell(`The exchange's admin is ${email}, password ${password}`)
  })
}
