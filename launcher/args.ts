import { PreflightError } from './errors.ts'
import type { ServiceDefinition } from './services.ts'

const instancesMax = 64

export type Arguments = { help: boolean; cluster: boolean; scale: ReadonlyMap<string, number> }

/** Parses `--help`, `--cluster` and `--scale gateway=3 orders=2`; `--scale` may be said more than once. */
export function parseArguments(argv: readonly string[], services: readonly ServiceDefinition[]): Arguments {
  const scale = new Map<string, number>()
  let help = false
  let cluster = false
  let inScale = false
  for (const argument of argv) {
    const pair = /^(?:--scale=)?([a-z][a-z-]*)=([0-9]+)$/.exec(argument)
    if (argument === '--help' || argument === '-h') help = true
    else if (argument === '--cluster') cluster = true
    else if (argument === '--scale') inScale = true
    else if (pair !== null && (inScale || argument.startsWith('--scale='))) {
      const [, name = '', count = ''] = pair
      scale.set(name, checkedCount(services, name, Number(count)))
    } else throw new PreflightError(`Unknown argument "${argument}". See npm start -- --help`)
  }
  if (inScale && scale.size === 0)
    throw new PreflightError('--scale needs SERVICE=COUNT, like --scale gateway=3 orders=2')
  return { help, cluster, scale }
}

function checkedCount(services: readonly ServiceDefinition[], name: string, count: number): number {
  if (!services.some((one) => one.name === name)) {
    const known = services.map((one) => one.name).join(', ')
    throw new PreflightError(`--scale: there is no service "${name}"; there are ${known}`)
  }
  if (count < 1 || count > instancesMax) {
    throw new PreflightError(`--scale: ${name} can run 1 to ${instancesMax} times, not ${count}`)
  }
  return count
}

export function helpText(services: readonly ServiceDefinition[]): string {
  return `Starts the whole exchange: its servers, its services, and the public entry.

  npm start
  npm start -- --scale gateway=3 engine=2 orders=2
  npm start -- --cluster       three nats-servers, each with a copy: one may be lost without a loss

Services: ${services.map(({ name }) => name).join(', ')}.
Ctrl-C ends everything that it started. The data stays, and the next start goes on with it.

Settings come from the environment, or from a file .env (see .env.example):
  PUBLIC_HOST, PUBLIC_PORT             the public entry (127.0.0.1, 8182)
  TRAEFIK_DASHBOARD_PORT               Traefik's dashboard (8181)
  OPERATOR_HOST, OPERATOR_PORT         the operator's page (127.0.0.1, 3000)
  NATS_URL, MYSQL_URL, REDIS_URL       servers that run already; each one not named is started privately
  KAFKA_URL                            the same; or off: no orders from Kafka, and no event log
  RABBITMQ_URL                         the same; or off: no orders from RabbitMQ
  NATS_SYNC_INTERVAL                   how often NATS syncs to disk: always (the default), or like 2m
  EXCHANGE_DATA_DIR                    data, logs, downloaded servers (.exchange)
  EXCHANGE_MODE                        development (the default) or production
  EXCHANGE_ADMIN_EMAIL, EXCHANGE_ADMIN_PASSWORD
                                       the first admin; in development a password is made up and shown once
  ACCOUNT_SLOTS, MARKET_SLOTS          fixed from the first start on
  LOG_LEVEL                            info by default; logs are in .exchange/log
`
}
