import { formatMinor } from '#mesh/edge/decimal.ts'
import type { Definitions } from '#mesh/edge/definitions.ts'
import type { BalanceAfter } from '#mesh/protocol/accounts.ts'
import { Problem } from '../problem.ts'

export function balanceOf([asset, availableMinor, heldMinor]: BalanceAfter, definitions: Definitions) {
  const scale = scaleOf(asset, definitions)
  return {
    asset,
    available: formatMinor(availableMinor, scale),
    held: formatMinor(heldMinor, scale),
    total: formatMinor((BigInt(availableMinor) + BigInt(heldMinor)).toString(), scale),
  }
}

/** @throws Problem `asset_unknown` */
export function scaleOf(asset: string, definitions: Definitions): number {
  const known = definitions.asset(asset)
  if (known === undefined) throw new Problem('asset_unknown', { field: 'asset' })
  return known.scale
}
