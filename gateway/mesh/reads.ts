import { type Bus, streamsOf, timeOf } from '#mesh/bus.ts'
import type { AccountRead, AccountReadResult } from '#mesh/protocol/accounts.ts'
import type { MarketRead, MarketReadResult } from '#mesh/protocol/engine.ts'
import type { Barrier, OrdersQuery, ResultOf } from '#mesh/protocol/orders.ts'
import type { LiveStatsRead, LiveStatsResult, StatsQuery, StatsResultOf } from '#mesh/protocol/stats.ts'
import { callRpc, callRpcPatiently, RpcError } from '#mesh/rpc.ts'
import { Log, pusherReadSubject, Rpc, STREAM_OF_LOG, slotFilter, slotReadSubject } from '#mesh/subjects.ts'
import { sleep } from '#mesh/time.ts'
import { Problem } from '../problem.ts'
import type { Slots } from './slots.ts'

/** Questions to the slots' owners and to history. */
export interface Reads {
  /** From the owner's memory, never older than any answer that was given before. */
  account<Read extends AccountRead>(
    slot: number,
    read: Read,
  ): Promise<Extract<AccountReadResult, { read: Read['read'] }>>
  /** From the engine's memory, without a barrier. */
  market<Read extends MarketRead>(slot: number, read: Read): Promise<Extract<MarketReadResult, { read: Read['read'] }>>
  /** From MySQL; with the barrier of `barrier()` never older than any answer that was given before. */
  history<Query extends OrdersQuery>(query: Query): Promise<ResultOf<Query>>
  /** Candles and sums from MySQL. */
  statistics<Query extends StatsQuery>(query: Query): Promise<StatsResultOf<Query>>
  /** Candles and tickers of a market slot as they are now. */
  liveStatistics<Read extends LiveStatsRead>(
    slot: number,
    read: Read,
  ): Promise<Extract<LiveStatsResult, { read: Read['read'] }>>
  /** Where an account slot's log ends now. */
  barrier(slot: number): Promise<Barrier>
}

const OWNER_MS_MAX = 3_000
/** How long a slot may be on its way to another instance, and how often it is looked for it. */
const MOVE_MS_MAX = 3_000
const LOOK_MS = 30
const NO_OWNER: ReadonlySet<string> = new Set(['service_unavailable', 'service_timeout', 'slot_unavailable'])
const HISTORY_MS_MAX = 5_000

export function createReads(nats: Bus, slots: Slots): Reads {
  const streams = streamsOf(nats)
  const time = timeOf(nats)

  const lastSequence = async (slot: number): Promise<number> => {
    try {
      const filter = slotFilter(Log.accounts, slot)
      const last = await streams.last(STREAM_OF_LOG[Log.accounts], filter)
      return last?.seq ?? 0
    } catch (error) {
      throw new Problem('service_unavailable', {}, { cause: error })
    }
  }
  const lastSequenceOf = shareLatest(lastSequence)

  const askOwner = async <Result>(log: Log, slot: number, read: object): Promise<Result> => {
    const deadlineMs = time.nowMs() + MOVE_MS_MAX
    for (;;) {
      slots.check(log, slot)
      try {
        return await callRpc<Result>(nats, slotReadSubject(log, slot), read, OWNER_MS_MAX)
      } catch (error) {
        if (!(error instanceof RpcError) || !NO_OWNER.has(error.code)) throw error
        // While a slot moves nobody answers for it: who is next does.
        const moves = error.code !== 'service_timeout' && time.nowMs() < deadlineMs
        if (!moves) throw new Problem('slot_unavailable', { retryAfterSeconds: 1 }, { cause: error })
        await sleep(time, LOOK_MS)
      }
    }
  }

  return {
    account: (slot, read) => askOwner(Log.accounts, slot, read),
    market: (slot, read) => askOwner(Log.markets, slot, read),
    history: (query) => callRpcPatiently(nats, Rpc.ordersQuery, query, HISTORY_MS_MAX),
    statistics: (query) => callRpcPatiently(nats, Rpc.statsQuery, query, HISTORY_MS_MAX),
    liveStatistics: (slot, read) => callRpcPatiently(nats, pusherReadSubject('stats', slot), read, OWNER_MS_MAX),
    barrier: async (slot) => ({ slot, sequence: await lastSequenceOf(slot) }),
  }
}

/** One question in flight per key; who comes while it is may share only the next one, for its answer may be older than he is. */
function shareLatest(ask: (key: number) => Promise<number>): (key: number) => Promise<number> {
  const running = new Map<number, Promise<number>>()
  const next = new Map<number, Promise<number>>()
  const begin = (key: number): Promise<number> => {
    const answer = ask(key).finally(() => running.delete(key))
    running.set(key, answer)
    return answer
  }
  const after = async (key: number, before: Promise<number>): Promise<number> => {
    await before.catch(() => 0)
    next.delete(key)
    return begin(key)
  }
  return (key) => {
    const before = running.get(key)
    if (before === undefined) return begin(key)
    let waiting = next.get(key)
    if (waiting === undefined) {
      waiting = after(key, before)
      next.set(key, waiting)
    }
    return waiting
  }
}
