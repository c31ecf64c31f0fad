import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type OwnedProcess, startProcess } from '#launcher/servers/child-process.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import { nodeFlags, services } from '#launcher/services.ts'
import { connectNats } from '#mesh/service.ts'
import { startMariadb, startNats, startRedis } from '#mesh/testing/servers.ts'

/** The whole mesh for a test: real servers and every service as a process of its own, on free ports. */
export interface TestMesh extends AsyncDisposable {
  /** Of the first gateways: `http://127.0.0.1:<port>`. */
  readonly urls: readonly string[]
  readonly natsUrl: string
  readonly mysqlUrl: string
  readonly admin: { readonly email: string; readonly password: string }
  /** What Prometheus scrapes, by the name of the process: `127.0.0.1:<port>`. */
  readonly metricsAddresses: ReadonlyMap<string, string>
  /** `accounts`, `gateway-2`, …; a first instance has no number. */
  process(name: string): OwnedProcess
  /** Starts one more instance, with settings of its own. */
  add(
    service: ServiceName,
    env?: Readonly<Record<string, string>>,
  ): Promise<{ readonly name: string; readonly url: string }>
  /** Ends a process (SIGKILL) and starts it again. */
  restart(name: string): Promise<void>
  readonly servers: {
    readonly nats: Awaited<ReturnType<typeof startNats>>
    readonly mariadb: Awaited<ReturnType<typeof startMariadb>>
    readonly redis: Awaited<ReturnType<typeof startRedis>>
  }
  stop(): Promise<void>
}

export interface TestMeshOptions {
  /** Instances by service; one of each by default. */
  readonly scale?: Readonly<Record<string, number>>
  /** For every process. */
  readonly env?: Readonly<Record<string, string>>
  readonly syncInterval?: 'always' | '2m'
  /** A bus that the test runs itself; else the mesh has a private one. */
  readonly natsUrl?: string
  /** A MariaDB that the test runs itself. */
  readonly mysqlUrl?: string
}

const SERVICES = {
  guid: 'services/guid/main.ts',
  auth: 'services/auth/main.ts',
  accounts: 'services/accounts/main.ts',
  engine: 'services/engine/main.ts',
  orders: 'services/orders/main.ts',
  gateway: 'gateway/main.ts',
} as const

/** Started by `add` alone, with the address of the server that they need. */
const MORE_SERVICES = {
  alerts: 'services/alerts/main.ts',
  'event-log': 'services/event-log/main.ts',
  'ingest-kafka': 'services/ingest-kafka/main.ts',
  'ingest-rabbitmq': 'services/ingest-rabbitmq/main.ts',
  'operator-page': 'services/operator-page/main.ts',
  'push-accounts': 'services/push-accounts/main.ts',
  'push-market': 'services/push-market/main.ts',
  'push-orders': 'services/push-orders/main.ts',
  stats: 'services/stats/main.ts',
} as const

const SCRIPTS = { ...SERVICES, ...MORE_SERVICES }
type ServiceName = keyof typeof SCRIPTS

/** As the launcher starts them. */
const flagsOf = (name: ServiceName): readonly string[] =>
  nodeFlags(services.find((one) => one.name === name) ?? { name })

const ROOT = join(import.meta.dirname, '..', '..')
const STARTS_MAX = 3
const READY_MS_MAX = 60_000
const STOP_MS_MAX = 10_000

/** Takes about three seconds. Whatever was started is stopped again if a part does not come up; its log's end is in the error. */
export async function startMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'exchange-mesh-'))
  const processes = new Map<string, OwnedProcess>()
  const metricsAddresses = new Map<string, string>()
  const admin = { email: 'admin@example.com', password: 'the password of the admin' }
  const [nats, mariadb, redis] = await Promise.all([
    options.natsUrl === undefined ? startNats({ syncInterval: options.syncInterval ?? '2m' }) : undefined,
    options.mysqlUrl === undefined ? startMariadb() : undefined,
    startRedis(),
  ])
  const stop = async (): Promise<void> => {
    // The gateways serve on for three seconds when asked politely; nobody waits for that here.
    await Promise.all([...processes.values()].map((owned) => owned.kill()))
    await Promise.all([nats?.stop(), mariadb?.stop(), redis.stop()])
    rmSync(directory, { recursive: true, force: true })
  }
  const processNamed = (name: string): OwnedProcess => {
    const owned = processes.get(name)
    if (owned === undefined)
      throw new Error(`There is no process ${name}; there are ${[...processes.keys()].join(', ')}.`)
    return owned
  }
  const natsUrl = options.natsUrl ?? nats?.url ?? ''
  const mysqlUrl = options.mysqlUrl ?? mariadb?.url ?? ''
  const urls: string[] = []
  const env = {
    ...process.env,
    NATS_URL: natsUrl,
    MYSQL_URL: mysqlUrl,
    REDIS_URL: redis.url,
    EXCHANGE_MODE: 'development',
    EXCHANGE_ADMIN_EMAIL: admin.email,
    EXCHANGE_ADMIN_PASSWORD: admin.password,
    LOG_LEVEL: 'info',
    ...options.env,
  }
  const startOne = async (
    service: ServiceName,
    number: number,
    more: Readonly<Record<string, string>> = {},
  ): Promise<string> => {
    const name = nameOf(service, number)
    const port = await freePort()
    const healthPort = service === 'gateway' ? await freePort() : port
    const ports = {
      ...(service === 'gateway' ? { GATEWAY_PORT: String(port), GATEWAY_HOST: loopback } : {}),
      HEALTH_PORT: String(healthPort),
      HEALTH_HOST: loopback,
    }
    metricsAddresses.set(name, `${loopback}:${healthPort}`)
    const url = `http://${loopback}:${port}`
    const owned = await untilStarted(() =>
      startProcess({
        name,
        command: process.execPath,
        args: [...flagsOf(service), join(ROOT, SCRIPTS[service])],
        env: { ...env, ...more, ...ports, INSTANCE_ID: `${service}-${number}` },
        cwd: ROOT,
        output: { file: join(directory, `${name}.log`) },
        isReady: () => isReady(`${url}/health/ready`),
        readyTimeoutMs: READY_MS_MAX,
        stopTimeoutMs: STOP_MS_MAX,
      }),
    )
    processes.set(name, owned)
    return url
  }
  try {
    const names = Object.keys(SERVICES) as (keyof typeof SERVICES)[]
    await Promise.all(
      names.flatMap((service) =>
        Array.from({ length: options.scale?.[service] ?? 1 }, async (_, index) => {
          const url = await startOne(service, index + 1)
          if (service === 'gateway') urls[index] = url
        }),
      ),
    )
  } catch (error) {
    await stop()
    throw error
  }
  return {
    urls,
    natsUrl,
    mysqlUrl,
    admin,
    metricsAddresses,
    process: processNamed,
    add: async (service, more = {}) => {
      const instances = [...processes.keys()].filter((name) => name === service || name.startsWith(`${service}-`))
      const number = instances.length + 1
      return { name: nameOf(service, number), url: await startOne(service, number, more) }
    },
    restart: async (name) => {
      const owned = processNamed(name)
      await owned.kill()
      await untilStarted(() => owned.start())
    },
    servers: {
      get nats() {
        assert(nats, 'the test runs its own bus')
        return nats
      },
      get mariadb() {
        assert(mariadb, 'the test runs its own MariaDB')
        return mariadb
      },
      redis,
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Of a process: a first instance has no number. */
const nameOf = (service: ServiceName, number: number): string => (number === 1 ? service : `${service}-${number}`)

/** A connection of the test's own. */
export const connectTo = (mesh: TestMesh) => connectNats(mesh.natsUrl, 'test')

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok
  } catch {
    return false
  }
}

/** As a supervisor does: a process that gives up at its start, because a server is away, is started again. */
async function untilStarted<Started>(start: () => Promise<Started>): Promise<Started> {
  for (let tries = 1; ; tries++) {
    try {
      return await start()
    } catch (error) {
      if (tries === STARTS_MAX) throw error
    }
  }
}
