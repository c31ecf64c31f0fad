import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type OwnedProcess, run, startProcess } from './child-process.ts'
import { kafkaProgram } from './kafka-program.ts'
import { freePort, loopback } from './ports.ts'
import { firstBytes } from './probe.ts'
import type { Report } from './programs.ts'

const heapMb = { first: 96, max: 384 }
const logging = join(import.meta.dirname, 'kafka/log4j2.properties')

export type KafkaOptions = { directory: string; port?: number; log?: string; report?: Report }

export type KafkaServer = OwnedProcess & { url: string; port: number }

/** Kafka with its controller in one process (KRaft). Clients make their topics themselves. */
export async function startKafkaServer(options: KafkaOptions): Promise<KafkaServer> {
  const { directory } = options
  const { java, classPath } = await kafkaProgram(options.report ?? (() => {}))
  const port = options.port ?? (await freePort())
  mkdirSync(directory, { recursive: true })
  const config = join(directory, 'server.properties')
  writeFileSync(config, properties({ data: join(directory, 'data'), port, controllerPort: await freePort() }))
  const jvm = [
    `-Xms${heapMb.first}m`,
    `-Xmx${heapMb.max}m`,
    '-XX:+UseSerialGC',
    // The better compiler takes half of what a broker uses here for minutes, and makes it no faster that one could measure.
    '-XX:TieredStopAtLevel=1',
    '-XX:+ExitOnOutOfMemoryError',
    // It is stopped and killed by its process id; nobody attaches to it.
    '-XX:-UsePerfData',
    `-Dlog4j2.configurationFile=${logging}`,
    '-Dlog4j2.disable.jmx=true',
    '-cp',
    classPath,
  ]
  await format(java, jvm, directory, config)
  const owned = await startProcess({
    name: 'kafka',
    command: java,
    args: [...jvm, 'kafka.Kafka', config],
    output: { file: options.log ?? join(directory, 'kafka.log') },
    isReady: () => answersKafka(port),
    readyTimeoutMs: 90_000,
    stopTimeoutMs: 20_000,
  })
  return Object.assign(owned, { url: `kafka://${loopback}:${port}`, port })
}

/** Gives the data folder its id, once; a folder that was left half-way is made anew. */
async function format(java: string, jvm: readonly string[], directory: string, config: string): Promise<void> {
  const mark = join(directory, 'formatted')
  if (existsSync(mark)) return
  rmSync(join(directory, 'data'), { recursive: true, force: true })
  const bytes = randomBytes(16)
  // It must not begin with a minus: the tool would take it for an option.
  bytes[0] = (bytes[0] ?? 0) & 0x7f
  const id = bytes.toString('base64url')
  await run(java, [...jvm, 'kafka.tools.StorageTool', 'format', '--cluster-id', id, '--config', config])
  writeFileSync(mark, id)
}

const apiVersions = 18
const correlation = 1

/** Whether a broker at this port says which requests it takes. */
export async function answersKafka(port: number, host: string = loopback): Promise<boolean> {
  const request = Buffer.alloc(14)
  request.writeInt32BE(10, 0)
  request.writeInt16BE(apiVersions, 4)
  request.writeInt32BE(correlation, 8)
  const answer = await firstBytes({ host, port, send: request.toString() })
  return answer !== undefined && answer.length > 8 && answer.readInt32BE(4) === correlation
}

function properties(place: { data: string; port: number; controllerPort: number }): string {
  return `# Written by the launcher at every start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@${loopback}:${place.controllerPort}
listeners=PLAINTEXT://${loopback}:${place.port},CONTROLLER://${loopback}:${place.controllerPort}
advertised.listeners=PLAINTEXT://${loopback}:${place.port}
controller.listener.names=CONTROLLER
log.dirs=${place.data}
auto.create.topics.enable=false
# One broker has one copy of everything.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Sized for one machine.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
group.initial.rebalance.delay.ms=0
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
`
}
