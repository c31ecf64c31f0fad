import { wholeNumber } from '#mesh/config.ts'

export interface GuidConfig {
  /** `NATS_REPLICAS`: of the bucket, when it is made. Default 1. */
  readonly replicas: number
}

/** @throws ConfigError */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): GuidConfig {
  return { replicas: wholeNumber('NATS_REPLICAS', env.NATS_REPLICAS ?? '1', 1, 5) }
}
