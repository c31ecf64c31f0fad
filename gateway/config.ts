import { isIP } from 'node:net'
import { ConfigError, slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import type { MeshShape } from '#mesh/streams.ts'
import type { DiskRules } from './mesh/disks.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface Bucket {
  readonly perSecond: number
  readonly burst: number
}

export interface GatewayConfig {
  readonly host: string
  readonly port: number
  readonly shape: Required<MeshShape>
  /** None: rate limits hold per instance, and public reads are cached per instance. */
  readonly redisUrl: string | undefined
  readonly limits: {
    /** Orders, cancels and amendments of one member. */
    readonly trade: Bucket
    /** Reads of one member. */
    readonly read: Bucket
    /** Requests without a token from one address. */
    readonly address: Bucket
    /** Registrations, logins and refreshes from one address. */
    readonly login: Bucket
  }
  readonly admission: {
    /** Requests in hand over all gateways. */
    readonly inFlightMax: number
    /** New orders and amendments per second over all gateways. */
    readonly ordersPerSecondMax: number
  }
  readonly disks: DiskRules
  readonly stream: {
    /** WebSockets of this gateway, and of one address. */
    readonly connectionsMax: number
    readonly connectionsPerAddressMax: number
    /** Channels of one WebSocket, and its messages to the gateway. */
    readonly channelsMax: number
    readonly messages: Bucket
    readonly heartbeatSeconds: number
  }
  /** How long the engine's result of a command is waited for, in milliseconds. */
  readonly resultMsMax: number
}

/**
 * | variable | default | |
 * |---|---|---|
 * | `GATEWAY_PORT`, `GATEWAY_HOST` | 8182, 127.0.0.1 | where it listens |
 * | `REDIS_URL` | none | shares rate limits and caches between gateways |
 * | `RATE_TRADE`, `RATE_READ` | 200:500, 100:300 | per member, `<per second>:<burst>` |
 * | `RATE_ADDRESS`, `RATE_LOGIN` | 100:300, 20:100 | per address |
 * | `IN_FLIGHT_MAX` | 8192 | requests in hand, divided by the live gateways |
 * | `ORDERS_PER_SECOND_MAX` | 100000 | admitted, divided by the live gateways |
 * | `DISK_FOLDERS`, `NATS_MONITOR_URL` | none | where room is looked at: folders, monitoring addresses; with commas |
 * | `DISK_FREE_MB_MIN` | 512 | with less room no new orders are taken |
 * | `STREAM_CONNECTIONS_MAX`, `STREAM_CONNECTIONS_PER_ADDRESS` | 20000, 1000 | WebSockets of this gateway, and of one address |
 * | `STREAM_CHANNELS_MAX`, `STREAM_MESSAGES` | 500, 300:600 | of one WebSocket |
 * | `STREAM_HEARTBEAT_S` | 15 | between two pings; three that are missed end a connection |
 * | `RESULT_MS_MAX` | 5000 | patience with the engine |
 */
export function envToConfig(env: Env): GatewayConfig {
  return {
    host: hostOf(env.GATEWAY_HOST ?? '127.0.0.1'),
    port: wholeNumber('GATEWAY_PORT', env.GATEWAY_PORT ?? '8182', 0, 65_535),
    shape: slotsFromEnv(env),
    redisUrl: env.REDIS_URL === undefined || env.REDIS_URL === '' ? undefined : redisUrlOf(env.REDIS_URL),
    limits: {
      trade: bucketOf('RATE_TRADE', env.RATE_TRADE ?? '200:500'),
      read: bucketOf('RATE_READ', env.RATE_READ ?? '100:300'),
      address: bucketOf('RATE_ADDRESS', env.RATE_ADDRESS ?? '100:300'),
      login: bucketOf('RATE_LOGIN', env.RATE_LOGIN ?? '20:100'),
    },
    admission: {
      inFlightMax: wholeNumber('IN_FLIGHT_MAX', env.IN_FLIGHT_MAX ?? '8192', 1, 1_000_000),
      ordersPerSecondMax: wholeNumber('ORDERS_PER_SECOND_MAX', env.ORDERS_PER_SECOND_MAX ?? '100000', 1, 10_000_000),
    },
    disks: {
      folders: listOf(env.DISK_FOLDERS),
      natsMonitorUrls: listOf(env.NATS_MONITOR_URL),
      freeBytesMin: wholeNumber('DISK_FREE_MB_MIN', env.DISK_FREE_MB_MIN || '512', 0, 1_000_000_000) * 1024 ** 2,
    },
    stream: {
      connectionsMax: wholeNumber('STREAM_CONNECTIONS_MAX', env.STREAM_CONNECTIONS_MAX ?? '20000', 1, 1_000_000),
      connectionsPerAddressMax: wholeNumber(
        'STREAM_CONNECTIONS_PER_ADDRESS',
        env.STREAM_CONNECTIONS_PER_ADDRESS ?? '1000',
        1,
        1_000_000,
      ),
      channelsMax: wholeNumber('STREAM_CHANNELS_MAX', env.STREAM_CHANNELS_MAX ?? '500', 1, 100_000),
      messages: bucketOf('STREAM_MESSAGES', env.STREAM_MESSAGES ?? '300:600'),
      heartbeatSeconds: wholeNumber('STREAM_HEARTBEAT_S', env.STREAM_HEARTBEAT_S ?? '15', 1, 3_600),
    },
    resultMsMax: wholeNumber('RESULT_MS_MAX', env.RESULT_MS_MAX ?? '5000', 100, 60_000),
  }
}

const listOf = (text: string | undefined): string[] => (text ?? '').split(',').filter((one) => one !== '')

function bucketOf(name: string, text: string): Bucket {
  const match = /^([0-9]+):([0-9]+)$/.exec(text)
  if (match === null) throw new ConfigError(`${name} must be <per second>:<burst>, such as 100:200, not "${text}".`)
  return {
    perSecond: wholeNumber(name, match[1] ?? '', 1, 1_000_000),
    burst: wholeNumber(name, match[2] ?? '', 1, 1_000_000),
  }
}

function hostOf(host: string): string {
  if (host !== 'localhost' && isIP(host) === 0)
    throw new ConfigError(`GATEWAY_HOST must be an IP address, not "${host}".`)
  return host
}

function redisUrlOf(url: string): string {
  if (!/^rediss?:\/\//.test(url))
    throw new ConfigError(`REDIS_URL must begin with redis:// or rediss://, not "${url}".`)
  return url
}
