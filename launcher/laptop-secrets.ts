/** The password of compose's MariaDB where none is set. */
const mysqlPasswordOnLaptops = 'laptop-only'

/** Why this environment must not start: production mode with secrets that anyone can read in the compose file. */
export function laptopSecrets(env: NodeJS.ProcessEnv): string | undefined {
  if (env.EXCHANGE_MODE !== 'production') return undefined
  if (decodeURIComponent(URL.parse(env.MYSQL_URL ?? '')?.password ?? '') === mysqlPasswordOnLaptops) {
    return 'MYSQL_PASSWORD must be set in production mode: the default is for laptops'
  }
  if (!env.EXCHANGE_ADMIN_PASSWORD) return 'EXCHANGE_ADMIN_PASSWORD must be set in production mode'
  return undefined
}
