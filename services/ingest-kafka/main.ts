import { setTimeout as sleep } from 'node:timers/promises'
import { startIngest } from '#mesh/ingest/start.ts'
import { brokersOf, createKafka } from '#mesh/kafka/client.ts'
import { runKafkaProjection } from '#mesh/kafka/projection.ts'
import { positionsAreThere } from '#mesh/kafka/sink.ts'
import { TopicIds } from '#mesh/kafka/topic-id.ts'
import { topicsAreThere } from '#mesh/kafka/topics.ts'
import { createPool } from '#mesh/mysql.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { Origin } from '#mesh/protocol/common.ts'
import { runService } from '#mesh/service.ts'
import { Log } from '#mesh/subjects.ts'
import { readConfig } from './config.ts'
import { consumeCommands } from './consumer.ts'
import { openOutlet } from './outlet.ts'
import { ResultRecords } from './result-records.ts'
import { Topic } from './topics.ts'

/** Of a command: what is longer than the mesh takes comes here nevertheless, to become a dead letter. */
const COMMAND_BYTES_MAX = 12 * 1024 * 1024
const DEAD_LETTER_BYTES_MAX = 13 * 1024 * 1024

const PROJECTION = 'orders-results'
const RETRY_MS = 500

await runService('ingest-kafka', async (service) => {
  const { log, shutdown } = service
  const { kafkaUrl, mysqlUrl, shape, token, partitions } = readConfig(service.env)
  const { accountSlots } = shape
  const topicIds = new TopicIds(brokersOf(kafkaUrl))
  service.onStop(() => topicIds.close())
  const kafka = createKafka({ kafkaUrl, clientId: service.instanceId, log })
  const pool = createPool(mysqlUrl, { connectionsMax: 2 })
  service.onStop(() => pool.end())
  service.ready('reading', false)
  const { ingest, marketOf, countResults } = await startIngest(service, Origin.kafka, { shape, token })

  const topics = [
    { topic: Topic.commands, partitions, config: { 'max.message.bytes': String(COMMAND_BYTES_MAX) } },
    { topic: Topic.deadLetters, partitions: 1, config: { 'max.message.bytes': String(DEAD_LETTER_BYTES_MAX) } },
    { topic: Topic.results, partitions: accountSlots, bySlot: true as const },
  ]
  const run = async (): Promise<void> => {
    if (!(await topicsAreThere(service, kafka, topics))) return
    runKafkaProjection<AccountEvent, ResultRecords>({
      service,
      kafka,
      pool,
      name: PROJECTION,
      source: Log.accounts,
      slots: accountSlots,
      positionTopic: Topic.results,
      newBatch: (slot) => new ResultRecords(slot, marketOf),
      onStored: (batch) => countResults(batch.told),
    })
    if (!(await untilTrue(() => positionsAreThere(kafka, { projection: PROJECTION, positionTopic: Topic.results }))))
      return
    const outlet = await openOutlet(kafka, accountSlots, countResults)
    service.onStop(() => outlet.close())
    await consumeCommands({
      kafka,
      ingest,
      outlet,
      log,
      shutdown,
      topicId: () => topicIds.of(Topic.commands),
      onReading: (isReading) => service.ready('reading', isReading),
    })
  }
  /** False: the process stops first. */
  const untilTrue = async (isTrue: () => Promise<boolean>): Promise<boolean> => {
    while (!shutdown.aborted) {
      const answer = await isTrue().catch((error: unknown) => log.debug({ err: error }, 'Kafka does not answer'))
      if (answer === true) return true
      await sleep(RETRY_MS, undefined, { signal: shutdown }).catch(() => {})
    }
    return false
  }
  const running = run().catch(service.fail)
  service.onStop(async () => {
    ingest.stop()
    await running
  })
})
