import { Redis } from 'ioredis'
import { createCommandPublisher } from '#mesh/commands.ts'
import { createClock } from '#mesh/edge/clock.ts'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import { createIds } from '#mesh/ids.ts'
import { createReplyListener } from '#mesh/replies.ts'
import { runService } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { traceRedis } from '#mesh/telemetry/clients.ts'
import { createTokenVerifier } from '#mesh/tokens.ts'
import { envToConfig } from './config.ts'
import { adminEndpoints } from './endpoints/admin.ts'
import { historyEndpoints } from './endpoints/history.ts'
import { marketEndpoints } from './endpoints/markets.ts'
import { memberEndpoints } from './endpoints/members.ts'
import { statisticsEndpoints } from './endpoints/statistics.ts'
import { tradingEndpoints } from './endpoints/trading.ts'
import { createAdmission } from './http/admission.ts'
import { endpointAt } from './http/endpoint.ts'
import { inFlight, streamConnections } from './http/metrics.ts'
import { createRequestIds } from './http/request-id.ts'
import type { Gate } from './http/serve.ts'
import { createLimits } from './limits/limits.ts'
import { shareBuckets } from './limits/shared.ts'
import { createBests } from './mesh/bests.ts'
import { createCommander } from './mesh/commander.ts'
import { watchDisks } from './mesh/disks.ts'
import { countGateways } from './mesh/peers.ts'
import { createPublicCache } from './mesh/public-cache.ts'
import { createReads } from './mesh/reads.ts'
import { watchSlots } from './mesh/slots.ts'
import { createOrderReads } from './orders/reading.ts'
import { createTrading } from './orders/trading.ts'
import { createGatewayServer } from './server.ts'
import { SERVES_MS, stopServer } from './stop.ts'
import { createPrivateFeeds } from './stream/private-feeds.ts'
import { createPublicFeeds } from './stream/public-feeds.ts'
import { createStream } from './stream/stream.ts'

await runService('gateway', async (service) => {
  const { nats, log, instanceId, env, telemetry } = service
  const config = envToConfig(env)
  const { shape } = config
  await ensureStreams(nats, shape)

  const redis = config.redisUrl === undefined ? undefined : connectRedis(config.redisUrl)
  redis?.on('error', (err) => log.warn({ err }, 'Redis is out of reach'))
  if (redis !== undefined) traceRedis(redis, telemetry)
  const verifier = createTokenVerifier({
    nats,
    log,
    replicas: shape.replicas,
    ...(env.TOKEN_ISSUER === undefined ? {} : { issuer: env.TOKEN_ISSUER }),
    ...(env.TOKEN_AUDIENCE === undefined ? {} : { audience: env.TOKEN_AUDIENCE }),
  })
  const slots = watchSlots(nats, log, shape.replicas)
  service.ready('definitions', false)
  const definitions = await followDefinitions(nats, () => service.ready('definitions', true), service.fail)
  const gateways = countGateways(nats, instanceId)
  const clock = createClock()
  const ids = createIds(nats)
  const publisher = createCommandPublisher(nats)
  const replies = createReplyListener(nats, instanceId)
  const commander = createCommander(publisher, replies, config.resultMsMax, telemetry)
  const reads = createReads(nats, slots)
  const orderReads = createOrderReads(reads)
  const trading = createTrading({
    instanceId,
    nextId: ids.next,
    nowUs: clock.nowUs,
    commander,
    publisher,
    replies,
    slots,
    bests: createBests(reads),
    reads: orderReads,
    resultMsMax: config.resultMsMax,
  })
  const limits = createLimits(config.limits)
  const endSharing = shareBuckets(redis, limits.shared, log)
  const disks = watchDisks(config.disks, log)
  const admission = createAdmission(config.admission, {
    gateways: gateways.count,
    disksAreFull: () => disks.areFull,
  })

  service.ready('tokens', false)
  const watch = setInterval(() => service.ready('tokens', verifier.isReady()), 200)

  const gate: Gate = {
    admission,
    verifier,
    limits,
    accountSlots: shape.accountSlots,
    requestId: createRequestIds(instanceId),
    isStopping: () => service.shutdown.aborted,
    log,
    telemetry,
  }
  const orderEndpoints = tradingEndpoints({ trading, reads: orderReads, definitions })
  const publicFeeds = createPublicFeeds(nats, definitions, log)
  const privateFeeds = createPrivateFeeds(nats, log)
  const stream = createStream({
    gate,
    publicFeeds,
    privateFeeds,
    trading: {
      place: endpointAt(orderEndpoints, 'POST', '/order'),
      amend: endpointAt(orderEndpoints, 'PATCH', '/order/{reference}'),
      cancel: endpointAt(orderEndpoints, 'DELETE', '/order/{reference}'),
      cancelAll: endpointAt(orderEndpoints, 'DELETE', '/orders'),
    },
    limits: config.stream,
    nowUs: clock.nowUs,
    log,
  })
  service.onScrape(() => {
    inFlight.set(admission.inFlight)
    streamConnections.set(stream.connectionsCount)
  })
  const cache = createPublicCache(redis, telemetry)
  const server = await createGatewayServer({
    host: config.host,
    port: config.port,
    endpoints: [
      ...orderEndpoints,
      ...historyEndpoints({ reads, definitions }),
      ...marketEndpoints({ reads, definitions, cache, nowUs: clock.nowUs }),
      ...statisticsEndpoints({ reads, definitions, cache, marketSlots: shape.marketSlots, nowUs: clock.nowUs }),
      ...memberEndpoints(nats),
      ...adminEndpoints({ nats, instanceId, shape, nextId: ids.next, commander, definitions, reads, slots }),
    ],
    gate,
    stream,
    health: service.health,
  })
  await slots.loaded()
  await server.start()
  log.info({ url: server.info.uri }, 'listening')

  service.onStop(async () => {
    await Promise.all([stopServer(server, admission, log), stream.stop(SERVES_MS)])
    publicFeeds.stop()
    privateFeeds.stop()
    clearInterval(watch)
    endSharing()
    gateways.stop()
    disks.stop()
    clock.stop()
    slots.stop()
    verifier.close()
    await definitions.stop()
    redis?.disconnect()
  })
})

/** Nothing waits for Redis: a command fails at once while it is away. */
function connectRedis(url: string): Redis {
  return new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 0, retryStrategy: () => 500 })
}
