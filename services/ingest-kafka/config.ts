import { slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'
import type { MeshShape } from '#mesh/streams.ts'

export interface IngestKafkaConfig {
  readonly kafkaUrl: string
  readonly mysqlUrl: string
  readonly shape: MeshShape
  readonly token: { readonly issuer?: string; readonly audience?: string }
  /** Of the topic of commands when this service makes it: as many instances can share it. */
  readonly partitions: number
}

export function readConfig(env: Readonly<Record<string, string | undefined>>): IngestKafkaConfig {
  const mysqlUrl = env.MYSQL_URL ?? 'mysql://root@127.0.0.1:3306/exchange'
  parseMysqlUrl(mysqlUrl)
  return {
    kafkaUrl: env.KAFKA_URL ?? 'kafka://127.0.0.1:9092',
    mysqlUrl,
    shape: slotsFromEnv(env),
    token: {
      ...(env.TOKEN_ISSUER === undefined ? {} : { issuer: env.TOKEN_ISSUER }),
      ...(env.TOKEN_AUDIENCE === undefined ? {} : { audience: env.TOKEN_AUDIENCE }),
    },
    partitions: wholeNumber('KAFKA_COMMAND_PARTITIONS', env.KAFKA_COMMAND_PARTITIONS ?? '8', 1, 1_000),
  }
}
