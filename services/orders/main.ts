import { migratePatiently } from '#mesh/migrate.ts'
import { createPool } from '#mesh/mysql.ts'
import { watchProgress } from '#mesh/projection/progress.ts'
import { runProjection } from '#mesh/projection/runtime.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { serveRpc } from '#mesh/rpc.ts'
import { runService } from '#mesh/service.ts'
import { Log, Rpc } from '#mesh/subjects.ts'
import { tracePool } from '#mesh/telemetry/clients.ts'
import { readConfig } from './config.ts'
import { OrderRows } from './domain/rows.ts'
import { haltForgotten } from './forgotten.ts'
import { createHandler } from './handler.ts'
import { followMarkets } from './markets.ts'

const PROJECTION = 'orders'
const QUEUE = 'orders'

await runService('orders', async (service) => {
  const { mysqlUrl, accountSlots } = readConfig(service.env)
  const pool = tracePool(createPool(mysqlUrl), service.telemetry)
  service.onStop(() => pool.end())
  service.ready('schema', false)

  const onFailure = (error: unknown): void => service.log.warn({ err: error }, 'a query failed')
  const progress = watchProgress(pool, PROJECTION, (slot) => projection?.hurry(slot))
  const database = { pool, accountSlots }
  const handler = createHandler({ database, passed: progress.passed, onFailure })
  serveRpc(service.nats, Rpc.ordersQuery, QUEUE, handler, onFailure)

  let projection: ReturnType<typeof runProjection> | undefined
  const marketOf = followMarkets(service)
  void (async () => {
    if (!(await migratePatiently(mysqlUrl, service.log, service.shutdown))) return
    service.ready('schema', true)
    projection = runProjection<AccountEvent>({
      service,
      mysqlUrl,
      pool,
      name: PROJECTION,
      source: Log.accounts,
      slots: accountSlots,
      newBatch: (slot) => new OrderRows(slot, marketOf),
      onWritten: progress.written,
      onForgotten: (slot) => void haltForgotten(service, slot),
    })
  })()
})
