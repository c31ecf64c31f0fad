import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type OwnedProcess, startProcess } from './child-process.ts'
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
    output: { file: options.log ?? join(options.directory, 'nats.log') },
    isReady: () => answersHttp(`${monitorUrl}/healthz`),
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 10_000,
  })
  return Object.assign(owned, { url: `nats://${loopback}:${port}`, monitorUrl, port })
}

type Config = NatsOptions & { port: number; monitorPort: number }

function natsConfig({ directory, port, monitorPort, syncInterval, extraConfig }: Config): string {
  return `# Written by the launcher at every start.
listen: "${loopback}:${port}"
http: "${loopback}:${monitorPort}"
max_payload: ${payloadBytesMax}
max_pending: 268435456
write_deadline: "10s"
jetstream {
  store_dir: ${JSON.stringify(join(directory, 'data'))}
  max_memory_store: 1073741824
  max_file_store: 1099511627776
  sync_interval: ${syncInterval ?? 'always'}
}
${extraConfig ?? ''}
`
}
