import { createCommandPublisher } from '#mesh/commands.ts'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import { createIds } from '#mesh/ids.ts'
import { migratePatiently } from '#mesh/migrate.ts'
import { createPool } from '#mesh/mysql.ts'
import { watchProgress } from '#mesh/projection/progress.ts'
import { runProjection } from '#mesh/projection/runtime.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { runPusher } from '#mesh/push/runtime.ts'
import { serveRpc } from '#mesh/rpc.ts'
import { runService, type Service } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { Log, Projection, Rpc } from '#mesh/subjects.ts'
import { sleep, systemTime } from '#mesh/time.ts'
import { beginningOf } from './beginning.ts'
import { envToConfig } from './config.ts'
import { CandleRows } from './domain/candle-rows.ts'
import { MemberRows } from './domain/member-rows.ts'
import { createHandler } from './handler.ts'
import { runInvoker } from './invoker.ts'
import { LiveSlot } from './live-slot.ts'
import { readProgress, rebuild } from './rebuild.ts'
import { keepRetention } from './retention.ts'

const QUEUE = 'stats'

await runService('stats', async (service) => {
  const config = envToConfig(service.env)
  const { nats, log, shutdown } = service
  const { mysqlUrl, accountSlots, marketSlots } = config
  await ensureStreams(nats, config)
  const pool = createPool(mysqlUrl)
  service.onStop(() => pool.end())
  service.ready('schema', false)
  service.ready('slots', false)
  const nowS = (): number => Math.floor(Date.now() / 1_000)

  const onFailure = (err: unknown): void => log.warn({ err }, 'a query failed')
  const progress = watchProgress(pool, Projection.memberDays, (slot) => members?.hurry(slot))
  const { secondsKeptHours } = config
  const handler = createHandler({ pool, nowS, secondsKeptHours, passed: progress.passed, onFailure })
  serveRpc(nats, Rpc.statsQuery, QUEUE, handler, onFailure)

  const written = { nats, pool, accountSlots, marketSlots }
  serveRpc(nats, Rpc.statsProgress, QUEUE, () => readProgress(written), onFailure)
  serveRpc(
    nats,
    Rpc.statsRebuild,
    QUEUE,
    async () => {
      log.warn('all statistics are written anew')
      return rebuild(written)
    },
    onFailure,
  )

  let members: ReturnType<typeof runProjection> | undefined
  const begin = async (parts: Service): Promise<void> => {
    if (!(await migratePatiently(mysqlUrl, log, shutdown))) return
    service.ready('schema', true)
    const projection = { service: parts, mysqlUrl, pool }
    runProjection<MarketEvent>({
      ...projection,
      name: Projection.candles,
      source: Log.markets,
      slots: marketSlots,
      newBatch: (slot) => new CandleRows(slot),
    })
    members = runProjection<AccountEvent>({
      ...projection,
      name: Projection.memberDays,
      source: Log.accounts,
      slots: accountSlots,
      newBatch: () => new MemberRows(),
      // Nobody waits for it without saying so: what a member does again and again is one row.
      limits: { spacingMs: 900 },
      onWritten: progress.written,
    })
    void keepRetention({ pool, hours: secondsKeptHours, nowS }, log, shutdown)
    await runPusher<MarketEvent>({
      service: parts,
      name: 'stats',
      source: Log.markets,
      slots: marketSlots,
      replicas: config.replicas,
      open: async (slot) => {
        const { afterFrame, markets } = await beginningOf(service, pool, slot)
        log.info({ slot, frameSequence: afterFrame, markets: markets.size }, 'reading frames')
        const tell = (subject: string, payload: string): void => nats.publish(subject, payload)
        const nowUs = (): number => Date.now() * 1_000
        return new LiveSlot({ afterFrame, markets, tell, nowUs, nowMs: () => performance.now() })
      },
    })
    const definitions = await followDefinitions(nats, () => {}, service.fail)
    parts.onStop(() => definitions.stop())
    const daily = {
      ...written,
      publisher: createCommandPublisher(nats),
      ids: createIds(nats),
      definitions,
      tiers: config.tiers,
      tiersAsset: config.tiersAsset,
      passed: progress.passed,
    }
    await runInvoker(parts, daily, config.replicas)
  }
  beginLater(service, begin)
})

/** How long a beginning is waited for that a stop comes into. */
const BEGIN_MS_MAX = 3_000

/** What begins only when MySQL is there, and stops before everything else, also when it is stopped while it begins. */
function beginLater(service: Service, begin: (parts: Service) => Promise<void>): void {
  const stops: (() => Promise<void> | void)[] = []
  const begun = begin({ ...service, onStop: (stop) => void stops.push(stop) }).catch((error: unknown) => {
    if (!service.shutdown.aborted) service.fail(error)
  })
  service.onStop(async () => {
    await Promise.race([begun, sleep(systemTime, BEGIN_MS_MAX)])
    for (const stop of stops.reverse()) await stop()
  })
}
