import { slotsFromEnv, wholeNumber } from '#mesh/config.ts'
import { type SnapshotConfig, snapshotConfig } from '#mesh/machine/snapshots/config.ts'
import type { MeshShape } from '#mesh/streams.ts'

export interface AccountsConfig {
  readonly shape: MeshShape
  /** The slots of this process: all of them. One that another process owns is waited for. */
  readonly slots: readonly number[]
  /** Closed orders that are kept in memory for reads, per slot. */
  readonly recentOrdersMax: number
  /** None: recovery reads the whole log. */
  readonly snapshots: SnapshotConfig | undefined
}

/**
 * `ACCOUNT_SLOTS` and `MARKET_SLOTS`, default 4 each, fixed from the first start; `RECENT_ORDERS_MAX`, default 10 000.
 * What decides how commands are answered (open orders per member, remembered ids) is no setting: a replay has to decide alike.
 * @throws ConfigError
 */
export function envToConfig(env: Readonly<Record<string, string | undefined>>): AccountsConfig {
  const shape = slotsFromEnv(env)
  return {
    shape,
    slots: Array.from({ length: shape.accountSlots }, (_, slot) => slot),
    recentOrdersMax: wholeNumber('RECENT_ORDERS_MAX', env.RECENT_ORDERS_MAX ?? '10000', 0, 1_000_000),
    snapshots: snapshotConfig(env),
  }
}
