import { ConfigError, replicasFromEnv, wholeNumber } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'

export interface SecondSiteConfig {
  /** The bus of the second site. */
  readonly natsUrl: string
  /** The JetStream domain of the first site, which the second one reaches as a leaf node. */
  readonly firstDomain: string
  readonly replicas: number
  /** The database of the second site; without it the streams alone are seen to. */
  readonly mysqlUrl: string | undefined
  /** How long the replica holds back what it has received, in seconds. */
  readonly replicaDelayS: number
}

/**
 * | variable | default | |
 * |---|---|---|
 * | `SECOND_NATS_URL` | | the bus of the second site |
 * | `FIRST_DOMAIN` | first | the first site's JetStream domain |
 * | `SECOND_MYSQL_URL` | none | the database of the second site |
 * | `NATS_REPLICAS` | 1 | copies of each mirror |
 * | `REPLICA_DELAY_S` | 60 | how long the replica holds back what it has received |
 * @throws ConfigError
 */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): SecondSiteConfig {
  const natsUrl = env.SECOND_NATS_URL ?? ''
  if (!/^(nats|tls):\/\//.test(natsUrl)) throw new ConfigError('SECOND_NATS_URL must name the bus of the second site.')
  const firstDomain = env.FIRST_DOMAIN || 'first'
  if (!/^[A-Za-z0-9_-]+$/.test(firstDomain)) throw new ConfigError(`FIRST_DOMAIN must be a word, not "${firstDomain}".`)
  const mysqlUrl = env.SECOND_MYSQL_URL || undefined
  if (mysqlUrl !== undefined) parseMysqlUrl(mysqlUrl)
  const replicaDelayS = wholeNumber('REPLICA_DELAY_S', env.REPLICA_DELAY_S || '60', 0, 86_400)
  return { natsUrl, firstDomain, replicas: replicasFromEnv(env), mysqlUrl, replicaDelayS }
}
