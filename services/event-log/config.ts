import { slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'

export interface EventLogConfig {
  readonly kafkaUrl: string
  readonly mysqlUrl: string
  readonly accountSlots: number
  readonly marketSlots: number
  /** How long Kafka keeps events, in hours; it counts when a topic is made. */
  readonly retentionHours: number
}

export function readConfig(env: Readonly<Record<string, string | undefined>>): EventLogConfig {
  const mysqlUrl = env.MYSQL_URL ?? 'mysql://root@127.0.0.1:3306/exchange'
  parseMysqlUrl(mysqlUrl)
  return {
    kafkaUrl: env.KAFKA_URL ?? 'kafka://127.0.0.1:9092',
    mysqlUrl,
    ...slotsFromEnv(env),
    retentionHours: wholeNumber('EVENT_LOG_HOURS', env.EVENT_LOG_HOURS ?? '168', 1, 1_000_000),
  }
}
