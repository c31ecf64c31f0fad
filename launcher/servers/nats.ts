import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type OwnedProcess, startProcess } from './child-process.ts'
import { goEnv } from './go-env.ts'
import { freePort, loopback } from './ports.ts'
import { answersHttp } from './probe.ts'
import { natsProgram, type Report } from './programs.ts'

export const payloadBytesMax = 8 * 1024 * 1024

export type NatsOptions = {
  directory: string
  name?: string
  /** How often JetStream syncs to disk: before every acknowledgement (the default), or relaxed, like `2m`. */
  syncInterval?: string
  port?: number
  /** The name of this site's JetStream, where another site reaches it as a leaf node. */
  domain?: string
  /** How much JetStream may store, in bytes. */
  fileBytesMax?: number
  /** One of a cluster: its own name, its port for the others, and the ports of all of them. */
  cluster?: { serverName: string; port: number; ports: readonly number[] }
  /** More lines for the generated configuration: users, permissions, TLS. */
  extraConfig?: string
  log?: string
  report?: Report
}

export type NatsServer = OwnedProcess & { url: string; monitorUrl: string; port: number }

export async function startNatsServer(options: NatsOptions): Promise<NatsServer> {
  const command = await natsProgram(options.report)
  const port = options.port ?? (await freePort())
  const monitorPort = await freePort()
  const monitorUrl = `http://${loopback}:${monitorPort}`
  mkdirSync(options.directory, { recursive: true })
  const config = join(options.directory, 'nats.conf')
  writeFileSync(config, natsConfig({ ...options, port, monitorPort }))
  const owned = await startProcess({
    name: options.name ?? 'nats',
    command,
    args: ['--config', config],
    env: goEnv(),
    output: { file: options.log ?? join(options.directory, 'nats.log') },
    isReady: () => answersHttp(`${monitorUrl}/healthz`),
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 10_000,
  })
  return Object.assign(owned, { url: `nats://${loopback}:${port}`, monitorUrl, port })
}

/** Servers that each keep a copy: in `<directory>-1`, `<directory>-2`, …. One of three may be lost without a loss. */
export async function startNatsCluster(options: NatsOptions & { servers: number }): Promise<NatsServer[]> {
  const ports = await Promise.all(Array.from({ length: options.servers }, () => freePort()))
  // They are ready only together.
  const starts = await Promise.allSettled(
    ports.map((port, index) => {
      const name = `${options.name ?? 'nats'}-${index + 1}`
      const directory = `${options.directory}-${index + 1}`
      const log = options.log?.replace(/(\.log)?$/, `-${index + 1}$1`) ?? join(directory, 'nats.log')
      return startNatsServer({ ...options, name, directory, log, cluster: { serverName: name, port, ports } })
    }),
  )
  const servers = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const failed = starts.find((start) => start.status === 'rejected')
  if (failed === undefined) return servers
  await Promise.all(servers.map((server) => server.stop()))
  throw failed.reason
}

type Config = NatsOptions & { port: number; monitorPort: number }

function natsConfig(config: Config): string {
  const { directory, port, monitorPort, syncInterval, fileBytesMax, domain, cluster, extraConfig } = config
  return `# Written by the launcher at every start.
listen: "${loopback}:${port}"
http: "${loopback}:${monitorPort}"
max_payload: ${payloadBytesMax}
max_pending: 268435456
write_deadline: "10s"
jetstream {
  store_dir: ${JSON.stringify(join(directory, 'data'))}
  max_memory_store: 1073741824
  max_file_store: ${fileBytesMax ?? 1024 ** 4}
  sync_interval: ${syncInterval ?? 'always'}
  ${domain === undefined ? '' : `domain: ${domain}`}
}
${cluster === undefined ? '' : clusterConfig(cluster)}
${extraConfig ?? ''}
`
}

function clusterConfig({ serverName, port, ports }: NonNullable<NatsOptions['cluster']>): string {
  const routes = ports.filter((other) => other !== port).map((other) => `"nats-route://${loopback}:${other}"`)
  return `server_name: ${serverName}
cluster {
  name: exchange
  listen: "${loopback}:${port}"
  routes: [${routes.join(', ')}]
  # A server that is cut off without a word is left after a few seconds.
  ping_interval: "1s"
  ping_max: 3
}`
}
