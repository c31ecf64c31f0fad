import { createServer, type ServerResponse } from 'node:http'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import pino, { type Logger } from 'pino'
import { createAlarms } from './alarms.ts'
import { attachArchive } from './archive/attached.ts'
import { busAccess } from './bus-users.ts'
import { replicasFromEnv, wholeNumber } from './config.ts'
import { counter, gauge, measureProcess, metricsContentType, metricsText, onScrape } from './metrics.ts'
import { OPERATOR } from './permissions.ts'
import { answerPresence, loadOfProcess } from './presence.ts'
import { drainRpc } from './rpc.ts'
import { followSampling } from './telemetry/sampling.ts'
import { startTelemetry } from './telemetry/start.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import { VERSION } from './version.ts'

/** What every process of the mesh stands on. */
export interface Service {
  readonly name: string
  /** Unique among the running processes: `gateway-1`. */
  readonly instanceId: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  readonly nats: NatsConnection
  /** Where tracing is on. */
  readonly telemetry?: Telemetry | undefined
  /** Aborted when the process is told to stop. */
  readonly shutdown: AbortSignal
  /** Run in reverse order of registration when the process stops. */
  onStop(fn: () => Promise<void> | void): void
  /** The process is ready when every check named here is ok. `detail` is shown by `/health/ready`. */
  ready(check: string, ok: boolean, detail?: unknown): void
  readonly health: Health
  /** Called before metrics are told: for gauges that are set only then. */
  onScrape(collect: () => Promise<void> | void): void
  /** Ends the process with exit code 1 after an orderly stop: the supervisor starts it anew, and it recovers from the log. */
  fail(error: unknown): void
}

export interface Health {
  isReady(): boolean
  report(): {
    readonly ready: boolean
    readonly checks: Record<string, { readonly ok: boolean; readonly detail?: unknown }>
  }
}

const info = gauge('exchange_build_info', 'Always 1; what runs is in the labels.', ['service', 'instance', 'version'])
const ready = gauge('exchange_ready', '1 while every check of /health/ready is ok.', [])
const checkOk = gauge('exchange_check_ok', 'By check of /health/ready: 1 while it is ok.', ['check'])
const busConnected = gauge('exchange_bus_connected', '1 while connected to NATS.', [])
const busReconnects = counter('exchange_bus_reconnects_total', 'Connections to NATS after the first.', [])

/** Longest orderly stop before the process leaves anyway, in milliseconds. */
const STOP_MS_MAX = 9_000
/** How long a process that ends waits until its alarms are on their way. */
const ALARM_MS_MAX = 1_000
/** And the part of it in which requests that came are answered. */
const DRAIN_MS_MAX = 3_000

/**
 * Runs one service: connection, health endpoint, signals.
 * Environment: `NATS_URL` (default nats://127.0.0.1:4222), `INSTANCE_ID`, `LOG_LEVEL`, `HEALTH_PORT` (none: no endpoint),
 * `ARCHIVE_DIR` (none: the streams alone are read), and what mesh/telemetry/config.ts tells of.
 */
export async function runService(name: string, start: (service: Service) => Promise<void>): Promise<void> {
  const env = process.env
  const instanceId = env.INSTANCE_ID ?? `${name}-${process.pid}`
  const alarms = createAlarms({ service: name, instance: instanceId }, env.REDIS_URL || undefined)
  const base = { service: name, instance: instanceId }
  const log = pino({ level: env.LOG_LEVEL ?? 'info', base, ...alarms.logger })
  const shutdown = new AbortController()
  const stops: (() => Promise<void> | void)[] = []
  const checks = new Map<string, { ok: boolean; detail?: unknown }>([
    ['started', { ok: false }],
    ['nats', { ok: false }],
  ])
  let stopping: Promise<void> | undefined
  let connection: NatsConnection | undefined
  let telemetry: Telemetry | undefined

  const stop = (exitCode: number): Promise<void> => {
    stopping ??= (async () => {
      process.exitCode = exitCode
      setTimeout(() => process.exit(exitCode || 1), STOP_MS_MAX).unref()
      checks.set('stopping', { ok: false })
      shutdown.abort()
      // Requests go to other instances from here on; those that came are answered while everything still works.
      if (connection !== undefined) await Promise.race([drainRpc(connection), sleep(DRAIN_MS_MAX)]).catch(() => {})
      for (const fn of stops.reverse()) {
        try {
          await fn()
        } catch (error) {
          log.warn({ err: error }, 'a part did not stop cleanly')
        }
      }
      await telemetry?.stop()
      log.info('stopped')
      await Promise.race([alarms.settled(), sleep(ALARM_MS_MAX)])
      process.exit(exitCode)
    })()
    return stopping
  }
  const fail = (error: unknown): void => {
    log.fatal({ err: error }, 'the process gives up and starts anew')
    void stop(1)
  }
  process.on('SIGTERM', () => void stop(0))
  process.on('SIGINT', () => void stop(0))
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)

  const health: Health = {
    isReady: () => [...checks.values()].every((check) => check.ok),
    report: () => ({ ready: health.isReady(), checks: Object.fromEntries(checks) }),
  }
  const startedAt = new Date().toISOString()
  info.set({ service: name, instance: instanceId, version: VERSION }, 1)
  onScrape(() => {
    ready.set(health.isReady() ? 1 : 0)
    for (const [check, { ok }] of checks) checkOk.set({ check }, ok ? 1 : 0)
  })
  if (env.HEALTH_PORT !== undefined) {
    measureProcess()
    stops.push(await serveHealth(health, wholeNumber('HEALTH_PORT', env.HEALTH_PORT, 1, 65535), env.HEALTH_HOST))
  }

  try {
    telemetry = await startTelemetry({ name, instanceId }, env, log)
    const nats = await connectNats(natsUrlOf(env), instanceId, name)
    Object.assign(nats, { telemetry })
    if (env.ARCHIVE_DIR) attachArchive(nats, env.ARCHIVE_DIR)
    connection = nats
    stops.push(() => nats.drain())
    if (telemetry !== undefined) followSampling(nats, telemetry, log, replicasFromEnv(env))
    watchConnection(nats, (ok) => checks.set('nats', { ok }))
    answerPresence(nats, () => ({
      service: name,
      instance: instanceId,
      version: VERSION,
      node: process.version,
      host: hostname(),
      pid: process.pid,
      startedAt,
      tracing: telemetry?.sampling ?? null,
      load: loadOfProcess(),
      health: health.report(),
    }))
    await start({
      name,
      instanceId,
      env,
      log,
      nats,
      telemetry,
      shutdown: shutdown.signal,
      onStop: (fn) => stops.push(fn),
      ready: (check, ok, detail) => checks.set(check, detail === undefined ? { ok } : { ok, detail }),
      health,
      onScrape,
      fail,
    })
    checks.set('started', { ok: true })
    log.info({ node: process.version }, 'started')
  } catch (error) {
    fail(error)
  }
}

export const natsUrlOf = (env: Service['env']): string => env.NATS_URL ?? 'nats://127.0.0.1:4222'

/**
 * Connects for good: reconnects every 100 ms for ever; the first connection is waited for as well.
 * `user`: of the bus, where it has users (`busAccess`); whoever is no service is the operator.
 */
export async function connectNats(
  url: string,
  name: string,
  user = OPERATOR,
  env: Service['env'] = process.env,
): Promise<NatsConnection> {
  const access = busAccess(user, env)
  const nats = await connect({
    ...access,
    servers: url.split(','),
    name,
    // One that takes connections and says nothing is passed over for the next.
    timeout: 2_000,
    reconnectTimeWait: 100,
    reconnectJitter: 20,
    maxReconnectAttempts: -1,
    waitOnFirstConnect: true,
    noAsyncTraces: true,
    // A server that is cut off without a word is left after 6 s.
    pingInterval: 2_000,
    maxPingOut: 2,
  })
  return Object.assign(nats, { inboxPrefix: access.inboxPrefix })
}

function watchConnection(nats: NatsConnection, check: (ok: boolean) => void): void {
  const tell = (ok: boolean): void => {
    check(ok)
    busConnected.set(ok ? 1 : 0)
  }
  tell(true)
  void (async () => {
    for await (const status of nats.status()) {
      if (status.type === 'disconnect' || status.type === 'staleConnection') tell(false)
      if (status.type === 'reconnect') {
        busReconnects.inc()
        tell(true)
      }
    }
  })()
}

async function answerMetrics(response: ServerResponse): Promise<void> {
  try {
    const text = await metricsText()
    response.writeHead(200, { 'content-type': metricsContentType })
    response.end(text)
  } catch (error) {
    response.writeHead(500, { 'content-type': 'text/plain' })
    response.end(String(error))
  }
}

async function serveHealth(health: Health, port: number, host = '127.0.0.1'): Promise<() => void> {
  const server = createServer((request, response) => {
    if (request.url === '/metrics') return void answerMetrics(response)
    const live = request.url === '/health/live'
    const ready = request.url === '/health/ready'
    const report = health.report()
    response.writeHead(live || (ready && report.ready) ? 200 : ready ? 503 : 404, {
      'content-type': 'application/json',
    })
    response.end(JSON.stringify(live ? { live: true } : report))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return () => {
    server.closeAllConnections()
    server.close()
  }
}
