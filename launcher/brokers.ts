import { join } from 'node:path'
import type { LauncherConfig } from './config.ts'
import { checkKafka, checkRabbitmq } from './outside.ts'
import type { Screen } from './screen.ts'
import { keptSecret } from './secrets.ts'
import type { OwnedProcess } from './servers/child-process.ts'
import { startKafkaServer } from './servers/kafka.ts'
import { startRabbitmqServer } from './servers/rabbitmq.ts'
import { Supervisor } from './supervisor.ts'

/** Servers that only some services need: where one cannot be had, those are off and everything else runs. */
export type BrokerName = 'kafka' | 'rabbitmq'

type Options = { directory: string; log: string; report: (line: string) => void }

type Broker = {
  setting: string
  /** What is off without it. */
  uses: string
  url: (config: LauncherConfig) => string | undefined
  check: (url: string) => Promise<string>
  start: (options: Options) => Promise<OwnedProcess & { url: string }>
}

const brokers: Record<BrokerName, Broker> = {
  kafka: {
    setting: 'KAFKA_URL',
    uses: 'orders from Kafka and the event log',
    url: ({ kafkaUrl }) => kafkaUrl,
    check: checkKafka,
    start: startKafkaServer,
  },
  rabbitmq: {
    setting: 'RABBITMQ_URL',
    uses: 'orders from RabbitMQ',
    url: ({ rabbitmqUrl }) => rabbitmqUrl,
    check: checkRabbitmq,
    start: (options) => {
      const { value: password } = keptSecret(join(options.directory, 'password'))
      return startRabbitmqServer({ ...options, user: 'exchange', password })
    },
  },
}

/** Their addresses as settings of the services, by name; those that cannot be had are missing. It never rejects. */
export async function startBrokers(
  names: ReadonlySet<BrokerName>,
  config: LauncherConfig,
  screen: Screen,
  stack: AsyncDisposableStack,
): Promise<ReadonlyMap<BrokerName, NodeJS.ProcessEnv>> {
  const started = new Map<BrokerName, NodeJS.ProcessEnv>()
  await Promise.all(
    [...names].map(async (name) => {
      const { setting, uses } = brokers[name]
      try {
        const url = await startBroker(name, config, screen, stack)
        if (url === undefined) screen.done(name, `${setting} is off, and with it ${uses}`)
        else started.set(name, { [setting]: url })
      } catch (error) {
        const [reason = ''] = (error as Error).message.split('\n')
        screen.warning(name, `${reason}. Without it ${uses} are off`)
      }
    }),
  )
  return started
}

async function startBroker(
  name: BrokerName,
  config: LauncherConfig,
  screen: Screen,
  stack: AsyncDisposableStack,
): Promise<string | undefined> {
  const broker = brokers[name]
  const named = broker.url(config)
  if (named === 'off') return undefined
  if (named !== undefined) {
    screen.done(name, `${await broker.check(named)} (named by the configuration)`)
    return named
  }
  const { dataDirectory } = config
  const server = await broker.start({
    directory: join(dataDirectory, name),
    log: join(dataDirectory, 'log', `${name}.log`),
    report: (line) => screen.working(name, line),
  })
  const supervisor = new Supervisor(server, screen)
  stack.defer(() => supervisor.stop())
  supervisor.watch()
  // The password is in a file beside its data.
  screen.done(name, `${server.url.replace(/:[^:@/]*@/, '@')} (private)`)
  return server.url
}
