import { constants, setPriority } from 'node:os'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import { createKafka } from '#mesh/kafka/client.ts'
import { runKafkaProjection } from '#mesh/kafka/projection.ts'
import { topicsAreThere } from '#mesh/kafka/topics.ts'
import { createPool } from '#mesh/mysql.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { runService } from '#mesh/service.ts'
import { Log } from '#mesh/subjects.ts'
import { readConfig } from './config.ts'
import { accountEvent } from './domain/account-events.ts'
import { definitionEvent } from './domain/definition-events.ts'
import { marketEvent } from './domain/market-events.ts'
import { EventRecords } from './domain/records.ts'
import { TOPICS_OF_LOG } from './domain/topics.ts'

// Where the machine has less than everybody wants, orders go first: the event log may lag, and catches up.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)

await runService('event-log', async (service) => {
  const config = readConfig(service.env)
  const kafka = createKafka({ kafkaUrl: config.kafkaUrl, clientId: service.instanceId, log: service.log })
  const pool = createPool(config.mysqlUrl, { connectionsMax: 2 })
  service.onStop(() => pool.end())
  service.ready('topics', false)
  service.ready('definitions', false)
  const scales = await followDefinitions(service.nats, () => service.ready('definitions', true), service.fail)

  const slots = { accounts: config.accountSlots, markets: config.marketSlots, definitions: 1 }
  const specs = Object.values(Log).flatMap((log) =>
    TOPICS_OF_LOG[log].map((topic) => ({
      topic,
      partitions: slots[log],
      bySlot: true as const,
      config: retention(config.retentionHours),
    })),
  )
  const begin = async (): Promise<void> => {
    if (!(await topicsAreThere(service, kafka, specs))) return
    service.ready('topics', true)
    const common = (log: Log) => ({
      service,
      kafka,
      pool,
      name: `event-log-${log}`,
      source: log,
      slots: slots[log],
      positionTopic: TOPICS_OF_LOG[log][0],
    })
    runKafkaProjection<AccountEvent>({
      ...common(Log.accounts),
      newBatch: (slot) => new EventRecords(slot, (event) => accountEvent(event, scales)),
    })
    runKafkaProjection<MarketEvent>({
      ...common(Log.markets),
      newBatch: (slot) => new EventRecords(slot, (event) => marketEvent(event, scales)),
    })
    runKafkaProjection<DefinitionEvent>({
      ...common(Log.definitions),
      newBatch: (slot) => new EventRecords(slot, definitionEvent),
    })
  }
  void begin()
})

function retention(hours: number): Record<string, string> {
  return { 'retention.ms': String(hours * 3_600_000) }
}
