import { slotsFromEnv } from '#mesh/config.ts'
import { type SnapshotConfig, snapshotConfig } from '#mesh/machine/snapshots/config.ts'
import type { MeshShape } from '#mesh/streams.ts'

export interface EngineConfig {
  readonly shape: MeshShape
  /** The slots of this process: all of them. One that another process owns is waited for. */
  readonly slots: readonly number[]
  /** None: recovery reads the whole log. */
  readonly snapshots: SnapshotConfig | undefined
}

/** `MARKET_SLOTS` and `ACCOUNT_SLOTS`, default 4 each, fixed from the first start. @throws ConfigError */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): EngineConfig {
  const shape = slotsFromEnv(env)
  return { shape, slots: Array.from({ length: shape.marketSlots }, (_, slot) => slot), snapshots: snapshotConfig(env) }
}
