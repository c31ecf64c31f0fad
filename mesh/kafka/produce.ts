import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { crc32c } from '@node-rs/crc32'
import { giveBack, takeMemory } from './memory.ts'
import { RecordBlock } from './record-block.ts'

/**
 * kafkajs 2.2.4 copies its list of messages for each of them, makes a few buffers for each record, reckons the checksum byte by
 * byte, and copies a request three times, into memory that it clears before: three quarters of what a record costs, and most of
 * the work for the collector. Here records that come in a block go out as they are. What comes as messages goes the client's own
 * way, but for list and checksum. To be loaded before the client, which keeps what it finds.
 */

type Messages = readonly { readonly partition?: number }[] | RecordBlock

interface Grouping {
  readonly topic: string
  readonly partitionMetadata: readonly unknown[]
  readonly messages: Messages
  readonly partitioner: (of: { topic: string; partitionMetadata: readonly unknown[]; message: unknown }) => number
}

interface ProduceOptions {
  readonly acks: number
  readonly timeout: number
  readonly transactionalId?: string | null
  readonly producerId?: Long
  readonly producerEpoch?: number
  readonly compression?: number
  readonly topicData: readonly {
    readonly topic: string
    readonly partitions: readonly {
      readonly partition: number
      readonly firstSequence: number
      readonly messages: Messages
    }[]
  }[]
}

interface Long {
  readonly value: bigint
}

interface Encoder {
  buf: Buffer
  readonly offset: number
  readonly buffer: Buffer
  writeString(value: string | null): Encoder
  writeInt8(value: number): Encoder
  writeInt16(value: number): Encoder
  writeInt32(value: number): Encoder
  writeUInt32(value: number): Encoder
  writeInt64(value: number | Long): Encoder
  writeBufferInternal(value: Buffer): void
}

interface ProduceRequest {
  readonly apiKey: number
  readonly apiVersion: number
  /** Given where the records are in blocks: writes what follows the header of the request. */
  readonly body?: { readonly size: number; write(encoder: Encoder): void; memory?: Buffer }
  readonly encode: () => Promise<Encoder>
}

interface Sending {
  readonly correlationId: number
  readonly clientId: string
  readonly request: ProduceRequest
}

const require = createRequire(import.meta.url)
const Encoder = require('kafkajs/src/protocol/encoder.js') as new (bytes?: number) => Encoder

replace<(grouping: Grouping) => object>(
  'kafkajs/src/producer/groupMessagesPerPartition.js',
  () =>
    ({ topic, partitionMetadata, messages, partitioner }) => {
      if (messages instanceof RecordBlock) return { [messages.partition]: messages }
      const groups: Record<number, unknown[]> = {}
      if (partitionMetadata.length === 0) return groups
      for (const message of messages) {
        const partition = partitioner({ topic, partitionMetadata, message })
        groups[partition] ??= []
        groups[partition].push(message)
      }
      return groups
    },
)
replace<(bytes: Buffer) => number>('kafkajs/src/protocol/recordBatch/crc32C/index.js', () => (bytes) => crc32c(bytes))
replace<(options: ProduceOptions) => ProduceRequest>(
  'kafkajs/src/protocol/requests/produce/v3/request.js',
  (original) => (options) => {
    const request = original(options)
    const ofBlocks = options.topicData.every(({ partitions }) =>
      partitions.every(({ messages }) => messages instanceof RecordBlock),
    )
    return ofBlocks ? { ...request, body: bodyOf(options) } : request
  },
)
replace<(sending: Sending) => Promise<Encoder>>('kafkajs/src/protocol/request.js', (original) => async (sending) => {
  const { correlationId, clientId, request } = sending
  const { apiKey, apiVersion, body } = request
  if (body === undefined) return original(sending)
  const encoder = new Encoder(REQUEST_HEAD_BYTES)
  encoder.buf = takeMemory(REQUEST_HEAD_BYTES + 2 * clientId.length + body.size)
  encoder.writeInt32(0).writeInt16(apiKey).writeInt16(apiVersion).writeInt32(correlationId).writeString(clientId)
  body.write(encoder)
  encoder.buf.writeInt32BE(encoder.offset - SIZE_BYTES)
  body.memory = encoder.buf
  return encoder
})
replaceSend(
  (original) =>
    async function (this: unknown, asked) {
      const answer = await original.call(this, asked)
      // It is answered, so it was sent. After a failure, or where no answer comes, it may be on its way still.
      const { body } = asked.request
      if (body?.memory !== undefined && answer !== undefined) giveBack(body.memory)
      return answer
    },
)

function replace<Export>(path: string, by: (original: Export) => Export): void {
  const original = require(path) as Export
  assert.equal(typeof original, 'function', 'kafkajs is the version that this was written for')
  const loaded = require.cache[require.resolve(path)]
  assert(loaded !== undefined)
  loaded.exports = by(original)
}

type Send = (this: unknown, asked: { readonly request: ProduceRequest }) => Promise<unknown>

function replaceSend(by: (original: Send) => Send): void {
  const { prototype } = require('kafkajs/src/network/connection.js') as { readonly prototype: { send: Send } }
  assert.equal(typeof prototype.send, 'function', 'kafkajs is the version that this was written for')
  prototype.send = by(prototype.send)
}

const MAGIC = 2
const TRANSACTIONAL = 16
const NO_LEADER_EPOCH = 0
const NO_OFFSET = 0
/** From the leader's epoch to the checksum, and from there to the records. */
const BATCH_HEAD_BYTES = 4 + 1 + 4
const BODY_HEAD_BYTES = 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4
const SIZE_BYTES = 4
const REQUEST_HEAD_BYTES = 64
/** What a request says beside records, about: the buffer grows where it is more. */
const PARTITION_HEAD_BYTES = 512

function bodyOf(options: ProduceOptions): NonNullable<ProduceRequest['body']> {
  const { acks, timeout, transactionalId = null, topicData } = options
  const sizes = topicData.flatMap(({ partitions }) =>
    partitions.map(({ messages }) => PARTITION_HEAD_BYTES + (messages as RecordBlock).size),
  )
  return {
    size: sizes.reduce((sum, size) => sum + size, PARTITION_HEAD_BYTES),
    write: (encoder) => {
      encoder.writeString(transactionalId).writeInt16(acks).writeInt32(timeout).writeInt32(topicData.length)
      for (const { topic, partitions } of topicData) {
        encoder.writeString(topic).writeInt32(partitions.length)
        for (const { partition, firstSequence, messages } of partitions) {
          encoder.writeInt32(partition)
          writeBatch(encoder, options, { firstSequence, block: messages as RecordBlock })
        }
      }
    },
  }
}

function writeBatch(
  encoder: Encoder,
  { transactionalId, producerId = { value: -1n }, producerEpoch = 0 }: ProduceOptions,
  { firstSequence, block }: { readonly firstSequence: number; readonly block: RecordBlock },
): void {
  const { bytes, length } = block
  const nowMs = Date.now()
  const head = new Encoder(BODY_HEAD_BYTES)
    .writeInt16(transactionalId ? TRANSACTIONAL : 0)
    .writeInt32(length - 1)
    .writeInt64(nowMs)
    .writeInt64(nowMs)
    .writeInt64(producerId)
    .writeInt16(producerEpoch)
    .writeInt32(firstSequence)
    .writeInt32(length).buffer
  const batchBytes = BATCH_HEAD_BYTES + head.length + bytes.length
  encoder
    .writeInt32(8 + 4 + batchBytes)
    .writeInt64(NO_OFFSET)
    .writeInt32(batchBytes)
    .writeInt32(NO_LEADER_EPOCH)
    .writeInt8(MAGIC)
    .writeUInt32(crc32c(bytes, crc32c(head)))
    .writeBufferInternal(head)
  encoder.writeBufferInternal(bytes)
}
