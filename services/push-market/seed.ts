import { type Bus, streamsOf } from '#mesh/bus.ts'
import type { MarketRead, MarketReadResult } from '#mesh/protocol/engine.ts'
import { callRpc } from '#mesh/rpc.ts'
import { EVENTS_STREAM, framesSubject, Log, slotReadSubject } from '#mesh/subjects.ts'
import { MarketFace, TRADES_KEPT } from './domain/market.ts'
import type { Checkpoint } from './stored.ts'

/** What the engine gives of a side at most. */
const LEVELS_MAX = 5_000
const ASK_MS_MAX = 3_000

/**
 * The markets of a slot as their engine has them, where neither a stored state nor the whole log is there any more: books to the
 * engine's bound, and the latest trades.
 */
export async function seedFromEngine(nats: Bus, slot: number): Promise<Checkpoint> {
  const ask = <Read extends MarketRead>(read: Read) =>
    callRpc<Extract<MarketReadResult, { read: Read['read'] }>>(
      nats,
      slotReadSubject(Log.markets, slot),
      read,
      ASK_MS_MAX,
    )
  // Asked first: what the engine says later is not older than this frame, and what follows it is passed over where it is known.
  const last = await streamsOf(nats).last(EVENTS_STREAM, framesSubject(Log.markets, slot))
  const markets = new Map<string, MarketFace>()
  for (const { instrument } of (await ask({ read: 'bests' })).markets) {
    const { sequence, timeUs, bids, asks } = await ask({ read: 'orderbook', instrument, levelsMax: LEVELS_MAX })
    const { trades } = await ask({ read: 'trades', instrument, tradesMax: TRADES_KEPT })
    const oldestFirst = [...trades].reverse()
    markets.set(instrument, MarketFace.restore({ sequence, timeUs, bids, asks, trades: oldestFirst }))
  }
  return { frameSequence: last?.seq ?? 0, markets }
}
