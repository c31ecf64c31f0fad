import { ConfigError, slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'
import { TOKEN_AUDIENCE_DEFAULT, TOKEN_ISSUER_DEFAULT } from '#mesh/tokens.ts'
import type { PasswordCost } from './hashing.ts'

export interface AuthConfig {
  readonly mysqlUrl: string
  readonly accountSlots: number
  readonly marketSlots: number
  readonly replicas: number
  /** Production refuses to make up a password and to seed. */
  readonly mode: 'development' | 'production'
  readonly issuer: string
  readonly audience: string
  readonly accessTokenS: number
  readonly refreshTokenS: number
  readonly programTokenDaysMax: number
  readonly keyDays: number
  readonly keyLeadS: number
  readonly passwordCost: PasswordCost
  readonly hashesAtOnce: number
  readonly adminEmail: string
  readonly adminPassword: string | undefined
}

/** @throws ConfigError */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): AuthConfig {
  const whole = (name: string, preset: number, min: number, max: number): number =>
    wholeNumber(name, env[name] || String(preset), min, max)
  const mysqlUrl = env.MYSQL_URL ?? ''
  parseMysqlUrl(mysqlUrl)
  return {
    mysqlUrl,
    ...slotsFromEnv(env),
    mode: modeFromEnv(env.EXCHANGE_MODE || 'development'),
    issuer: env.TOKEN_ISSUER || TOKEN_ISSUER_DEFAULT,
    audience: env.TOKEN_AUDIENCE || TOKEN_AUDIENCE_DEFAULT,
    accessTokenS: whole('ACCESS_TOKEN_S', 900, 1, 86_400),
    refreshTokenS: whole('REFRESH_TOKEN_S', 30 * 86_400, 1, 366 * 86_400),
    programTokenDaysMax: whole('PROGRAM_TOKEN_DAYS_MAX', 365, 1, 3650),
    keyDays: whole('KEY_DAYS', 30, 1, 3650),
    keyLeadS: whole('KEY_LEAD_S', 30, 1, 86_400),
    passwordCost: { costLog2: whole('PASSWORD_COST_LOG2', 15, 10, 20), blockSize: 8, parallel: 3 },
    hashesAtOnce: whole('PASSWORD_HASHES_AT_ONCE', 2, 1, 64),
    adminEmail: env.EXCHANGE_ADMIN_EMAIL || 'admin@example.com',
    adminPassword: env.EXCHANGE_ADMIN_PASSWORD || undefined,
  }
}

function modeFromEnv(mode: string): AuthConfig['mode'] {
  if (mode === 'development' || mode === 'production') return mode
  throw new ConfigError(`EXCHANGE_MODE must be development or production, not "${mode}".`)
}
