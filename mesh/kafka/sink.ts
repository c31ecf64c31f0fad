import type { Admin, Kafka, Message, Producer, TopicMessages, Transaction } from 'kafkajs'
import type { Logger } from 'pino'
import type { FrameBatch } from '#mesh/projection/inbox.ts'
import { NOTHING_WRITTEN, type Progress, SteppedDown } from '#mesh/projection/positions.ts'
import type { Sink } from '#mesh/projection/writer.ts'
import { RecordBlocks } from './record-block.ts'

/** Records by topic, each topic's in order. */
export type TopicRecords = ReadonlyMap<string, RecordBlocks>

/** What frames become in Kafka. */
export interface RecordBatch<Event> extends FrameBatch<Event> {
  records(): TopicRecords
}

/** Of records for a slot: its partition has its number. */
export function recordsOfSlot(slot: number): RecordBlocks {
  return new RecordBlocks(slot, BLOCK_BYTES_MAX)
}

export interface KafkaPlace {
  readonly projection: string
  readonly slot: number
  /** The topic of the projection with whose partition the position is stored. Deleted, it takes the position along. */
  readonly positionTopic: string
}

/** What is stored cannot be trusted to be all, or once. */
export class PositionLost extends Error {
  override readonly name = 'PositionLost'
  readonly code = 'position_lost'
}

const NO_RECORDS: TopicRecords = new Map()

/** What a request has for one partition is one batch: a broker takes a megabyte, unless it is told otherwise. */
const BLOCK_BYTES_MAX = 960 * 1024
/** A transaction of a writer that died is ended by the broker after so long, unless its successor does it before. */
const TRANSACTION_MS_MAX = 30_000
/** A position moves on alone after so long, where frames had no records for this projection. */
const IDLE_MS = 10_000
/** A position is written anew after so long without news: the broker forgets what is older than its `offsets.retention`. */
const REFRESH_MS = 3_600_000

/**
 * Writes a slot's records into its partition of each topic, and its position as the group's offset, in one transaction. The
 * transactional id is the slot's: who opens it ends what an earlier writer left open and locks him out, before the position
 * is read. So a reader that reads committed records alone reads each once, whoever died where.
 */
export async function openKafkaSink<Event, Batch extends RecordBatch<Event>>(
  kafka: Kafka,
  place: KafkaPlace,
  { log, onStored }: { readonly log: Logger; readonly onStored?: ((batch: Batch) => void) | undefined },
): Promise<Sink<Batch>> {
  const { projection, slot, positionTopic } = place
  const producer = kafka.producer({
    transactionalId: `${projection}-${slot}`,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionTimeout: TRANSACTION_MS_MAX,
  })
  const close = (): void => {
    producer.disconnect().catch((error: unknown) => log.debug({ err: error }, 'a producer did not disconnect'))
  }
  try {
    await producer.connect()
    await lockOthersOut(producer)
    const stored = await withAdmin(kafka, (admin) => storedProgress(admin, place))
    let progress = stored ?? NOTHING_WRITTEN
    let writtenFrame = progress.frameSequence
    let writtenAtMs = Number.NEGATIVE_INFINITY
    const commit = async (to: Progress, records: TopicRecords): Promise<void> => {
      const transaction = await producer.transaction()
      await sendAll(transaction, records)
      const offset = { partition: slot, offset: String(to.frameSequence), metadata: JSON.stringify(to) }
      await transaction.sendOffsets({
        consumerGroupId: projection,
        topics: [{ topic: positionTopic, partitions: [offset] }],
      })
      await transaction.commit()
      writtenFrame = to.frameSequence
      writtenAtMs = performance.now()
    }
    const move = (to: Progress, records: TopicRecords): Promise<void> => asSteppedDown(place, commit(to, records))
    // From now on a position that is missing is a position that was lost.
    if (stored === undefined) await commit(progress, NO_RECORDS)
    return {
      progress,
      attributes: { 'messaging.system': 'kafka' },
      write: async (batch, { to }) => {
        const records = batch.records()
        if (records.size > 0) await move(to, records)
        for (const one of records.values()) one.release()
        progress = to
        onStored?.(batch)
      },
      keepAlive: async () => {
        const quietMs = performance.now() - writtenAtMs
        const isBehind = writtenFrame !== progress.frameSequence
        if (quietMs > (isBehind ? IDLE_MS : REFRESH_MS)) await move(progress, NO_RECORDS)
      },
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/**
 * Whether every slot has a position. Until then nobody else may write to the partitions of the topic: a partition with records
 * and without a position is one whose position was lost.
 */
export async function positionsAreThere(kafka: Kafka, place: Omit<KafkaPlace, 'slot'>): Promise<boolean> {
  const { projection, positionTopic } = place
  const [offsets] = await withAdmin(kafka, (admin) =>
    admin.fetchOffsets({ groupId: projection, topics: [positionTopic] }),
  )
  return offsets?.partitions.every(({ metadata }) => Boolean(metadata)) === true
}

/** The first transaction of a producer takes the transactional id over. */
async function lockOthersOut(producer: Producer): Promise<void> {
  const transaction = await producer.transaction()
  await transaction.abort()
}

async function storedProgress(admin: Admin, place: KafkaPlace): Promise<Progress | undefined> {
  const { projection, slot, positionTopic } = place
  const [offsets] = await admin.fetchOffsets({ groupId: projection, topics: [positionTopic] })
  const found = offsets?.partitions.find(({ partition }) => partition === slot)
  if (found?.metadata) return JSON.parse(found.metadata) as Progress
  const ends = await admin.fetchTopicOffsets(positionTopic)
  const end = ends.find(({ partition }) => partition === slot)
  if (end === undefined || end.high === '0') return undefined
  throw new PositionLost(
    `${projection} has no position for slot ${slot}, but ${positionTopic} has records. To have everything written anew, delete its topics.`,
  )
}

async function withAdmin<T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Each request has a block of every topic that has one left. */
async function sendAll(transaction: Transaction, records: TopicRecords): Promise<void> {
  for (let index = 0; ; index++) {
    const topicMessages: TopicMessages[] = []
    for (const [topic, { blocks }] of records) {
      const block = blocks[index]
      if (block !== undefined) topicMessages.push({ topic, messages: block as unknown as Message[] })
    }
    if (topicMessages.length === 0) return
    await transaction.sendBatch({ topicMessages })
  }
}

const LOCKED_OUT = new Set(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING'])

async function asSteppedDown({ projection, slot }: KafkaPlace, writing: Promise<void>): Promise<void> {
  try {
    await writing
  } catch (error) {
    if (!LOCKED_OUT.has(typeOf(error))) throw error
    throw new SteppedDown(`Slot ${slot} of ${projection} is written by another instance.`)
  }
}

/** The broker's name of an error, which the client wraps when it does not try again. */
function typeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if ('type' in error && typeof error.type === 'string') return error.type
  return typeOf(error.cause)
}
