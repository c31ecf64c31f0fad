import type { Pool } from '#mesh/mysql.ts'
import { FramesRefused } from '#mesh/projection/inbox.ts'
import { checkLog } from '#mesh/projection/writer.ts'
import type { Service } from '#mesh/service.ts'
import { Log, Projection } from '#mesh/subjects.ts'
import type { LiveMarket } from './domain/live-market.ts'
import { loadSlot } from './stored.ts'

/** What the live figures of a slot begin with: what is written, or nothing where that was written from another log. */
export async function beginningOf(
  { nats, log }: Pick<Service, 'nats' | 'log'>,
  pool: Pool,
  slot: number,
): Promise<{ readonly afterFrame: number; readonly markets: Map<string, LiveMarket> }> {
  const { progress, markets } = await loadSlot(pool, slot, Math.floor(Date.now() / 1_000))
  try {
    await checkLog({ nats, projection: Projection.candles, source: Log.markets, slot }, progress)
    return { afterFrame: progress.frameSequence, markets }
  } catch (err) {
    if (!(err instanceof FramesRefused)) throw err
    log.warn({ err, slot }, 'live figures begin at the first frame')
    return { afterFrame: 0, markets: new Map() }
  }
}
