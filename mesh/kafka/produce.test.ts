import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mock } from 'node:test'
import fc from 'fast-check'
import './produce.ts'
import { RecordBlock, RecordBlocks } from './record-block.ts'

const require = createRequire(import.meta.url)

interface Encoded {
  readonly buffer: Buffer
}
type Request = (options: object) => object

const requestOf = require('kafkajs/src/protocol/requests/produce/v7/request.js') as Request
const sendingOf = require('kafkajs/src/protocol/request.js') as (sending: object) => Promise<Encoded>
const Long = require('kafkajs/src/utils/long.js') as { fromValue(value: bigint): object }

type Records = readonly (readonly [key: string, value: string])[]

const blockOf = (partition: number, records: Records): RecordBlock => {
  const block = new RecordBlock(partition)
  for (const [key, value] of records) block.append(key, value)
  return block
}

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom('', 'x'.repeat(63), 'x'.repeat(64), 'é'.repeat(40_000), '\ud800'),
)
const records = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 140 })
const topicData = fc.array(
  fc.record({
    topic: fc.string({ unit: fc.constantFrom('a', 'b', '.'), minLength: 1, maxLength: 20 }),
    partitions: fc.array(
      fc.record({ partition: fc.nat(1_000), firstSequence: fc.nat(2_000_000_000), messages: records }),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 3 },
)
const options = fc.record({
  acks: fc.constant(-1),
  timeout: fc.nat(60_000),
  transactionalId: fc.option(fc.string({ minLength: 1, maxLength: 20 }), { nil: undefined }),
  producerId: fc.option(fc.bigInt({ min: 0n, max: 2n ** 62n }).map(Long.fromValue), { nil: undefined }),
  producerEpoch: fc.nat(32_767),
  topicData,
})

describe('what is produced', () => {
  before(() => mock.timers.enable({ apis: ['Date'], now: 1_767_225_600_123 }))
  after(() => mock.timers.reset())

  it('from blocks has the bytes that the client makes of messages', async () => {
    await fc.assert(
      fc.asyncProperty(options, async (given) => {
        const withMessages = (make: (partition: number, some: Records) => unknown) => ({
          ...given,
          topicData: given.topicData.map(({ topic, partitions }) => ({
            topic,
            partitions: partitions.map((one) => ({ ...one, messages: make(one.partition, one.messages) })),
          })),
        })
        const sent = async (request: object): Promise<Buffer> =>
          (await sendingOf({ correlationId: 7, clientId: 'é-1', request })).buffer
        const plain = requestOf(withMessages((_, some) => some.map(([key, value]) => ({ key, value }))))
        const blocks = requestOf(withMessages((partition, some) => blockOf(partition, some)))
        const [expected, actual] = [await sent(plain), await sent(blocks)]
        assert(actual.equals(expected), `${actual.toString('hex')} instead of ${expected.toString('hex')}`)
      }),
      { numRuns: 200 },
    )
  })

  it('is not changed by what the memory of a block held before', () => {
    const first = blockOf(0, [['key', 'x'.repeat(30_000)]])
    first.release()
    assert.deepEqual([first.length, first.size], [0, 0])
    const again = blockOf(0, [['k', 'v']])
    assert.deepEqual(again.bytes, blockOf(0, [['k', 'v']]).bytes)
    const other = blockOf(0, [['other', 'value']])
    assert.deepEqual(again.bytes, blockOf(0, [['k', 'v']]).bytes)
    assert.notDeepEqual(again.bytes, other.bytes)
  })

  it('has the checksum of RFC 3720', () => {
    const checksum = require('kafkajs/src/protocol/recordBatch/crc32C/index.js') as (bytes: Buffer) => number
    assert.equal(checksum(Buffer.alloc(32)), 0x8a9136aa)
    assert.equal(checksum(Buffer.alloc(32, 0xff)), 0x62a8ab43)
  })

  it('goes to the partition of its block, or where each message belongs', () => {
    const group = require('kafkajs/src/producer/groupMessagesPerPartition.js') as (of: object) => object
    const given = { topic: 't', partitionMetadata: [{}, {}] }
    const partitioner = ({ message }: { message: { key: string } }) => Number(message.key)
    const block = blockOf(5, [['k', 'v']])
    assert.deepEqual(group({ ...given, messages: block, partitioner }), { 5: block })
    const messages = ['1', '0', '1'].map((key, index) => ({ key, value: String(index) }))
    assert.deepEqual(group({ ...given, messages, partitioner }), { 0: [messages[1]], 1: [messages[0], messages[2]] })
    assert.deepEqual(group({ ...given, messages, partitioner, partitionMetadata: [] }), {})
  })

  it('is cut into blocks, and a larger record has one of its own', () => {
    const all = new RecordBlocks(3, 100)
    for (const value of ['a'.repeat(60), 'b', 'c'.repeat(500), 'd', 'e']) all.append('k', value)
    assert.equal(all.count, 5)
    assert.deepEqual(
      all.blocks.map(({ partition, length }) => [partition, length]),
      [
        [3, 2],
        [3, 1],
        [3, 2],
      ],
    )
  })
})
