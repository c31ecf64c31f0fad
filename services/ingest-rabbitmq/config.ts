import { ConfigError, slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import type { MeshShape } from '#mesh/streams.ts'

export interface RabbitmqConfig {
  readonly url: string
  /** Messages of each queue that are under way at once. */
  readonly prefetch: number
  readonly shape: MeshShape
  readonly token: { readonly issuer?: string; readonly audience?: string }
}

/**
 * | variable | default | |
 * |---|---|---|
 * | `RABBITMQ_URL` | amqp://guest:guest@127.0.0.1:5672 | with `amqps:` over TLS |
 * | `RABBITMQ_PREFETCH` | 250 | messages of each queue under way at once, 1..10000 |
 *
 * @throws ConfigError
 */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): RabbitmqConfig {
  const url = env.RABBITMQ_URL || 'amqp://guest:guest@127.0.0.1:5672'
  if (!/^amqps?:$/.test(URL.parse(url)?.protocol ?? '')) {
    throw new ConfigError('RABBITMQ_URL must look like amqp://user:password@host:5672/vhost.')
  }
  return {
    url,
    prefetch: wholeNumber('RABBITMQ_PREFETCH', env.RABBITMQ_PREFETCH ?? '250', 1, 10_000),
    shape: slotsFromEnv(env),
    token: {
      ...(env.TOKEN_ISSUER === undefined ? {} : { issuer: env.TOKEN_ISSUER }),
      ...(env.TOKEN_AUDIENCE === undefined ? {} : { audience: env.TOKEN_AUDIENCE }),
    },
  }
}
