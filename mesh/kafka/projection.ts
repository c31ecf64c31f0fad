import type { Kafka } from 'kafkajs'
import type { Pool } from '#mesh/mysql.ts'
import { type Projection, runSlots } from '#mesh/projection/runtime.ts'
import { FrameWriter } from '#mesh/projection/writer.ts'
import type { Service } from '#mesh/service.ts'
import type { Log } from '#mesh/subjects.ts'
import { openKafkaSink, type RecordBatch } from './sink.ts'

export interface KafkaProjectionOptions<Event, Batch extends RecordBatch<Event>> {
  readonly service: Service
  readonly kafka: Kafka
  /** Keeps the leases: who writes which slot. */
  readonly pool: Pool
  /** Name of the leases, of the group whose offsets are the positions, and, with the slot, transactional id. */
  readonly name: string
  readonly source: Log
  readonly slots: number
  /** The topic of these with whose partitions the positions are stored. */
  readonly positionTopic: string
  readonly newBatch: (slot: number) => Batch
  readonly onStored?: (batch: Batch) => void
}

/** Larger and rarer than to MySQL: a transaction costs the broker a dozen requests. */
const LIMITS = { rowsMax: 8_000, spacingMs: 500, hurriedSpacingMs: 50 }

/** A projection whose records and positions are in Kafka: each slot's in order, each once for those who read committed records. */
export function runKafkaProjection<Event, Batch extends RecordBatch<Event> = RecordBatch<Event>>(
  options: KafkaProjectionOptions<Event, Batch>,
): Projection {
  const { kafka, positionTopic, onStored } = options
  return runSlots<Event, Batch>({
    ...options,
    limits: LIMITS,
    newWriter: (writer) => {
      const { projection, slot, log } = writer
      const openSink = () => openKafkaSink<Event, Batch>(kafka, { projection, slot, positionTopic }, { log, onStored })
      return new FrameWriter({ ...writer, openSink })
    },
  })
}
