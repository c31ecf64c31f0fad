import { ConfigError, slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'
import { type FeeTier, parseFeeTiers } from './domain/fee-tiers.ts'

export interface StatsConfig {
  readonly mysqlUrl: string
  readonly accountSlots: number
  readonly marketSlots: number
  readonly replicas: number
  readonly secondsKeptHours: number
  readonly tiers: readonly FeeTier[]
  readonly tiersAsset: string
}

/**
 * `MYSQL_URL` (default `mysql://root@127.0.0.1:3306/exchange`) and the number of slots of the mesh.
 * `STATS_SECONDS_KEPT_HOURS` (default 24): candles of one second that are older are removed; all others are kept.
 * `FEE_TIERS` (default none): `<volume of thirty days>:<per cent off the fees>`, several with commas, growing; the volume is that of
 * markets priced in `FEE_TIERS_ASSET` (default USDT).
 */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): StatsConfig {
  const mysqlUrl = env.MYSQL_URL ?? 'mysql://root@127.0.0.1:3306/exchange'
  parseMysqlUrl(mysqlUrl)
  const hours = wholeNumber('STATS_SECONDS_KEPT_HOURS', env.STATS_SECONDS_KEPT_HOURS || '24', 1, 1_000_000)
  const tiers = parseFeeTiers(env.FEE_TIERS ?? '')
  if (tiers === undefined) {
    throw new ConfigError('FEE_TIERS must be <volume>:<per cent>, growing, with commas between: 100000:5,1000000:10.')
  }
  return {
    mysqlUrl,
    ...slotsFromEnv(env),
    secondsKeptHours: hours,
    tiers,
    tiersAsset: env.FEE_TIERS_ASSET || 'USDT',
  }
}
