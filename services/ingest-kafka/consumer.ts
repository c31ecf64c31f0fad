import { setTimeout as sleep } from 'node:timers/promises'
import type { EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs'
import type { Logger } from 'pino'
import type { Ingest, SourceMessage } from '#mesh/ingest/source.ts'
import type { Outlet } from './outlet.ts'
import { Topic } from './topics.ts'

export interface ConsumerOptions {
  readonly kafka: Kafka
  readonly ingest: Ingest
  readonly outlet: Outlet
  readonly log: Logger
  readonly shutdown: AbortSignal
  /** The id of the topic of commands as it is now; nothing where there is none. */
  readonly topicId: () => Promise<string | undefined>
  readonly onReading: (isReading: boolean) => void
}

/** The topic was deleted and made anew: what is at hand came from one of the two, and it cannot be told from which. */
class TopicReplaced extends Error {
  override readonly name = 'TopicReplaced'
  readonly code = 'topic_replaced'
}

/** Messages that are taken and not let go of, in each partition. */
const TAKEN_MAX = 1_000
/** An instance that died keeps its partitions for so long: as short as a broker's default allows. */
const SESSION_MS = 6_000
const HEARTBEAT_MS = 1_000
/** How long the broker holds a fetch when there is nothing. */
const FETCH_WAIT_MS = 500
const PARTITION_BYTES_MAX = 1024 * 1024
/** Partitions that are worked on at once: all. */
const PARTITIONS_AT_ONCE = 1_000
const PAUSE_MS = 500

/** Reads commands until it is told to stop, and begins anew from what is committed whenever anything fails. */
export async function consumeCommands(options: ConsumerOptions): Promise<void> {
  const { log, shutdown, onReading } = options
  while (!shutdown.aborted) {
    try {
      await consumeTopic(options)
    } catch (error) {
      if (!shutdown.aborted) log.warn({ err: error }, 'reading commands begins again from what is committed')
    }
    onReading(false)
    await sleep(PAUSE_MS, undefined, { signal: shutdown }).catch(() => {})
  }
}

/** Reads the topic that is there now. The group has the topic's id in its name, so another topic's offsets are none of this one. */
async function consumeTopic(options: ConsumerOptions): Promise<void> {
  const { kafka, shutdown, log, onReading } = options
  const id = await options.topicId()
  if (id === undefined) throw new TopicReplaced(`There is no topic ${Topic.commands}.`)
  const consumer = kafka.consumer({
    groupId: `ingest-kafka.${id}`,
    sessionTimeout: SESSION_MS,
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: PARTITION_BYTES_MAX,
    allowAutoTopicCreation: false,
    retry: { restartOnFailure: async () => false },
  })
  const crashed = Promise.withResolvers<never>()
  crashed.promise.catch(() => {})
  consumer.on('consumer.crash', ({ payload }) => crashed.reject(payload.error))
  consumer.on('consumer.group_join', ({ payload }) => {
    log.info({ partitions: payload.memberAssignment[Topic.commands] ?? [] }, 'reading commands')
    onReading(true)
  })
  const stopped = new Promise<void>((resolve) => shutdown.addEventListener('abort', () => resolve(), { once: true }))
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [Topic.commands], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: async (payload) => {
        // Asked after the fetch: what has come in between is not of this topic.
        if ((await options.topicId()) !== id) {
          crashed.reject(new TopicReplaced(`${Topic.commands} was deleted or made anew.`))
          throw new TopicReplaced('This batch is of no known topic.')
        }
        await takeBatch(options, id, payload)
      },
    })
    await Promise.race([crashed.promise, stopped])
  } finally {
    await consumer.disconnect()
  }
}

async function takeBatch(
  { ingest, outlet }: ConsumerOptions,
  topicId: string,
  payload: EachBatchPayload,
): Promise<void> {
  const { batch, heartbeat, isRunning, isStale, resolveOffset, commitOffsetsIfNecessary } = payload
  const { topic, partition, messages } = batch
  for (let at = 0; at < messages.length && isRunning() && !isStale(); at += TAKEN_MAX) {
    const some = messages.slice(at, at + TAKEN_MAX)
    const last = some.at(-1)
    if (last === undefined) return
    const taking = some.map((message) => ingest.take(sourceMessage(message, { topicId, partition })))
    const taken = await whileAlive(heartbeat, Promise.all(taking))
    await outlet.keep(
      taken.map((one, index) => ({ taken: one, message: some[index] ?? last })),
      { topicId, partition },
    )
    resolveOffset(last.offset)
    // Behind the last message there may be marks of transactions, which are no messages.
    const next = at + TAKEN_MAX < messages.length ? last.offset : batch.lastOffset()
    const offset = String(BigInt(next) + 1n)
    await commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset }] }] })
    await heartbeat()
  }
}

/** The group takes a member that gives no sign of life for dead; the bus may be away for longer. */
async function whileAlive<T>(heartbeat: () => Promise<void>, work: Promise<T>): Promise<T> {
  const done = new AbortController()
  const beating = (async () => {
    while (!done.signal.aborted) {
      await sleep(HEARTBEAT_MS, undefined, { signal: done.signal }).catch(() => {})
      if (!done.signal.aborted) await heartbeat()
    }
  })()
  // Whichever fails first: when the partitions are shared out anew, waiting for this batch is over.
  work.catch(() => {})
  beating.catch(() => {})
  try {
    return await Promise.race([work, beating.then(() => work)])
  } finally {
    done.abort()
  }
}

function sourceMessage(
  { value, headers, offset }: KafkaMessage,
  { topicId, partition }: { readonly topicId: string; readonly partition: number },
): SourceMessage {
  return {
    body: value ?? NOTHING,
    authorization: headerText(headers, 'authorization'),
    onBehalfOf: headerText(headers, 'x-member-id'),
    messageId: `${topicId}.${partition}.${offset}`,
    trace: { traceparent: headerText(headers, 'traceparent'), 'uber-trace-id': headerText(headers, 'uber-trace-id') },
  }
}

const NOTHING = new Uint8Array(0)

/** Of several headers of one name the first counts. */
function headerText(headers: KafkaMessage['headers'], name: string): string | undefined {
  const value = headers?.[name]
  const first = Array.isArray(value) ? value[0] : value
  return first?.toString()
}
