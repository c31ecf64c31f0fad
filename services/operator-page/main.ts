import { Redis } from 'ioredis'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import { createPool } from '#mesh/mysql.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { createTokenVerifier } from '#mesh/tokens.ts'
import { createActions } from './actions.ts'
import { createBooks } from './books.ts'
import { createCollector } from './collector.ts'
import { envToConfig } from './config.ts'
import { createOperatorServer } from './server.ts'
import { createSessions } from './sessions.ts'
import { createFindWay } from './way/way.ts'

const CLOSE_MS_MAX = 1_000

await runService('operator-page', async (service) => {
  const { nats, log } = service
  const config = envToConfig(service.env)
  const { shape } = config
  await ensureStreams(nats, shape)

  const verifier = createTokenVerifier({ nats, log, replicas: shape.replicas, ...config.token })
  const pool = config.mysqlUrl === undefined ? undefined : createPool(config.mysqlUrl, { connectionsMax: 2 })
  const redis = config.redisUrl === undefined ? undefined : connectRedis(config.redisUrl)
  redis?.on('error', (err) => log.debug({ err }, 'Redis is out of reach'))
  service.ready('definitions', false)
  const definitions = await followDefinitions(nats, () => service.ready('definitions', true), service.fail)

  const books = createBooks(nats, shape, definitions, log)
  const sessions = createSessions(nats, verifier, log)
  const collector = createCollector({ ...config, nats, shape, definitions, books, pool, redis, log })
  const server = await createOperatorServer({
    ...config,
    sessions,
    collector,
    actions: createActions(nats, shape),
    findWay: createFindWay({ nats, shape, definitions, pool }),
    log,
  })
  await verifier.loaded()
  await server.start()
  log.info({ url: server.info.uri }, 'listening')

  service.onStop(async () => {
    await server.stop({ timeout: CLOSE_MS_MAX })
    await collector.stop()
    books.stop()
    await sessions.stop()
    verifier.close()
    await definitions.stop()
    redis?.disconnect()
    await pool?.end()
  })
})

/** Nothing waits for Redis: a command fails at once while it is away. */
function connectRedis(url: string): Redis {
  return new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 0, retryStrategy: () => 500 })
}
