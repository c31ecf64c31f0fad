import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type OwnedProcess, startProcess } from './child-process.ts'
import { freePort, loopback } from './ports.ts'
import { firstBytes } from './probe.ts'
import { type Report, redisProgram } from './programs.ts'

export type RedisOptions = { directory: string; port?: number; log?: string; report?: Report }

export type RedisServer = OwnedProcess & { url: string; port: number }

/** Redis holds nothing that cannot be made again, so it writes nothing to disk. */
export async function startRedisServer(options: RedisOptions): Promise<RedisServer> {
  const command = await redisProgram(options.report)
  const port = options.port ?? (await freePort())
  mkdirSync(options.directory, { recursive: true })
  const owned = await startProcess({
    name: 'redis',
    command,
    args: ['--port', `${port}`, '--bind', loopback, '--save', '', '--appendonly', 'no', '--dir', options.directory],
    output: { file: options.log ?? join(options.directory, 'redis.log') },
    isReady: async () => (await firstBytes({ port, send: 'PING\r\n' }))?.toString().startsWith('+PONG') ?? false,
    readyTimeoutMs: 20_000,
    stopTimeoutMs: 5_000,
  })
  return Object.assign(owned, { url: `redis://${loopback}:${port}`, port })
}
