import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type OwnedProcess, startProcess } from './child-process.ts'
import { projectDirectory } from './directories.ts'
import { goEnv } from './go-env.ts'
import { freePort, loopback } from './ports.ts'
import { answersHttp } from './probe.ts'
import { type Report, traefikProgram } from './programs.ts'

const configuration = join(projectDirectory, 'traefik')

export type TraefikOptions = {
  directory: string
  gatewayUrls: readonly string[]
  host?: string
  port?: number
  dashboardPort?: number
  log?: string
  report?: Report
}

export type TraefikServer = OwnedProcess & { url: string; dashboardUrl: string; port: number }

/** Traefik on the committed configuration, in front of these gateways. */
export async function startTraefikServer(options: TraefikOptions): Promise<TraefikServer> {
  const command = await traefikProgram(options.report)
  const host = options.host ?? loopback
  const port = options.port ?? (await freePort())
  const dashboardPort = options.dashboardPort ?? (await freePort())
  const dashboardUrl = `http://${loopback}:${dashboardPort}`
  mkdirSync(options.directory, { recursive: true })
  const config = join(options.directory, 'traefik.yml')
  writeFileSync(config, staticConfig({ public: `${host}:${port}`, dashboard: `${loopback}:${dashboardPort}` }))
  const owned = await startProcess({
    name: 'traefik',
    command,
    args: [`--configfile=${config}`],
    env: { ...goEnv(), GATEWAY_URLS: options.gatewayUrls.join(',') },
    output: { file: options.log ?? join(options.directory, 'traefik.log') },
    // It answers /ping before it has read its routes.
    isReady: () => answersHttp(`${dashboardUrl}/api/http/routers/write@file`),
    readyTimeoutMs: 20_000,
    stopTimeoutMs: 12_000,
  })
  return Object.assign(owned, { url: `http://${host === '0.0.0.0' ? loopback : host}:${port}`, dashboardUrl, port })
}

/** The committed file with these addresses in place of compose's. */
function staticConfig(addresses: { public: string; dashboard: string }): string {
  const committed = readFileSync(join(configuration, 'traefik.yml'), 'utf8')
  const lines = committed.split('\n').filter((line) => !line.endsWith('# compose only'))
  const replacements = [
    ['":8182"', JSON.stringify(addresses.public)],
    ['":8181"', JSON.stringify(addresses.dashboard)],
    ['/etc/traefik/dynamic.yml', JSON.stringify(join(configuration, 'dynamic.yml'))],
  ] as const
  return replacements.reduce((text, [from, to]) => {
    assert.equal(text.split(from).length, 2, `traefik.yml names ${from} once`)
    return text.replace(from, () => to)
  }, lines.join('\n'))
}
