import { isIP } from 'node:net'
import { ConfigError, slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { parseMysqlUrl } from '#mesh/mysql.ts'
import type { MeshShape } from '#mesh/streams.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Another page of those who look after the exchange. */
export interface Link {
  readonly name: string
  readonly url: string
  /** Where this process asks whether it is there. */
  readonly probeUrl: string
}

export interface OperatorPageConfig {
  readonly host: string
  readonly port: number
  /** As browsers see it, where a proxy with TLS is in front. */
  readonly origin: string | undefined
  readonly links: readonly Link[]
  readonly shape: Required<MeshShape>
  readonly natsMonitorUrls: readonly string[]
  readonly mysqlUrl: string | undefined
  readonly redisUrl: string | undefined
  readonly rabbitmqUrl: string | undefined
  readonly token: { readonly issuer?: string; readonly audience?: string }
}

/**
 * | variable | default | |
 * |---|---|---|
 * | `OPERATOR_HOST`, `OPERATOR_PORT` | 127.0.0.1, 3000 | where it listens |
 * | `OPERATOR_ORIGIN` | none | `https://…` as browsers see it, behind a proxy with TLS |
 * | `OPERATOR_LINKS` | none | `Name=url` with commas; `Name=url\|url` where this process sees it at another address |
 * | `NATS_MONITOR_URL` | none | monitoring addresses of the nats-servers, with commas |
 * | `MYSQL_URL`, `REDIS_URL`, `RABBITMQ_URL` | none | servers whose health is shown |
 *
 * @throws ConfigError
 */
export function envToConfig(env: Env): OperatorPageConfig {
  const { MYSQL_URL: mysqlUrl, REDIS_URL: redisUrl, RABBITMQ_URL: rabbitmqUrl } = env
  if (mysqlUrl) parseMysqlUrl(mysqlUrl)
  return {
    host: hostOf(env.OPERATOR_HOST || '127.0.0.1'),
    port: wholeNumber('OPERATOR_PORT', env.OPERATOR_PORT || '3000', 0, 65_535),
    origin: env.OPERATOR_ORIGIN ? webUrl('OPERATOR_ORIGIN', env.OPERATOR_ORIGIN).origin : undefined,
    links: listOf(env.OPERATOR_LINKS).map(linkOf),
    shape: slotsFromEnv(env),
    natsMonitorUrls: listOf(env.NATS_MONITOR_URL),
    mysqlUrl: mysqlUrl || undefined,
    redisUrl: redisUrl || undefined,
    rabbitmqUrl: rabbitmqUrl && rabbitmqUrl !== 'off' ? rabbitmqUrl : undefined,
    token: {
      ...(env.TOKEN_ISSUER ? { issuer: env.TOKEN_ISSUER } : {}),
      ...(env.TOKEN_AUDIENCE ? { audience: env.TOKEN_AUDIENCE } : {}),
    },
  }
}

const listOf = (text: string | undefined): string[] => (text ?? '').split(',').flatMap((one) => one.trim() || [])

function hostOf(host: string): string {
  if (host === 'localhost' || isIP(host) !== 0) return host
  throw new ConfigError(`OPERATOR_HOST must be an IP address, not "${host}".`)
}

function linkOf(text: string): Link {
  const [, name = '', url = '', probe = url] = /^([^=|]+)=([^|]+)(?:\|(.+))?$/.exec(text) ?? []
  if (name === '') throw new ConfigError(`OPERATOR_LINKS must be like Grafana=http://localhost:3001, not "${text}".`)
  return {
    name: name.trim(),
    url: webUrl('OPERATOR_LINKS', url.trim()).href,
    probeUrl: webUrl('OPERATOR_LINKS', probe.trim()).href,
  }
}

function webUrl(name: string, text: string): URL {
  const url = URL.parse(text)
  if (url !== null && /^https?:$/.test(url.protocol)) return url
  throw new ConfigError(`${name} must have addresses with http:// or https://, not "${text}".`)
}
