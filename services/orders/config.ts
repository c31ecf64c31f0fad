import { slotsFromEnv } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'

export interface OrdersConfig {
  readonly mysqlUrl: string
  readonly accountSlots: number
}

/** `MYSQL_URL` (default `mysql://root@127.0.0.1:3306/exchange`) and the number of slots of the mesh. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): OrdersConfig {
  const mysqlUrl = env.MYSQL_URL ?? 'mysql://root@127.0.0.1:3306/exchange'
  parseMysqlUrl(mysqlUrl)
  return { mysqlUrl, accountSlots: slotsFromEnv(env).accountSlots }
}
