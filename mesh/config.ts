/** A setting that cannot be used. Its message says which and what would do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'config_invalid'
}

/** @throws ConfigError unless the text is a whole number in [min, max]. */
export function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < min || value > max) {
    throw new ConfigError(`${name} must be a whole number from ${min} to ${max}, not "${text}".`)
  }
  return value
}

type Env = Readonly<Record<string, string | undefined>>

export const ACCOUNT_SLOTS_DEFAULT = 4
export const MARKET_SLOTS_DEFAULT = 4

interface ShapeSettings {
  readonly accountSlots: number
  readonly marketSlots: number
  readonly replicas: number
}

/**
 * `ACCOUNT_SLOTS` and `MARKET_SLOTS`: fixed from the first start of a mesh (the streams remember them). 1..256.
 * `NATS_REPLICAS`: copies of each stream and bucket, 1..5; more than one needs a cluster. Default 1.
 */
export function slotsFromEnv(env: Env): ShapeSettings {
  return {
    accountSlots: wholeNumber('ACCOUNT_SLOTS', env.ACCOUNT_SLOTS ?? String(ACCOUNT_SLOTS_DEFAULT), 1, 256),
    marketSlots: wholeNumber('MARKET_SLOTS', env.MARKET_SLOTS ?? String(MARKET_SLOTS_DEFAULT), 1, 256),
    replicas: replicasFromEnv(env),
  }
}

export function replicasFromEnv(env: Env): number {
  return wholeNumber('NATS_REPLICAS', env.NATS_REPLICAS || '1', 1, 5)
}
