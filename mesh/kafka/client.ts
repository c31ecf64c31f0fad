// First: the client keeps what it finds when it is loaded.
import './produce.ts'
import './idle-timers.ts'
import { Kafka, type logCreator, logLevel } from 'kafkajs'
import type { Logger } from 'pino'
import { ConfigError } from '#mesh/config.ts'

/**
 * `KAFKA_URL`: `kafka://host:port`, more brokers of the same cluster after a comma. Plain connections only.
 * @throws ConfigError
 */
export function brokersOf(kafkaUrl: string): string[] {
  const [first = '', ...others] = kafkaUrl.replace(/^kafka:\/\//, '').split(',')
  const brokers = [first, ...others].map((broker) => (broker.includes(':') ? broker : `${broker}:9092`))
  if (kafkaUrl.startsWith('kafka://') && brokers.every((broker) => /^[A-Za-z0-9._-]+:[0-9]{1,5}$/.test(broker))) {
    return brokers
  }
  throw new ConfigError(`KAFKA_URL must look like kafka://host:9092,other-host:9092, not "${kafkaUrl}".`)
}

/** Attempts within one call of the client, before it fails and whoever called begins anew. */
const RETRIES = 9
/** The next transaction of a producer is refused for the milliseconds that the broker takes to finish the last one. */
const RETRY_MS = 10
const RETRY_MS_MAX = 1_000
const CONNECT_MS_MAX = 3_000
const ANSWER_MS_MAX = 15_000

/** A client that gives up within seconds. What it says is logged at `debug`: everything that matters comes as an error as well. */
export function createKafka(options: { kafkaUrl: string; clientId: string; log: Logger }): Kafka {
  return new Kafka({
    brokers: brokersOf(options.kafkaUrl),
    clientId: options.clientId,
    connectionTimeout: CONNECT_MS_MAX,
    requestTimeout: ANSWER_MS_MAX,
    retry: { retries: RETRIES, initialRetryTime: RETRY_MS, maxRetryTime: RETRY_MS_MAX, multiplier: 2.5 },
    logLevel: options.log.isLevelEnabled('debug') ? logLevel.INFO : logLevel.NOTHING,
    logCreator: logTo(options.log),
  })
}

const logTo =
  (log: Logger): logCreator =>
  () =>
  ({ namespace, log: { message, timestamp: _, ...details } }) =>
    log.debug({ kafka: namespace, ...details }, message)
