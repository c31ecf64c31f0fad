import type { Pool } from '#mesh/mysql.ts'
import type { StatsQuery, StatsQueryResult } from '#mesh/protocol/stats.ts'
import { RpcError } from '#mesh/rpc.ts'
import { parseQuery } from './domain/query.ts'
import { listCandles } from './queries/candles.ts'
import { listMarkets } from './queries/markets.ts'
import { listMemberDays, listStatements } from './queries/member.ts'

/** How long an answer waits for MySQL to come to its barrier, in milliseconds. */
const BARRIER_MS_MAX = 2_000

interface HandlerOptions {
  readonly pool: Pool
  readonly nowS: () => number
  /** How long candles of a second are kept. */
  readonly secondsKeptHours: number
  /** Of members' statistics. */
  readonly passed: (slot: number, sequence: number, waitMsMax: number) => Promise<void>
  readonly onFailure: (error: unknown) => void
}

/** Answers `rpc.stats.query`. */
export function createHandler(options: HandlerOptions) {
  return async (request: unknown): Promise<StatsQueryResult> => {
    const query = parseQuery(request)
    if (query === undefined) throw new RpcError('query_invalid', 'The query is none of those that are known.')
    try {
      return await answer(query, options)
    } catch (error) {
      if (error instanceof RpcError) throw error
      options.onFailure(error)
      throw new RpcError('database_unavailable', 'MySQL does not answer.')
    }
  }
}

async function answer(query: StatsQuery, options: HandlerOptions): Promise<StatsQueryResult> {
  const { pool, passed } = options
  switch (query.query) {
    case 'candles': {
      const nowS = options.nowS()
      return listCandles(pool, query, { nowS, secondsFromS: nowS - options.secondsKeptHours * 3_600 })
    }
    case 'markets':
      return listMarkets(pool)
    case 'member': {
      const { barrier } = query
      if (barrier !== undefined) await passed(barrier.slot, barrier.sequence, BARRIER_MS_MAX)
      return listMemberDays(pool, query)
    }
    case 'statements':
      return listStatements(pool, query)
  }
}
