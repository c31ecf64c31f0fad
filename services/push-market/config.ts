import { slotsFromEnv, wholeNumber } from '#mesh/config.ts'

export interface PushMarketConfig {
  readonly accountSlots: number
  readonly marketSlots: number
  readonly replicas: number
  readonly saveMs: number
}

/** `PUSH_MARKET_SAVE_MS` (default 30 000): how often markets that changed are kept in the bucket. */
export const envToConfig = (env: Readonly<Record<string, string | undefined>>): PushMarketConfig => ({
  ...slotsFromEnv(env),
  saveMs: wholeNumber('PUSH_MARKET_SAVE_MS', env.PUSH_MARKET_SAVE_MS || '30000', 100, 3_600_000),
})
