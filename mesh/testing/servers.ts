import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OwnedProcess } from '#launcher/servers/child-process.ts'
import { type KafkaServer, startKafkaServer } from '#launcher/servers/kafka.ts'
import { type MariadbServer, startMariadbServer } from '#launcher/servers/mariadb.ts'
import { type NatsServer, startNatsCluster, startNatsServer } from '#launcher/servers/nats.ts'
import { type RabbitmqServer, startRabbitmqServer } from '#launcher/servers/rabbitmq.ts'
import { type RedisServer, startRedisServer } from '#launcher/servers/redis.ts'
import { startTraefikServer, type TraefikServer } from '#launcher/servers/traefik.ts'

/**
 * Real servers for one test file, on free ports of the loopback interface, with their data in a temporary directory.
 * `stop()` ends the server and removes its data; `kill()` (SIGKILL) keeps the data, and `restart()` starts it again on
 * the same port and data. A server that is missing on the machine is installed, so give the hook a minute:
 *
 *     let nats: Awaited<ReturnType<typeof startNats>>
 *     before(async function () { this.timeout(60_000); nats = await startNats() })
 *     after(() => nats.stop())
 */
type Private<Server> = Server & { restart(): Promise<void> }

export type TestNatsOptions = { syncInterval?: 'always' | '2m'; extraConfig?: string; fileBytesMax?: number }

/** A nats-server with JetStream; it syncs every 2 minutes unless asked to sync before every acknowledgement. */
export async function startNats(options: TestNatsOptions = {}): Promise<Private<NatsServer>> {
  return await inScratch((directory) => startNatsServer({ directory, syncInterval: '2m', ...options }))
}

/** Three nats-servers that each keep a copy; `url` names all of them. */
export async function startNatsServers(options: TestNatsOptions = {}): Promise<TestNatsCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'exchange-test-'))
  const servers = await startNatsCluster({
    directory: join(directory, 'nats'),
    servers: 3,
    syncInterval: '2m',
    ...options,
  })
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()))
    rmSync(directory, { recursive: true, force: true })
  }
  return { url: servers.map(({ url }) => url).join(','), servers, stop }
}

export type TestNatsCluster = { url: string; servers: readonly NatsServer[]; stop(): Promise<void> }

/** A MariaDB with an empty database `exchange`; its user root has no password and may create more databases. */
export async function startMariadb(): Promise<Private<MariadbServer>> {
  return await inScratch((directory) => startMariadbServer({ directory, user: 'root', logFileSize: '16M' }))
}

export async function startRedis(): Promise<Private<RedisServer>> {
  return await inScratch((directory) => startRedisServer({ directory }))
}

/** A RabbitMQ without queues, for user guest; it is up in about five seconds. */
export async function startRabbitmq(): Promise<Private<RabbitmqServer>> {
  return await inScratch((directory) => startRabbitmqServer({ directory }))
}

/** A Kafka broker without topics. It makes none by itself; it is up in about five seconds. */
export async function startKafka(): Promise<Private<KafkaServer>> {
  return await inScratch((directory) => startKafkaServer({ directory }))
}

/** Traefik on the project's own configuration, balancing to these gateways (`http://127.0.0.1:port`). */
export async function startTraefik(gatewayUrls: readonly string[]): Promise<Private<TraefikServer>> {
  return await inScratch((directory) => startTraefikServer({ directory, gatewayUrls }))
}

async function inScratch<Server extends OwnedProcess>(
  start: (directory: string) => Promise<Server>,
): Promise<Private<Server>> {
  const directory = mkdtempSync(join(tmpdir(), 'exchange-test-'))
  const remove = () => rmSync(directory, { recursive: true, force: true })
  try {
    const server = await start(directory)
    const end = server.stop.bind(server)
    const stop = async () => {
      await end()
      remove()
    }
    const restart = async () => {
      await end()
      await server.start()
    }
    return Object.assign(server, { stop, restart })
  } catch (error) {
    remove()
    throw error
  }
}
