import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import pino from 'pino'
import { NOTHING_WRITTEN, type Progress, SteppedDown } from '#mesh/projection/positions.ts'
import { startKafka } from '#mesh/testing/servers.ts'
import { followTopics } from '../../test/support/kafka.ts'
import { brokersOf, createKafka } from './client.ts'
import { openKafkaSink, PositionLost, positionsAreThere, type RecordBatch, recordsOfSlot } from './sink.ts'
import { TopicIds } from './topic-id.ts'
import { TopicMismatch, topicsAreThere } from './topics.ts'

const log = pino({ level: 'silent' })
const TOPIC = 'things'
const place = (slot: number) => ({ projection: 'things', slot, positionTopic: TOPIC })

const batchOf = (slot: number, ...values: string[]): RecordBatch<object> => {
  const records = recordsOfSlot(slot)
  for (const value of values) records.append('k', value)
  return { add: () => {}, rowsCount: values.length, records: () => new Map([[TOPIC, records]]) }
}
const at = (frameSequence: number): Progress => ({ ...NOTHING_WRITTEN, frameSequence, frameHash: frameSequence * 3 })

describe('Kafka', function () {
  this.timeout(120_000)
  let server: Awaited<ReturnType<typeof startKafka>>
  let kafka: Kafka
  const warnings: string[] = []
  const onWarning = ({ name }: Error) => void warnings.push(name)

  before(async function () {
    this.timeout(300_000)
    process.on('warning', onWarning)
    server = await startKafka()
    kafka = createKafka({ kafkaUrl: server.url, clientId: 'test', log })
    const service = { log, shutdown: new AbortController().signal }
    assert(await topicsAreThere(service, kafka, [{ topic: TOPIC, partitions: 3, bySlot: true }]))
  })
  after(async () => {
    process.off('warning', onWarning)
    await server?.stop()
  })

  const open = (slot: number) => openKafkaSink(kafka, place(slot), { log })
  /** What a reader of committed records sees of a slot. */
  const valuesOf = async (slot: number, count: number): Promise<string[]> => {
    const values: string[] = []
    const stop = await followTopics(kafka, [TOPIC], (messages) => {
      for (const { partition, message } of messages) if (partition === slot) values.push(String(message.value))
    })
    for (let waited = 0; values.length < count && waited < 30_000; waited += 50) await sleep(50)
    await stop()
    return values
  }

  it('keeps records and position together', async () => {
    const first = await open(0)
    assert.deepEqual(first.progress, NOTHING_WRITTEN)
    await first.write(batchOf(0, 'a', 'b'), { from: NOTHING_WRITTEN, to: at(5) })
    await first.write(batchOf(0, 'c'), { from: at(5), to: at(9) })
    first.close()
    const second = await open(0)
    assert.deepEqual(second.progress, at(9))
    await second.write(batchOf(0, 'x'.repeat(700_000), 'y'.repeat(700_000), 'd'), { from: at(9), to: at(10) })
    second.close()
    assert.deepEqual(
      (await valuesOf(0, 6)).map((value) => value.slice(-1)),
      ['a', 'b', 'c', 'x', 'y', 'd'],
    )
  })

  it('locks out who wrote the slot before, and undoes what he left open', async () => {
    const zombie = await open(1)
    await zombie.write(batchOf(1, 'once'), { from: NOTHING_WRITTEN, to: at(1) })
    // A transaction with records that were sent, and no end.
    const dying = kafka.producer({ transactionalId: 'things-1', idempotent: true, maxInFlightRequests: 1 })
    await dying.connect()
    const transaction = await dying.transaction()
    await transaction.send({ topic: TOPIC, messages: [{ key: 'k', value: 'never', partition: 1 }] })
    const successor = await open(1)
    assert.deepEqual(successor.progress, at(1))
    await successor.write(batchOf(1, 'twice'), { from: at(1), to: at(2) })
    await assert.rejects(zombie.write(batchOf(1, 'late'), { from: at(1), to: at(2) }), SteppedDown)
    await assert.rejects(transaction.commit())
    assert.deepEqual(await valuesOf(1, 2), ['once', 'twice'])
    for (const sink of [zombie, successor]) sink.close()
    await dying.disconnect()
  })

  it('refuses to go on where records are and no position is', async () => {
    const projection = 'others'
    assert.equal(await positionsAreThere(kafka, { projection, positionTopic: TOPIC }), false)
    await assert.rejects(openKafkaSink(kafka, { ...place(0), projection }, { log }), PositionLost)
  })

  it('refuses a topic whose partitions are not the slots', async () => {
    const warned = Promise.withResolvers<Error>()
    const shutdown = new AbortController()
    const listening = pino({ level: 'info' }, { write: (line: string) => warned.resolve(JSON.parse(line).err) })
    const asked = topicsAreThere({ log: listening, shutdown: shutdown.signal }, kafka, [
      { topic: TOPIC, partitions: 4, bySlot: true },
    ])
    assert.match((await warned.promise).message, /has 3 partitions; 4 are needed/)
    shutdown.abort()
    assert.equal(await asked, false)
    assert.equal(new TopicMismatch('').code, 'topic_mismatch')
  })

  it('tells topics of one name apart', async () => {
    const topicIds = new TopicIds(['127.0.0.1:1', ...brokersOf(server.url)])
    const admin = kafka.admin()
    await admin.connect()
    const ids: (string | undefined)[] = [await topicIds.of('made-anew')]
    for (let round = 0; round < 2; round++) {
      await admin.createTopics({ topics: [{ topic: 'made-anew', numPartitions: 1 }], waitForLeaders: false })
      let id: string | undefined
      while (id === undefined) id = await topicIds.of('made-anew')
      ids.push(id)
      await admin.deleteTopics({ topics: ['made-anew'] })
      while ((await topicIds.of('made-anew')) !== undefined) await sleep(20)
    }
    await admin.disconnect()
    assert.equal(ids[0], undefined)
    assert.match(ids[1] ?? '', /^[A-Za-z0-9_-]{22}$/)
    assert.notEqual(ids[1], ids[2])
    topicIds.close()
    assert.equal(await topicIds.of('made-anew'), undefined)
    await assert.rejects(new TopicIds(['127.0.0.1:1']).of('made-anew'), /ECONNREFUSED/)
  })

  it('sets no timers for nothing', () => {
    assert.deepEqual(
      warnings.filter((name) => name === 'TimeoutNegativeWarning'),
      [],
    )
  })

  it('is named by its brokers', () => {
    assert.deepEqual(brokersOf('kafka://one:9093,two'), ['one:9093', 'two:9092'])
    for (const wrong of ['one:9092', 'kafka://', 'kafka://one:x', 'http://one:9092', 'kafka://user:pw@one:9092']) {
      assert.throws(() => brokersOf(wrong), { code: 'config_invalid' }, wrong)
    }
  })
})
