import { join } from 'node:path'
import { LogFile } from './log-file.ts'
import { notable, throttled } from './notable-lines.ts'
import type { Screen } from './screen.ts'
import { OwnedProcess } from './servers/child-process.ts'
import { projectDirectory } from './servers/directories.ts'
import { freePort, loopback } from './servers/ports.ts'
import { answersHttp } from './servers/probe.ts'
import { nodeFlags, type ServiceDefinition } from './services.ts'

const stopMsMax = 10_000

export type InstanceOptions = {
  service: ServiceDefinition
  number: number
  env: NodeJS.ProcessEnv
  logDirectory: string
  screen: Screen
  /** Where the public listens when there is no Traefik: the first gateway takes this place. */
  publicAddress?: { host: string; port: number } | undefined
}

export type Instance = {
  process: OwnedProcess
  healthUrl: string
  url: string
  /** Host and port of its metrics, which are not on the public entry. */
  metricsAddress: string
  service: string
  stage: number
  isGateway: boolean
}

/** One process of a service: its environment, its log, and where it tells its health. */
export async function createInstance(options: InstanceOptions): Promise<Instance> {
  const { service, screen } = options
  const instanceId = `${service.name}-${options.number}`
  const host = options.publicAddress?.host ?? loopback
  const port = options.publicAddress?.port ?? (await freePort())
  const url = `http://${host === '0.0.0.0' ? loopback : host}:${port}`
  const ports = service.isGateway
    ? { GATEWAY_HOST: host, GATEWAY_PORT: `${port}`, HEALTH_HOST: loopback, HEALTH_PORT: `${await freePort()}` }
    : { HEALTH_HOST: loopback, HEALTH_PORT: `${port}` }
  const log = new LogFile(join(options.logDirectory, `${instanceId}.log`))
  const show = throttled(({ severity, text }) => screen[severity](instanceId, text))
  const owned = new OwnedProcess({
    name: instanceId,
    command: process.execPath,
    args: [...nodeFlags(service), join(projectDirectory, service.script)],
    cwd: projectDirectory,
    env: { ...options.env, ...ports, SERVICE_NAME: service.name, INSTANCE_ID: instanceId },
    output: {
      onLine: (line) => {
        log.write(line)
        const one = notable(line)
        if (one !== undefined) show(one)
      },
    },
    isReady: () => answersHttp(`${url}/health/ready`),
    readyTimeoutMs: Number.POSITIVE_INFINITY,
    stopTimeoutMs: stopMsMax,
  })
  return {
    process: owned,
    healthUrl: `${url}/health/ready`,
    url,
    metricsAddress: `${loopback}:${ports.HEALTH_PORT}`,
    service: service.name,
    stage: service.stage,
    isGateway: service.isGateway ?? false,
  }
}

/** What an instance says it still waits for. */
export async function unreadyChecks({ healthUrl }: Instance): Promise<string> {
  try {
    const response = await fetch(healthUrl, { signal: AbortSignal.timeout(1000) })
    const { checks } = (await response.json()) as { checks?: Record<string, { ok: boolean }> }
    const failing = Object.entries(checks ?? {}).filter(([, { ok }]) => !ok)
    return failing.map(([name]) => name).join(', ') || 'its health'
  } catch {
    return 'it to answer'
  }
}
