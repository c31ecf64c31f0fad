import { slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'

export interface StatsConfig {
  readonly mysqlUrl: string
  readonly accountSlots: number
  readonly marketSlots: number
  readonly replicas: number
  readonly secondsKeptHours: number
}

/**
 * `MYSQL_URL` (default `mysql://root@127.0.0.1:3306/exchange`) and the number of slots of the mesh.
 * `STATS_SECONDS_KEPT_HOURS` (default 24): candles of one second that are older are removed; all others are kept.
 */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): StatsConfig {
  const mysqlUrl = env.MYSQL_URL ?? 'mysql://root@127.0.0.1:3306/exchange'
  parseMysqlUrl(mysqlUrl)
  const hours = wholeNumber('STATS_SECONDS_KEPT_HOURS', env.STATS_SECONDS_KEPT_HOURS || '24', 1, 1_000_000)
  return { mysqlUrl, ...slotsFromEnv(env), secondsKeptHours: hours }
}
