import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type OwnedProcess, startProcess } from './child-process.ts'
import { freePort, loopback } from './ports.ts'
import { firstBytes } from './probe.ts'
import { type Report, rabbitmqPrograms } from './programs.ts'

export type RabbitmqOptions = {
  directory: string
  /** Who may connect. Default: guest with the password guest, from the loopback interface alone. */
  user?: string
  password?: string
  port?: number
  log?: string
  report?: Report
}

export type RabbitmqServer = OwnedProcess & { url: string; port: number }

/** Largest message that the broker takes, in bytes: as RabbitMQ 4 has it by default. */
const messageBytesMax = 16 * 1024 * 1024

/**
 * A RabbitMQ of its own: data, cookie, node and ports, nothing shared with one that the system runs. Erlang's nodes find each
 * other through a name server (epmd) that would stay behind as a daemon; this one has a private one, which ends with it.
 */
export async function startRabbitmqServer(options: RabbitmqOptions): Promise<RabbitmqServer> {
  const { directory, user = 'guest', password = 'guest' } = options
  const { server, epmd } = await rabbitmqPrograms(options.report)
  const port = options.port ?? (await freePort())
  const epmdPort = await freePort()
  const distributionPort = await freePort()
  const output = { file: options.log ?? join(directory, 'rabbitmq.log') }
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'rabbitmq.conf'), configuration(user, password), { mode: 0o600 })
  writeFileSync(join(directory, 'enabled_plugins'), '[].\n')
  const epmdEnv = { ERL_EPMD_PORT: `${epmdPort}`, ERL_EPMD_ADDRESS: loopback }
  const names = await startProcess({
    name: 'epmd',
    command: epmd,
    args: [],
    env: { ...process.env, ...epmdEnv },
    output,
    isReady: async () => (await firstBytes({ port: epmdPort, send: namesRequest })) !== undefined,
    readyTimeoutMs: 10_000,
    stopTimeoutMs: 2_000,
  })
  try {
    const owned = await startProcess({
      name: 'rabbitmq',
      command: server,
      args: [],
      env: { ...process.env, ...epmdEnv, ...environment(directory, port, distributionPort) },
      output,
      isReady: () => answersAmqp(port),
      readyTimeoutMs: 90_000,
      stopTimeoutMs: 20_000,
    })
    const stopServer = owned.stop.bind(owned)
    const stop = async (timeoutMs?: number): Promise<void> => {
      await stopServer(timeoutMs)
      await names.stop()
    }
    const startServer = owned.start.bind(owned)
    const start = async (): Promise<void> => {
      if (!names.isRunning) await names.start()
      await startServer()
    }
    const url = `amqp://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${loopback}:${port}`
    return Object.assign(owned, { stop, start, url, port })
  } catch (error) {
    await names.stop()
    throw error
  }
}

/** What an Erlang name server is asked for all its names: a length of one byte, and the request. */
const namesRequest = '\0\x01n'

/** Whether a broker at this port greets a client that names its protocol. */
export async function answersAmqp(port: number, host: string = loopback): Promise<boolean> {
  const answer = await firstBytes({ host, port, send: 'AMQP\0\0\x09\x01' })
  // A method frame on channel 0: connection.start.
  return answer !== undefined && answer[0] === 1 && answer.readUInt16BE(7) === 10 && answer.readUInt16BE(9) === 10
}

function environment(directory: string, port: number, distributionPort: number): NodeJS.ProcessEnv {
  return {
    // Its cookie is made there.
    HOME: directory,
    // Without a shell around it: whoever kills the process kills the broker.
    RABBITMQ_ALLOW_INPUT: '1',
    RABBITMQ_NODENAME: 'exchange@localhost',
    RABBITMQ_NODE_IP_ADDRESS: loopback,
    RABBITMQ_NODE_PORT: `${port}`,
    RABBITMQ_DIST_PORT: `${distributionPort}`,
    RABBITMQ_MNESIA_BASE: join(directory, 'data'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(directory, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
    RABBITMQ_PID_FILE: join(directory, 'pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      // Schedulers that wait busily take the processor from everything else on the machine.
      '-noinput -kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
  }
}

function configuration(user: string, password: string): string {
  return `# Written by the launcher at every start.
default_user = ${user}
default_pass = ${password}
log.console.level = warning
max_message_size = ${messageBytesMax}
# As little as a laptop has: below it the broker takes no more messages.
disk_free_limit.absolute = 200MB
`
}
