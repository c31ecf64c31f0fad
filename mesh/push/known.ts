import type { Definitions } from '#mesh/edge/definitions.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { sleep, systemTime } from '#mesh/time.ts'

const LOOK_MS = 20

/** Definitions are read beside the frames and may be a moment behind: waits until what the event names is defined. */
export function untilKnown(definitions: Definitions, event: AccountEvent): Promise<void> | undefined {
  if (isKnown(definitions, event)) return undefined
  return (async () => {
    while (!isKnown(definitions, event)) await sleep(systemTime, LOOK_MS)
  })()
}

function isKnown(definitions: Definitions, event: AccountEvent): boolean {
  if ('order' in event && !isNameless(event) && definitions.market(event.order.instrument) === undefined) return false
  if (!('balances' in event)) return true
  return event.balances.every(([asset]) => definitions.asset(asset) !== undefined)
}

/** A refused order can name a market that there is not. */
export const isNameless = (event: AccountEvent): boolean =>
  event.type === 'OrderRejected' && event.order.reason === 'market_unknown'
