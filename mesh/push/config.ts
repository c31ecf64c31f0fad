import { slotsFromEnv, wholeNumber } from '#mesh/config.ts'

export interface PrivatePusherConfig {
  readonly accountSlots: number
  readonly marketSlots: number
  readonly replicas: number
  /** Characters of messages that are remembered per slot and channel. */
  readonly charsMax: number
}

/** `PUSH_MEMORY_CHARS` (default 64 000 000): older messages go before their five minutes are over when there is more. */
export const privatePusherConfig = (env: Readonly<Record<string, string | undefined>>): PrivatePusherConfig => ({
  ...slotsFromEnv(env),
  charsMax: wholeNumber('PUSH_MEMORY_CHARS', env.PUSH_MEMORY_CHARS || '64000000', 1_000, 2_000_000_000),
})
