import { replicasFromEnv } from '#mesh/config.ts'

export interface GuidConfig {
  /** `NATS_REPLICAS`: of the bucket, when it is made. Default 1. */
  readonly replicas: number
}

/** @throws ConfigError */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): GuidConfig {
  return { replicas: replicasFromEnv(env) }
}
