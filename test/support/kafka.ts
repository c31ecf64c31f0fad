import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka, KafkaMessage } from 'kafkajs'
import pino from 'pino'
import { createKafka } from '#mesh/kafka/client.ts'

/** A client for tests, and readers of whole topics. */
export const kafkaClient = (kafkaUrl: string): Kafka =>
  createKafka({ kafkaUrl, clientId: 'test', log: pino({ level: process.env.LOG_LEVEL ?? 'error' }) })

export interface TopicReader {
  /** Everything committed so far, in the order of each partition. */
  readonly messages: readonly { readonly topic: string; readonly partition: number; readonly message: KafkaMessage }[]
  /** Waits until it is so. @throws after `waitMsMax`, with how many messages there are. */
  until(isThere: () => boolean, waitMsMax?: number): Promise<void>
  stop(): Promise<void>
}

const WAIT_MS_MAX = 60_000
const LOOK_MS = 50
let readersCount = 0

/** Reads topics from their beginnings, committed records alone, as any consumer of ours would. */
export async function readTopics(kafka: Kafka, topics: readonly string[]): Promise<TopicReader> {
  const messages: TopicReader['messages'][number][] = []
  const consumer = kafka.consumer({
    groupId: `test-reader-${process.pid}-${++readersCount}`,
    maxWaitTimeInMs: 200,
    allowAutoTopicCreation: false,
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [...topics], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => void messages.push({ topic, partition, message }),
  })
  return {
    messages,
    until: async (isThere, waitMsMax = WAIT_MS_MAX) => {
      const deadlineMs = performance.now() + waitMsMax
      while (!isThere()) {
        if (performance.now() > deadlineMs) {
          throw new Error(
            `Not within ${waitMsMax} ms; ${messages.length} messages were read from ${topics.join(', ')}.`,
          )
        }
        await sleep(LOOK_MS)
      }
    },
    stop: () => consumer.disconnect(),
  }
}
