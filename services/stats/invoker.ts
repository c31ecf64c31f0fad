import { type Bus, streamsOf } from '#mesh/bus.ts'
import type { CommandPublisher } from '#mesh/commands.ts'
import type { Definitions } from '#mesh/edge/definitions.ts'
import type { Ids } from '#mesh/ids.ts'
import { openLeases } from '#mesh/machine/leases.ts'
import type { Pool } from '#mesh/mysql.ts'
import type { ProgressWatch } from '#mesh/projection/progress.ts'
import type { Service } from '#mesh/service.ts'
import { Log, STREAM_OF_LOG, slotFilter } from '#mesh/subjects.ts'
import { sleep, systemTime } from '#mesh/time.ts'
import type { FeeTier } from './domain/fee-tiers.ts'
import { DAY_S } from './domain/intervals.ts'
import { areDiscountsSet, setDiscounts } from './fee-discounts.ts'
import { daysWithoutStatements, issueStatements } from './statements.ts'

export interface Daily {
  readonly nats: Bus
  readonly pool: Pool
  readonly publisher: CommandPublisher
  readonly ids: Ids
  readonly definitions: Pick<Definitions, 'asset'>
  readonly accountSlots: number
  readonly tiers: readonly FeeTier[]
  readonly tiersAsset: string
  /** Of what is written of members. */
  readonly passed: ProgressWatch['passed']
}

/** The one slot of the lease that says which instance does what is done daily. */
const SLOT = 0
const LOOK_MS = 30_000
/** A day is called over so long after its end: what its trades brought may be on its way to the accounts. */
const GRACE_S = 300
const WRITTEN_MS_MAX = 60_000

/** Does what falls due once a day, in the one instance that holds the lease; whatever was begun is begun again by the next. */
export async function runInvoker(service: Service, daily: Daily, replicas: number): Promise<void> {
  const { nats, log, instanceId, shutdown } = service
  const leases = await openLeases({ nats, log: 'stats-invoker', instanceId, logger: log, replicas })
  leases.follows(SLOT, true)
  const stopped = new Promise<void>((resolve) => shutdown.addEventListener('abort', () => resolve(), { once: true }))
  const working = (async () => {
    while (!shutdown.aborted) {
      await Promise.race([leases.acquire(SLOT), stopped])
      while (!shutdown.aborted && leases.holds(SLOT)) {
        await runOnce(daily, Math.floor(Date.now() / 1_000) - GRACE_S, service)
        await sleep(systemTime, LOOK_MS, shutdown)
      }
      await leases.release(SLOT)
    }
  })()
  service.onStop(async () => {
    leases.leave()
    await working
    leases.stop()
  })
}

async function runOnce(daily: Daily, nowS: number, { log }: Service): Promise<void> {
  try {
    const { statements, discounts } = await runDaily(daily, Math.floor(nowS / DAY_S))
    if (statements + discounts > 0) log.info({ statements, discounts }, 'what is done daily is done')
  } catch (err) {
    log.warn({ err }, 'what is done daily is tried again soon')
  }
}

/** What is due at the beginning of a day: statements of those before, and discounts for itself. Done again it changes nothing. */
export async function runDaily(daily: Daily, today: number): Promise<{ statements: number; discounts: number }> {
  const days = await daysWithoutStatements(daily.pool, today - 1)
  const discountsAreSet = await areDiscountsSet(daily.pool, today)
  if (days.length > 0 || !discountsAreSet) await untilWritten(daily)
  let statements = 0
  for (const day of days) statements += await issueStatements(daily.pool, day)
  if (discountsAreSet) return { statements, discounts: 0 }
  const { tiersAsset: asset, definitions } = daily
  const scale = definitions.asset(asset)?.scale
  if (scale === undefined && daily.tiers.length > 0)
    throw new Error(`There is no asset ${asset} to count volumes in (FEE_TIERS_ASSET).`)
  return { statements, discounts: await setDiscounts({ ...daily, asset, scale: scale ?? 0 }, today) }
}

/** Everything that the account slots were told until now is in MySQL. */
async function untilWritten({ nats, accountSlots, passed }: Daily): Promise<void> {
  const streams = streamsOf(nats)
  const stream = STREAM_OF_LOG[Log.accounts]
  await Promise.all(
    Array.from({ length: accountSlots }, async (_, slot) => {
      const last = await streams.last(stream, slotFilter(Log.accounts, slot))
      if (last !== undefined) await passed(slot, last.seq, WRITTEN_MS_MAX)
    }),
  )
}
