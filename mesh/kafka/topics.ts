import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import type { Service } from '#mesh/service.ts'

export interface TopicSpec {
  readonly topic: string
  /** At its creation. */
  readonly partitions: number
  /** Its partitions are slots: another number of them is refused. */
  readonly bySlot?: true
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

const RETRY_MS = 1_000
/** A broker that has just started, or makes its first topics, is not worth a warning for so long. */
const QUIET_MS = 20_000

/** Makes sure of the topics as soon as Kafka is there. False: the process stops first. */
export async function topicsAreThere(
  { log, shutdown }: Pick<Service, 'log' | 'shutdown'>,
  kafka: Kafka,
  specs: readonly TopicSpec[],
): Promise<boolean> {
  const beganAtMs = performance.now()
  while (!shutdown.aborted) {
    try {
      await ensureTopics(kafka, specs)
      return true
    } catch (error) {
      const level = performance.now() - beganAtMs < QUIET_MS ? 'info' : 'warn'
      log[level]({ err: error }, 'the topics in Kafka are not there yet')
      await sleep(RETRY_MS, undefined, { signal: shutdown }).catch(() => {})
    }
  }
  return false
}

/**
 * Makes the topics where they are missing, with the broker's default of copies. Safe from several processes at once.
 * @throws TopicMismatch
 */
async function ensureTopics(kafka: Kafka, specs: readonly TopicSpec[]): Promise<void> {
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
    for (const { topic, partitions, bySlot } of specs) {
      const found = topics.find(({ name }) => name === topic)?.partitions.length ?? 0
      if (found === partitions || (found > 0 && !bySlot)) continue
      throw new TopicMismatch(`Topic ${topic} has ${found} partitions; ${partitions} are needed, one for each slot.`)
    }
    // The first question of this kind makes the broker's own topic of positions, which takes it a moment.
    await admin.fetchOffsets({ groupId: 'topics-check', topics: [...new Set(specs.map(({ topic }) => topic))] })
  } finally {
    await admin.disconnect()
  }
}
