import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startBrokers } from './brokers.ts'
import type { LauncherConfig } from './config.ts'
import { firstOrder } from './first-order.ts'
import { createInstance, type Instance, unreadyChecks } from './instance.ts'
import { type ServerUrls, startServers } from './mesh-servers.ts'
import { notable } from './notable-lines.ts'
import { operatorLinks } from './operator-links.ts'
import { checkDataDirectory, checkPort } from './preflight.ts'
import { RunState } from './run-state.ts'
import type { Screen } from './screen.ts'
import { keptSecret } from './secrets.ts'
import { onProcessesChange, type RunError, run } from './servers/child-process.ts'
import { projectDirectory } from './servers/directories.ts'
import { freePort } from './servers/ports.ts'
import { answersHttp } from './servers/probe.ts'
import { traefikProgram } from './servers/programs.ts'
import { startTraefikServer } from './servers/traefik.ts'
import type { ServiceDefinition } from './services.ts'
import { Supervisor } from './supervisor.ts'

const waitingHintMs = 10_000

export type MeshPlan = {
  services: readonly ServiceDefinition[]
  /** Brings the database up to date; from the project's directory. */
  migrateScript: string
  scale: ReadonlyMap<string, number>
  /** Three nats-servers in place of one. */
  cluster: boolean
}

/** Starts everything. What was started is on the stack at once, also when a later step fails. */
export async function startMesh(
  plan: MeshPlan,
  config: LauncherConfig,
  screen: Screen,
  stack: AsyncDisposableStack,
): Promise<void> {
  const startedMs = performance.now()
  checkDataDirectory(config)
  const state = stack.use(new RunState(config.dataDirectory))
  await state.endLeftovers((name) => screen.working(name, 'is left from a launcher that was killed; it ends first'))
  onProcessesChange((running) => state.keepProcesses(running))
  await checkPort('PUBLIC_PORT', config.publicPort, config.publicHost)
  await checkPort('TRAEFIK_DASHBOARD_PORT', config.dashboardPort, '127.0.0.1')
  const hasOperatorPage = plan.services.some(({ isOperatorPage }) => isOperatorPage)
  if (hasOperatorPage) await checkPort('OPERATOR_PORT', config.operatorPort, config.operatorHost)

  // Looked for meanwhile: its download takes longest, and nothing needs it before the end.
  const hasTraefik = traefikIsThere(screen)
  const brokersStarting = startBrokers(brokersNeeded(plan.services), config, screen, stack)
  const urls = await startServers(config, plan.cluster, screen, stack)
  const admin = adminAccount(config)
  const env = serviceEnv(config, urls, admin)
  await migrate(plan.migrateScript, env, screen)

  const withTraefik = await hasTraefik
  const instancesOf = (services: readonly ServiceDefinition[], settings: NodeJS.ProcessEnv) =>
    createInstances({ ...plan, services }, config, settings, screen, withTraefik)
  const instances = await instancesOf(
    plan.services.filter(
      ({ needs, onlyWith, isOperatorPage }) =>
        needs === undefined && !isOperatorPage && (!onlyWith || config.env[onlyWith]),
    ),
    env,
  )
  await startServices(instances, screen, stack)
  const publicUrl = await openToPublic(instances, config, withTraefik, screen, stack)
  for (const [broker, settings] of await brokersStarting) {
    const services = plan.services.filter(({ needs }) => needs === broker)
    const more = await instancesOf(services, { ...env, ...settings })
    await startServices(more, screen, stack)
    instances.push(...more)
  }
  const pages = await instancesOf(
    plan.services.filter(({ isOperatorPage }) => isOperatorPage),
    Object.assign({}, env, ...(await brokersStarting).values(), {
      OPERATOR_LINKS: operatorLinks(config, publicUrl, withTraefik),
    }),
  )
  await startServices(pages, screen, stack)
  instances.push(...pages)
  state.keepMetrics(
    instances.map(({ service, process, metricsAddress: address }) => ({
      service,
      instance: process.spec.name,
      address,
    })),
  )
  const archiveDirectory = config.env.ARCHIVE_DIR || undefined
  const { mysqlUrl, natsUrl, nkeyDirectory } = urls
  state.keepMesh({ mysqlUrl, natsUrl, nkeyDirectory, publicUrl, archiveDirectory })

  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  screen.text(
    `\nThe exchange runs: ${publicUrl} to trade, ${publicUrl}/docs for programs (started in ${seconds} s). Logs: ${join(config.dataDirectory, 'log')}`,
  )
  if (hasOperatorPage)
    screen.text(`The operator's page: http://${config.operatorHost}:${config.operatorPort} (log in as the admin)`)
  if (admin.isNew)
    screen.text(`\nThe admin is ${admin.email}, with the password ${admin.password} (kept in ${admin.path})`)
  screen.text(`\nA first order, to paste into another terminal:\n\n${firstOrder({ publicUrl, admin })}`)
  screen.text('Ctrl-C ends everything; the data stays.\n')
}

export type AdminAccount = { email: string; password: string; isNew: boolean; path: string | undefined }

function adminAccount(config: LauncherConfig): AdminAccount {
  const email = config.adminEmail
  if (config.adminPassword !== undefined)
    return { email, password: config.adminPassword, isNew: false, path: undefined }
  const path = join(config.dataDirectory, 'admin-password')
  const { value, isNew } = keptSecret(path)
  return { email, password: value, isNew, path }
}

function serviceEnv(config: LauncherConfig, urls: ServerUrls, admin: AdminAccount): NodeJS.ProcessEnv {
  return {
    ...config.env,
    NATS_URL: urls.natsUrl,
    NATS_REPLICAS: urls.natsReplicas,
    NATS_NKEY_DIR: urls.nkeyDirectory,
    NATS_MONITOR_URL: urls.natsMonitorUrl,
    SNAPSHOT_DIR: config.env.SNAPSHOT_DIR || join(config.dataDirectory, 'snapshots'),
    DISK_FOLDERS: config.env.DISK_FOLDERS ?? config.dataDirectory,
    MYSQL_URL: urls.mysqlUrl,
    REDIS_URL: urls.redisUrl,
    EXCHANGE_MODE: config.mode,
    EXCHANGE_ADMIN_EMAIL: admin.email,
    EXCHANGE_ADMIN_PASSWORD: admin.password,
  }
}

async function traefikIsThere(screen: Screen): Promise<boolean> {
  try {
    await traefikProgram((line) => screen.working('traefik', line))
    return true
  } catch (error) {
    screen.warning('traefik', `${(error as Error).message}. Without it the first gateway is the public entry`)
    return false
  }
}

async function migrate(script: string, env: NodeJS.ProcessEnv, screen: Screen): Promise<void> {
  const path = join(projectDirectory, script)
  if (!existsSync(path)) return
  await run(process.execPath, [path], env).catch((error: RunError) => {
    const said = error.output.split('\n').flatMap((line) => notable(line)?.text ?? [])
    throw new Error(`The migrations failed: ${said.join(' | ')}`)
  })
  screen.done('migrations', 'the database is up to date')
}

const brokersNeeded = (services: readonly ServiceDefinition[]) => new Set(services.flatMap(({ needs }) => needs ?? []))

async function createInstances(
  plan: MeshPlan,
  config: LauncherConfig,
  env: NodeJS.ProcessEnv,
  screen: Screen,
  withTraefik: boolean,
): Promise<Instance[]> {
  const logDirectory = join(config.dataDirectory, 'log')
  const instances: Instance[] = []
  for (const service of plan.services) {
    const count = plan.scale.get(service.name) ?? 1
    for (let number = 1; number <= count; number++) {
      const isEntry = service.isGateway && number === 1 && !withTraefik
      const publicAddress = isEntry ? { host: config.publicHost, port: config.publicPort } : undefined
      const port = service.isOperatorPage ? (number === 1 ? config.operatorPort : await freePort()) : undefined
      const own = port === undefined ? env : { ...env, OPERATOR_PORT: `${port}` }
      instances.push(await createInstance({ service, number, env: own, logDirectory, screen, publicAddress }))
    }
  }
  return instances
}

/** Stage by stage; within a stage all at once. They stop in the opposite order. */
async function startServices(
  instances: readonly Instance[],
  screen: Screen,
  stack: AsyncDisposableStack,
): Promise<void> {
  const stages = [...new Set(instances.map(({ stage }) => stage))].sort((a, b) => a - b)
  for (const stage of stages) {
    const members = instances.filter((one) => one.stage === stage)
    const supervisors = members.map((one) => new Supervisor(one.process, screen))
    stack.defer(async () => {
      await Promise.all(supervisors.map((one) => one.stop()))
    })
    const waiting = new Set(members)
    const hints = setInterval(() => void sayWhatIsMissing(waiting, screen), waitingHintMs)
    try {
      await Promise.all(
        members.map(async (one, index) => {
          await supervisors[index]?.start()
          waiting.delete(one)
          screen.done(one.process.spec.name, one.url)
        }),
      )
    } finally {
      clearInterval(hints)
    }
  }
}

async function sayWhatIsMissing(waiting: ReadonlySet<Instance>, screen: Screen): Promise<void> {
  for (const one of waiting) screen.working(one.process.spec.name, `waits for ${await unreadyChecks(one)}`)
}

async function openToPublic(
  instances: readonly Instance[],
  config: LauncherConfig,
  withTraefik: boolean,
  screen: Screen,
  stack: AsyncDisposableStack,
): Promise<string> {
  const gatewayUrls = instances.filter(({ isGateway }) => isGateway).map(({ url }) => url)
  if (!withTraefik) {
    const [entry = '', ...others] = gatewayUrls
    if (others.length > 0) screen.warning('gateway', `no Traefik: the other gateways are at ${others.join(', ')}`)
    return entry
  }
  const traefik = await startTraefikServer({
    directory: join(config.dataDirectory, 'traefik'),
    log: join(config.dataDirectory, 'log', 'traefik.log'),
    gatewayUrls,
    host: config.publicHost,
    port: config.publicPort,
    dashboardPort: config.dashboardPort,
  })
  const supervisor = new Supervisor(traefik, screen)
  stack.defer(() => supervisor.stop())
  supervisor.watch()
  while (!(await answersHttp(`${traefik.url}/health/ready`))) await new Promise((resolve) => setTimeout(resolve, 20))
  screen.done('traefik', `${traefik.url}, dashboard ${traefik.dashboardUrl}/dashboard/`)
  return traefik.url
}
