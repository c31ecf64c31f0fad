import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka, KafkaMessage } from 'kafkajs'
import pino from 'pino'
import { createKafka } from '#mesh/kafka/client.ts'
import type { RecordBlocks } from '#mesh/kafka/record-block.ts'

/** A client for tests and benchmarks. */
export const kafkaClient = (kafkaUrl: string): Kafka =>
  createKafka({ kafkaUrl, clientId: 'test', log: pino({ level: process.env.LOG_LEVEL ?? 'error' }) })

export interface Read {
  readonly topic: string
  readonly partition: number
  readonly message: KafkaMessage
}

const AGAIN_MS = 200
/** A reader that begins again waits for so long until the group has forgotten the one before. */
const SESSION_MS = 6_000
let readersCount = 0

/**
 * Reads topics from their beginnings, committed records alone, each once and in the order of its partition; begins again where
 * it was when the broker was away. @returns how to end it; it reads when this is there.
 */
export async function followTopics(
  kafka: Kafka,
  topics: readonly string[],
  take: (messages: readonly Read[]) => void,
): Promise<() => Promise<void>> {
  const groupId = `test-reader-${process.pid}-${Date.now()}-${++readersCount}`
  const taken = new Map<string, bigint>()
  const stopping = new AbortController()
  const joined = Promise.withResolvers<void>()

  const readOn = async (): Promise<void> => {
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: 1_000,
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
      retry: { restartOnFailure: async () => false },
    })
    const ended = new Promise<void>((resolve) => {
      consumer.on('consumer.crash', () => resolve())
      stopping.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    consumer.on('consumer.group_join', () => joined.resolve())
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [...topics], fromBeginning: true })
      await consumer.run({
        partitionsConsumedConcurrently: 100,
        eachBatch: async ({ batch: { topic, partition, messages } }) => {
          const place = `${topic} ${partition}`
          const last = taken.get(place) ?? -1n
          const fresh = messages.filter(({ offset }) => BigInt(offset) > last)
          const end = fresh.at(-1)
          if (end === undefined) return
          taken.set(place, BigInt(end.offset))
          take(fresh.map((message) => ({ topic, partition, message })))
        },
      })
      await ended
    } finally {
      await consumer.disconnect()
    }
  }
  const reading = (async () => {
    while (!stopping.signal.aborted) {
      await readOn().catch(() => {})
      if (!stopping.signal.aborted) await sleep(AGAIN_MS)
    }
  })()
  await joined.promise
  return async () => {
    stopping.abort()
    await reading
  }
}

export interface TopicReader {
  /** Everything so far. */
  readonly messages: readonly Read[]
  /** Waits until it is so. @throws after `waitMsMax`, with how many messages there are. */
  until(isThere: () => boolean, waitMsMax?: number): Promise<void>
  stop(): Promise<void>
}

const WAIT_MS_MAX = 60_000
const LOOK_MS = 50

/** Keeps all that is in the topics. */
export async function readTopics(kafka: Kafka, topics: readonly string[]): Promise<TopicReader> {
  const messages: Read[] = []
  const stop = await followTopics(kafka, topics, (some) => {
    for (const one of some) messages.push(one)
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
    stop,
  }
}

const require = createRequire(import.meta.url)
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (
  bytes: Buffer,
) => {
  /** A record with its length in front. */
  readVarIntBytes(): Buffer
}
const decodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/decoder.js') as (
  decoder: object,
  batch: object,
) => { readonly key: Buffer; readonly value: Buffer }

/** Keys and values as the client reads them. */
export function readBlocks({ blocks }: RecordBlocks): { readonly key: string; readonly value: string }[] {
  return blocks.flatMap(({ bytes, length }) => {
    const decoder = new Decoder(bytes)
    return Array.from({ length }, () => {
      const { key, value } = decodeRecord(new Decoder(decoder.readVarIntBytes()), {
        firstOffset: '0',
        firstTimestamp: '0',
        magicByte: 2,
      })
      return { key: key.toString(), value: value.toString() }
    })
  })
}
