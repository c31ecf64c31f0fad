/**
 * What runs under docker compose with docker-compose.cluster.yml: one of its three nats-servers is killed under load, and comes back.
 *
 *     node launcher/run.mjs test/compose/cluster.ts
 *
 * Of the environment: COMPOSE_FILE with both files, the ports, the admin's password and MYSQL_PASSWORD, as docker-compose.yml has them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { run } from '#launcher/servers/child-process.ts'
import { EVENTS_STREAM } from '#mesh/subjects.ts'
import { startLoad } from './load.ts'

const PER_SECOND = 30
const CALM_MS = 3_000
const AWAY_MS = 15_000
const PAUSE_MS_MAX = 12_000

await using exchange = await startLoad(PER_SECOND)
const { load, nats } = exchange
await sleep(CALM_MS)
const { streams } = await jetstreamManager(nats)
const { config, cluster } = await streams.info(EVENTS_STREAM)
if (config.num_replicas !== 3) throw new Error(`${EVENTS_STREAM} has ${config.num_replicas} copies, not three.`)
const service = cluster?.leader?.replace(/^nats-1$/, 'nats') ?? 'nats'
const beganMs = performance.now()
await run('docker', ['compose', 'kill', service])
await sleep(AWAY_MS)
await run('docker', ['compose', 'up', '--detach', '--wait', '--no-recreate', '--no-deps', service])
await sleep(CALM_MS)
const pause = Math.round(load.longestPauseMs(beganMs, performance.now()))
console.log(`${service}, which led ${EVENTS_STREAM}, killed: longest time without an order accepted ${pause} ms`)
if (pause > PAUSE_MS_MAX) process.exitCode = 1
await exchange.finish()
