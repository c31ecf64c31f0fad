import { slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { PreflightError } from './errors.ts'
import { binDirectory, dataDirectory } from './servers/directories.ts'

export type LauncherConfig = {
  mode: 'development' | 'production'
  dataDirectory: string
  binDirectory: string
  /** Servers that run already. */
  natsUrl: string | undefined
  mysqlUrl: string | undefined
  redisUrl: string | undefined
  /** `off`: none, and none is started. */
  kafkaUrl: string | undefined
  rabbitmqUrl: string | undefined
  natsSyncInterval: string
  publicHost: string
  publicPort: number
  dashboardPort: number
  operatorHost: string
  operatorPort: number
  adminEmail: string
  adminPassword: string | undefined
  /** What every service gets besides its own settings. */
  env: NodeJS.ProcessEnv
}

type Env = NodeJS.ProcessEnv

/** @throws PreflightError or ConfigError, with one line that names the setting. */
export function envToConfig(env: Env): LauncherConfig {
  slotsFromEnv(env)
  const mode = env.EXCHANGE_MODE || 'development'
  if (mode !== 'development' && mode !== 'production') {
    throw new PreflightError(`EXCHANGE_MODE is development or production, not "${mode}"`)
  }
  if (mode === 'production' && !env.EXCHANGE_ADMIN_PASSWORD) {
    throw new PreflightError('EXCHANGE_ADMIN_PASSWORD must be set in production mode; no password is made up there')
  }
  return {
    mode,
    dataDirectory: dataDirectory(env),
    binDirectory: binDirectory(env),
    natsUrl: env.NATS_URL || undefined,
    mysqlUrl: env.MYSQL_URL || undefined,
    redisUrl: env.REDIS_URL || undefined,
    kafkaUrl: env.KAFKA_URL || undefined,
    rabbitmqUrl: env.RABBITMQ_URL || undefined,
    natsSyncInterval: syncInterval(env.NATS_SYNC_INTERVAL || 'always'),
    publicHost: env.PUBLIC_HOST || '127.0.0.1',
    publicPort: wholeNumber('PUBLIC_PORT', env.PUBLIC_PORT || '8182', 1, 65_535),
    dashboardPort: wholeNumber('TRAEFIK_DASHBOARD_PORT', env.TRAEFIK_DASHBOARD_PORT || '8181', 1, 65_535),
    operatorHost: env.OPERATOR_HOST || '127.0.0.1',
    operatorPort: wholeNumber('OPERATOR_PORT', env.OPERATOR_PORT || '3000', 1, 65_535),
    adminEmail: env.EXCHANGE_ADMIN_EMAIL || 'admin@example.com',
    adminPassword: env.EXCHANGE_ADMIN_PASSWORD || undefined,
    env,
  }
}

function syncInterval(text: string): string {
  if (/^(always|[1-9][0-9]*(ms|s|m|h))$/.test(text)) return text
  throw new PreflightError(`NATS_SYNC_INTERVAL is "always" or a time like 2m, not "${text}"`)
}
