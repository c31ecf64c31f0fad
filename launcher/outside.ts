import { brokersOf } from '#mesh/kafka/client.ts'
import { PreflightError } from './errors.ts'
import { answersKafka } from './servers/kafka.ts'
import { firstBytes } from './servers/probe.ts'
import { isAtLeast } from './servers/programs.ts'
import { answersAmqp } from './servers/rabbitmq.ts'

const answerMsMax = 3_000
const mysqlErrorPacket = 0xff

/** Makes sure that a NATS server which the configuration names is there and will do. */
export async function checkNats(url: string): Promise<string> {
  const info = await firstOf('NATS_URL', url, 4222)
  const text = /^INFO (\{.*\})/.exec(info.toString())?.[1]
  if (text === undefined) throw new PreflightError(`NATS_URL: what answers at ${hostOf(url)} is not NATS`)
  const { version, jetstream, max_payload: payloadBytes } = JSON.parse(text)
  if (!isAtLeast(version, [2, 10])) {
    throw new PreflightError(`NATS_URL: nats-server ${version} is too old; 2.10 or later is needed, 2.15 is best`)
  }
  if (jetstream !== true) throw new PreflightError('NATS_URL: this server runs without JetStream; start it with -js')
  if (payloadBytes < 8 * 1024 ** 2) {
    throw new PreflightError(`NATS_URL: max_payload is ${payloadBytes}; set it to 8MB in the server's configuration`)
  }
  return `${hostOf(url)}, nats-server ${version}`
}

export async function checkMysql(url: string): Promise<string> {
  const greeting = await firstOf('MYSQL_URL', url, 3306)
  const text = greeting.subarray(5)
  if (greeting[4] === mysqlErrorPacket) throw new PreflightError(`MYSQL_URL: it refuses: ${text.subarray(2)}`)
  return `${hostOf(url)}, ${text.subarray(0, Math.max(0, text.indexOf(0)))}`
}

export async function checkRedis(url: string): Promise<string> {
  const answer = (await firstOf('REDIS_URL', url, 6379, 'PING\r\n')).toString()
  if (!/^(\+PONG|-NOAUTH)/.test(answer))
    throw new PreflightError(`REDIS_URL: what answers at ${hostOf(url)} is not Redis`)
  return hostOf(url)
}

/** Any one of the brokers will do: it names the others. */
export async function checkKafka(url: string): Promise<string> {
  const brokers = brokersOf(url)
  for (const broker of brokers) {
    const [host = '', port = ''] = broker.split(':')
    if (await answersKafka(Number(port), host)) return brokers.join(', ')
  }
  throw new PreflightError(`KAFKA_URL: no Kafka answers at ${brokers.join(', ')}`)
}

/** Over TLS nothing is asked here: the service tells. */
export async function checkRabbitmq(url: string): Promise<string> {
  const { protocol, hostname, port } = URL.parse(url) ?? {}
  if ((protocol !== 'amqp:' && protocol !== 'amqps:') || !hostname) {
    throw new PreflightError('RABBITMQ_URL must look like amqp://user:password@host:5672')
  }
  if (protocol === 'amqp:' && !(await answersAmqp(Number(port || 5672), hostname))) {
    throw new PreflightError(`RABBITMQ_URL: no RabbitMQ answers at ${hostOf(url)}`)
  }
  return hostOf(url)
}

async function firstOf(setting: string, url: string, portDefault: number, send?: string): Promise<Buffer> {
  const parsed = URL.parse(url.split(',')[0] ?? '')
  if (parsed === null || parsed.hostname === '') throw new PreflightError(`${setting} is not an address: ${url}`)
  const port = Number(parsed.port || portDefault)
  const question = { host: parsed.hostname, port, timeoutMs: answerMsMax }
  const answer = await firstBytes(send === undefined ? question : { ...question, send })
  if (answer !== undefined) return answer
  throw new PreflightError(
    `${setting}: nothing answers at ${parsed.hostname}:${port}; start it, or unset ${setting} to get a private one`,
  )
}

/** Without the password. */
function hostOf(url: string): string {
  return URL.parse(url.split(',')[0] ?? '')?.host ?? url
}
