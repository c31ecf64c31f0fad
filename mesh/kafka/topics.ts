import type { Kafka } from 'kafkajs'

export interface TopicSpec {
  readonly topic: string
  readonly partitions: number
  /** Settings at its creation, as Kafka names them. */
  readonly config?: Readonly<Record<string, string>>
}

/** A topic is there, and not as it has to be. */
export class TopicMismatch extends Error {
  override readonly name = 'TopicMismatch'
  readonly code = 'topic_mismatch'
}

/** Messages have places for whole commands with all their fills. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024

/**
 * Makes the topics where they are missing, with the broker's default of copies. Safe from several processes at once.
 * @throws TopicMismatch when one that is there has another number of partitions.
 */
export async function ensureTopics(kafka: Kafka, specs: readonly TopicSpec[]): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const existing = new Set(await admin.listTopics())
    const missing = specs.filter(({ topic }) => !existing.has(topic))
    if (missing.length > 0) {
      await admin.createTopics({
        topics: missing.map(({ topic, partitions, config }) => ({
          topic,
          numPartitions: partitions,
          replicationFactor: -1,
          configEntries: Object.entries({ 'max.message.bytes': String(MESSAGE_BYTES_MAX), ...config }).map(
            ([name, value]) => ({ name, value }),
          ),
        })),
      })
    }
    const { topics } = await admin.fetchTopicMetadata({ topics: specs.map(({ topic }) => topic) })
    for (const { topic, partitions } of specs) {
      const found = topics.find(({ name }) => name === topic)?.partitions.length ?? 0
      if (found === partitions) continue
      throw new TopicMismatch(`Topic ${topic} has ${found} partitions; ${partitions} are needed, one for each slot.`)
    }
  } finally {
    await admin.disconnect()
  }
}
