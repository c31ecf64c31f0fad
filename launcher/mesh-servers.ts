import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { makeBusUsers } from '#mesh/bus-users.ts'
import { slotsFromEnv } from '#mesh/config.ts'
import { type Composable, hasDockerCompose, startComposeServers } from './compose-servers.ts'
import type { LauncherConfig } from './config.ts'
import { PreflightError } from './errors.ts'
import { checkMysql, checkNats, checkRedis } from './outside.ts'
import type { Screen } from './screen.ts'
import { keptSecret } from './secrets.ts'
import type { OwnedProcess } from './servers/child-process.ts'
import { projectDirectory } from './servers/directories.ts'
import { startMariadbServer } from './servers/mariadb.ts'
import { type NatsOptions, type NatsServer, startNatsCluster, startNatsServer } from './servers/nats.ts'
import { healWhenThereIsRoom } from './servers/nats-heal.ts'
import { ProgramMissingError } from './servers/programs.ts'
import { startRedisServer } from './servers/redis.ts'
import { Supervisor } from './supervisor.ts'

export type ServerUrls = {
  natsUrl: string
  natsReplicas: string | undefined
  /** Where the keys of the bus's users are; undefined where it has none. */
  nkeyDirectory: string | undefined
  /** Of private nats-servers: they say how much room is left. */
  natsMonitorUrl: string | undefined
  mysqlUrl: string
  redisUrl: string
}

const clusterServers = 3

type Private = OwnedProcess & { url: string }

/** NATS, MariaDB and Redis: named by the configuration, or private ones that the stack ends. */
export async function startServers(
  config: LauncherConfig,
  wantsCluster: boolean,
  screen: Screen,
  stack: AsyncDisposableStack,
): Promise<ServerUrls> {
  const { dataDirectory } = config
  const isCluster = wantsCluster || existsSync(join(dataDirectory, 'nats-1'))
  checkCluster(config, wantsCluster)
  const mysqlPassword = keptSecret(join(dataDirectory, 'mysql-password')).value
  const log = (name: string) => join(dataDirectory, 'log', `${name}.log`)
  const common = (name: Composable) => ({
    directory: join(dataDirectory, name),
    log: log(name),
    report: (line: string) => screen.working(name, line),
  })
  const natsMonitorUrls: string[] = []
  // A server that is named has users where NATS_NKEY_DIR says so; a private one always has.
  const named = config.env.NATS_NKEY_DIR
  let nkeyDirectory = named ? resolve(projectDirectory, named) : undefined
  const missing = new Map<Composable, ProgramMissingError>()

  const [nats, mariadb, redis] = await allOrFirstFailure([
    provide('nats', config.natsUrl, checkNats, () =>
      startNats({ ...common('nats'), syncInterval: config.natsSyncInterval }),
    ),
    provide('mariadb', config.mysqlUrl, checkMysql, () =>
      startMariadbServer({ ...common('mariadb'), user: 'exchange', password: mysqlPassword, bufferPool: '256M' }),
    ),
    provide('redis', config.redisUrl, checkRedis, () => startRedisServer(common('redis'))),
  ])

  const composed = missing.size === 0 ? undefined : await compose()
  return {
    natsUrl: nats ?? composed?.nats ?? '',
    nkeyDirectory,
    natsReplicas: isCluster && config.natsUrl === undefined ? `${clusterServers}` : config.env.NATS_REPLICAS,
    natsMonitorUrl: natsMonitorUrls.length === 0 ? config.env.NATS_MONITOR_URL : natsMonitorUrls.join(','),
    mysqlUrl: mariadb ?? composed?.mariadb ?? '',
    redisUrl: redis ?? composed?.redis ?? '',
  }

  async function startNats(options: NatsOptions): Promise<readonly NatsServer[]> {
    const directory = nkeyDirectory ?? join(dataDirectory, 'nkeys')
    const withUsers = { ...options, extraConfig: makeBusUsers(directory, slotsFromEnv(config.env)) }
    const servers = isCluster
      ? await startNatsCluster({ ...withUsers, servers: clusterServers })
      : [await startNatsServer(withUsers)]
    nkeyDirectory = directory
    for (const server of servers) {
      natsMonitorUrls.push(server.monitorUrl)
      stack.defer(healWhenThereIsRoom(server, dataDirectory, (line) => screen.warning(server.spec.name, line)))
    }
    return servers
  }

  async function provide(
    name: Composable,
    named: string | undefined,
    check: (url: string) => Promise<string>,
    start: () => Promise<Private | readonly Private[]>,
  ): Promise<string | undefined> {
    if (named !== undefined) {
      screen.done(name, `${await check(named)} (named by the configuration)`)
      return named
    }
    try {
      const servers = [await start()].flat()
      for (const server of servers) {
        const supervisor = new Supervisor(server, screen)
        stack.defer(() => supervisor.stop())
        supervisor.watch()
        screen.done(server.spec.name, `${withoutPassword(server.url)} (private)`)
      }
      return servers.map(({ url }) => url).join(',')
    } catch (error) {
      if (!(error instanceof ProgramMissingError) || (name === 'nats' && isCluster)) throw error
      missing.set(name, error)
      return undefined
    }
  }

  async function compose(): Promise<Record<Composable, string>> {
    const names = [...missing.keys()]
    if (!(await hasDockerCompose())) {
      throw new PreflightError([...missing.values()].map(({ message }) => message).join('\n  '))
    }
    screen.working('docker', `compose up ${names.join(' ')}`)
    const servers = await startComposeServers(names, { natsSyncInterval: config.natsSyncInterval, mysqlPassword })
    stack.defer(() => servers.stop())
    for (const name of names) screen.done(name, `${withoutPassword(servers.urls[name])} (in a container)`)
    return servers.urls
  }
}

/** One server's store and a cluster's are not the same: the data would not be there. */
function checkCluster({ dataDirectory, natsUrl }: LauncherConfig, wantsCluster: boolean): void {
  if (!wantsCluster) return
  if (natsUrl !== undefined) {
    throw new PreflightError('--cluster starts servers of its own; unset NATS_URL, or set NATS_REPLICAS=3 for yours')
  }
  if (existsSync(join(dataDirectory, 'nats'))) {
    throw new PreflightError(
      `--cluster: the data in ${dataDirectory} belongs to a single nats-server; set EXCHANGE_DATA_DIR for a cluster`,
    )
  }
}

/** Waits for all, so that what has started is known and can be stopped, and then throws the first failure. */
async function allOrFirstFailure<A>(promises: readonly Promise<A>[]): Promise<A[]> {
  const results = await Promise.allSettled(promises)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/.*@/, '//')
}
