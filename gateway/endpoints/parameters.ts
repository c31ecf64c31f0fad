import type { Definitions } from '#mesh/edge/definitions.ts'
import type { Market } from '#mesh/edge/market.ts'
import { parseTime } from '#mesh/edge/time.ts'
import type { OrderStatus } from '#mesh/protocol/common.ts'
import { type Answer, ok } from '../http/endpoint.ts'
import type { PublicCache } from '../mesh/public-cache.ts'
import type { OrderName } from '../orders/trading.ts'
import { Problem } from '../problem.ts'
import { isId } from '../schemas/common.ts'

/** What stands in paths and query strings, beyond what a schema can say. All of them throw Problem. */

const CLIENT_NAME = /^client:([A-Za-z0-9._-]{1,64})$/
const DIGITS = /^[1-9][0-9]{0,15}$/

/** What cannot be the name of an order names none. */
export function orderName(reference: string | undefined): OrderName {
  if (reference === undefined) throw new Problem('order_not_found')
  if (DIGITS.test(reference) && isId(reference)) return { orderId: Number(reference) }
  const clientOrderId = CLIENT_NAME.exec(reference)?.[1]
  if (clientOrderId === undefined) throw new Problem('order_not_found')
  return { clientOrderId }
}

export function idOf(text: string, field: string): number {
  if (!DIGITS.test(text) || !isId(text)) throw new Problem('invalid_value', { field })
  return Number(text)
}

export function marketNamed(definitions: Definitions, instrument: string | undefined): Market {
  const market = instrument === undefined ? undefined : definitions.market(instrument)
  if (market === undefined) throw new Problem('market_unknown')
  return market
}

/** Answers what is public: from the cache, unless `refresh` is asked for. */
export const cachedIn =
  (cache: PublicCache) =>
  async (query: { readonly refresh?: 'true' | 'false' }, key: string, make: () => Promise<string>): Promise<Answer> =>
    ok(await (query.refresh === 'true' ? cache.refresh(key, make) : cache.get(key, make)))

const STATUSES: ReadonlySet<string> = new Set<OrderStatus>([
  'new',
  'partially_filled',
  'executed',
  'cancelled',
  'closed',
  'rejected',
])
const isStatus = (name: string): name is OrderStatus => STATUSES.has(name)

export function statusesOf(text: string): OrderStatus[] {
  const names = text.split(',').flatMap((name) => (name === 'open' ? ['new', 'partially_filled'] : [name]))
  const statuses = [...new Set(names)].filter(isStatus)
  if (statuses.length < new Set(names).size) throw new Problem('invalid_value', { field: 'status' })
  return statuses
}

const LIMIT_DEFAULT = 100

interface ListingQuery {
  readonly from?: string
  readonly to?: string
  readonly limit?: string
  readonly cursor?: string
}

export function listingOf(query: ListingQuery): { fromUs?: number; toUs?: number; limit: number; cursor?: string } {
  return {
    ...(query.from === undefined ? {} : { fromUs: timeOf(query.from, 'from') }),
    ...(query.to === undefined ? {} : { toUs: timeOf(query.to, 'to') }),
    limit: query.limit === undefined ? LIMIT_DEFAULT : Number(query.limit),
    ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
  }
}

export function timeOf(text: string, field: string): number {
  // A plus sign in a query string is read as a blank.
  const timeUs = parseTime(text.replace(' ', '+'))
  if (timeUs === undefined) throw new Problem('invalid_value', { field })
  return timeUs
}
