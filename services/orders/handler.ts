import type { Barrier, OrdersQuery, OrdersQueryResult } from '#mesh/protocol/orders.ts'
import { RpcError } from '#mesh/rpc.ts'
import { parseQuery } from './domain/query.ts'
import { listLedger } from './queries/ledger.ts'
import { findOrder, listOrders } from './queries/orders.ts'
import type { Database } from './queries/sql.ts'
import { listBalances, sumTotals } from './queries/sums.ts'
import { listTrades } from './queries/trades.ts'

/** How long an answer waits for MySQL to come to its barrier, in milliseconds. */
export const BARRIER_MS_MAX = 2_000

interface HandlerOptions {
  readonly database: Database
  readonly passed: (slot: number, sequence: number, waitMsMax: number) => Promise<void>
  readonly onFailure: (error: unknown) => void
}

/** Answers `rpc.orders.query`. */
export function createHandler({ database, passed, onFailure }: HandlerOptions) {
  return async (request: unknown): Promise<OrdersQueryResult> => {
    const query = parseQuery(request)
    if (query === undefined) throw new RpcError('query_invalid', 'The query is none of those that are known.')
    await Promise.all(barriersOf(query).map(({ slot, sequence }) => passed(slot, sequence, BARRIER_MS_MAX)))
    try {
      return await answer(database, query)
    } catch (error) {
      if (error instanceof RpcError) throw error
      onFailure(error)
      throw new RpcError('database_unavailable', 'MySQL does not answer.')
    }
  }
}

function barriersOf(query: OrdersQuery): readonly Barrier[] {
  if (query.query === 'totals') return query.barriers ?? []
  return query.barrier === undefined ? [] : [query.barrier]
}

function answer(database: Database, query: OrdersQuery): Promise<OrdersQueryResult> {
  switch (query.query) {
    case 'order':
      return findOrder(database, query)
    case 'orders':
      return listOrders(database, query)
    case 'trades':
      return listTrades(database, query)
    case 'ledger':
      return listLedger(database, query)
    case 'balances':
      return listBalances(database, query)
    case 'totals':
      return sumTotals(database)
  }
}
