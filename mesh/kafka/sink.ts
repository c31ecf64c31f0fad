import type { Admin, Kafka, Producer, Transaction } from 'kafkajs'
import type { Logger } from 'pino'
import type { FrameBatch } from '#mesh/projection/inbox.ts'
import { NOTHING_WRITTEN, type Progress, SteppedDown } from '#mesh/projection/positions.ts'
import type { Sink } from '#mesh/projection/writer.ts'

export interface KafkaRecord {
  readonly key: string
  /** As bytes at once: a text that was put together is a tree of its pieces, and a batch of them is what a collector has to walk. */
  readonly value: Buffer
}

/** What frames become in Kafka: by topic, in order. */
export interface RecordBatch<Event> extends FrameBatch<Event> {
  records(): ReadonlyMap<string, readonly KafkaRecord[]>
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

const NO_RECORDS: ReadonlyMap<string, readonly KafkaRecord[]> = new Map()

/** A request to the broker has about so many bytes of records, and so many of them: the client's work grows with their square. */
const REQUEST_BYTES_MAX = 512 * 1024
const REQUEST_RECORDS_MAX = 500
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
    const commit = async (to: Progress, records: ReadonlyMap<string, readonly KafkaRecord[]>): Promise<void> => {
      const transaction = await producer.transaction()
      for (const [topic, messages] of records) await sendAll(transaction, { topic, partition: slot }, messages)
      const offset = { partition: slot, offset: String(to.frameSequence), metadata: JSON.stringify(to) }
      await transaction.sendOffsets({
        consumerGroupId: projection,
        topics: [{ topic: positionTopic, partitions: [offset] }],
      })
      await transaction.commit()
      writtenFrame = to.frameSequence
      writtenAtMs = performance.now()
    }
    const move = (to: Progress, records: ReadonlyMap<string, readonly KafkaRecord[]>): Promise<void> =>
      asSteppedDown(place, commit(to, records))
    // From now on a position that is missing is a position that was lost.
    if (stored === undefined) await commit(progress, NO_RECORDS)
    return {
      progress,
      attributes: { 'messaging.system': 'kafka' },
      write: async (batch, { to }) => {
        const records = batch.records()
        if (records.size > 0) await move(to, records)
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

async function sendAll(
  transaction: Transaction,
  { topic, partition }: { readonly topic: string; readonly partition: number },
  records: readonly KafkaRecord[],
): Promise<void> {
  let messages: { key: string; value: Buffer; partition: number }[] = []
  let bytes = 0
  for (const { key, value } of records) {
    const isFull = messages.length >= REQUEST_RECORDS_MAX || bytes + value.length > REQUEST_BYTES_MAX
    if (messages.length > 0 && isFull) {
      await transaction.send({ topic, messages })
      messages = []
      bytes = 0
    }
    messages.push({ key, value, partition })
    bytes += value.length
  }
  if (messages.length > 0) await transaction.send({ topic, messages })
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
