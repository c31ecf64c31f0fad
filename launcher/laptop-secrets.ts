/** The password of compose's MariaDB and RabbitMQ where none is set. */
const passwordOnLaptops = 'laptop-only'

/** Why this environment must not start: production mode with secrets that anyone can read in the compose file. */
export function laptopSecrets(env: NodeJS.ProcessEnv): string | undefined {
  if (env.EXCHANGE_MODE !== 'production') return undefined
  for (const [url, setting] of [
    [env.MYSQL_URL, 'MYSQL_PASSWORD'],
    [env.RABBITMQ_URL, 'RABBITMQ_PASSWORD'],
  ]) {
    if (decodeURIComponent(URL.parse(url ?? '')?.password ?? '') === passwordOnLaptops) {
      return `${setting} must be set in production mode: the default is for laptops`
    }
  }
  if (!env.EXCHANGE_ADMIN_PASSWORD) return 'EXCHANGE_ADMIN_PASSWORD must be set in production mode'
  return undefined
}
