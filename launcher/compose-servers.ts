import { run } from './servers/child-process.ts'
import { projectDirectory, which } from './servers/directories.ts'
import { freePort, loopback } from './servers/ports.ts'

export const composable = ['nats', 'mariadb', 'redis'] as const
export type Composable = (typeof composable)[number]

/** The servers of the compose file alone, on free ports of the loopback interface. Their data is in Docker's volumes. */
export type ComposeServers = { urls: Record<Composable, string>; stop(): Promise<void> }

const project = 'exchange-private'

export async function hasDockerCompose(): Promise<boolean> {
  if (which('docker') === undefined) return false
  return await run('docker', ['compose', 'version'])
    .then(() => run('docker', ['version', '--format', '{{.Server.Version}}']))
    .then(
      () => true,
      () => false,
    )
}

export async function startComposeServers(
  names: readonly Composable[],
  settings: { natsSyncInterval: string; mysqlPassword: string },
): Promise<ComposeServers> {
  const ports = { nats: await freePort(), mariadb: await freePort(), redis: await freePort() }
  const env = {
    NATS_PORT: `${ports.nats}`,
    NATS_MONITOR_PORT: `${await freePort()}`,
    MYSQL_PORT: `${ports.mariadb}`,
    REDIS_PORT: `${ports.redis}`,
    MYSQL_PASSWORD: settings.mysqlPassword,
    NATS_SYNC_INTERVAL: settings.natsSyncInterval,
  }
  const compose = (...args: string[]) =>
    run('docker', ['compose', '--project-name', project, '--project-directory', projectDirectory, ...args], env)
  await compose('up', '--detach', '--wait', ...names)
  return {
    urls: {
      nats: `nats://${loopback}:${ports.nats}`,
      mariadb: `mysql://exchange:${settings.mysqlPassword}@${loopback}:${ports.mariadb}/exchange`,
      redis: `redis://${loopback}:${ports.redis}`,
    },
    stop: async () => {
      await compose('stop', ...names)
    },
  }
}
