import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka, Producer } from 'kafkajs'
import { brokersOf } from '#mesh/kafka/client.ts'
import { TopicIds } from '#mesh/kafka/topic-id.ts'
import { type SeededMember, seedMembers } from '#mesh/seeding.ts'
import { startKafka } from '#mesh/testing/servers.ts'
import { fundMembers } from '../bench/support/fund.ts'
import { Client } from './support/client.ts'
import { kafkaClient, readTopics, type TopicReader } from './support/kafka.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'

const COMMANDS = 'orders.commands'
const RESULTS = 'orders.results'
const DEAD_LETTERS = 'orders.dead-letters'
const EVENTS = ['orders', 'balances', 'members', 'deals', 'books', 'definitions'].map((name) => `exchange.${name}.v1`)
const GIFT = { BTC: 1_000n * 10n ** 8n, USDT: 100_000_000n * 10n ** 8n }

type Json = Record<string, unknown>

describe('orders from Kafka, and the event log to it', function () {
  this.timeout(180_000)
  let server: Awaited<ReturnType<typeof startKafka>>
  let mesh: TestMesh
  let kafka: Kafka
  let producer: Producer
  let seller: SeededMember
  let buyer: SeededMember
  let results: TopicReader
  let deadLetters: TopicReader

  before(async function () {
    this.timeout(300_000)
    ;[server, mesh] = await Promise.all([startKafka(), startMesh()])
    kafka = kafkaClient(server.url)
    const env = { KAFKA_URL: server.url }
    await Promise.all([mesh.add('ingest-kafka', env), mesh.add('event-log', env)])
    const nats = await connectTo(mesh)
    const members = await seedMembers(nats, { count: 2 })
    const memberIds = members.map(({ memberId }) => memberId)
    await fundMembers(nats, { accountSlots: 4, memberIds, gift: GIFT })
    await nats.close()
    ;[seller, buyer] = members as [SeededMember, SeededMember]
    producer = kafka.producer()
    await producer.connect()
    results = await readTopics(kafka, [RESULTS])
    deadLetters = await readTopics(kafka, [DEAD_LETTERS])
  })
  after(async () => {
    await Promise.all([results?.stop(), deadLetters?.stop(), producer?.disconnect()])
    await mesh?.stop()
    await server?.stop()
  })

  const headersOf = (member: SeededMember) => ({ authorization: `Bearer ${member.accessToken}` })
  const command = (member: SeededMember, fields: Json) => ({
    key: String(member.memberId),
    value: JSON.stringify({ version: 1, command: 'place', sentAt: new Date().toISOString(), ...fields }),
    headers: headersOf(member),
  })
  const order = (member: SeededMember, side: 'buy' | 'sell', clientOrderId: string, fields: Json = {}) =>
    command(member, { clientOrderId, instrument: 'BTC-USDT', side, price: '60000', amount: '0.001', ...fields })
  const send = (...messages: ReturnType<typeof command>[]) => producer.send({ topic: COMMANDS, messages })
  const resultsOf = (requestId: string): Json[] =>
    results.messages
      .map(({ message }) => JSON.parse(String(message.value)) as Json)
      .filter((result) => result.requestId === requestId)
  const outcomesOf = (requestId: string): unknown[] => resultsOf(requestId).map(({ outcome }) => outcome)
  const run = (prefix: string) => `${prefix}-${randomUUID().slice(0, 8)}`

  it("fills orders, and tells each of its outcomes in the member's own order", async () => {
    const [sell, buy] = [run('sell'), run('buy')]
    await send(order(seller, 'sell', sell))
    await results.until(() => resultsOf(sell).length === 1)
    await send(order(buyer, 'buy', buy))
    await results.until(() => resultsOf(buy).length === 1 && resultsOf(sell).length === 2)
    assert.deepEqual(outcomesOf(sell), ['accepted', 'closed'])
    assert.deepEqual(outcomesOf(buy), ['closed'])
    const [filled] = resultsOf(buy)
    assert(filled)
    const { status, executedAmount } = filled.order as Json
    assert.deepEqual([status, executedAmount, filled.memberId], ['executed', '0.001', String(buyer.memberId)])
  })

  it('cancels and amends', async () => {
    const [id, amend, cancel] = [run('order'), run('amend'), run('cancel')]
    await send(
      order(seller, 'sell', id, { price: '70000' }),
      command(seller, {
        command: 'amend',
        requestId: amend,
        clientOrderId: id,
        instrument: 'BTC-USDT',
        amount: '0.002',
      }),
      command(seller, { command: 'cancel', requestId: cancel, clientOrderId: id }),
    )
    await results.until(() => resultsOf(cancel).length === 1)
    assert.deepEqual(
      [...outcomesOf(id), ...outcomesOf(amend), ...outcomesOf(cancel)],
      ['accepted', 'updated', 'closed'],
    )
  })

  it('carries a repeat out once', async () => {
    const id = run('twice')
    const message = order(seller, 'sell', id, { price: '80000' })
    await send(message, message)
    await send(message)
    await results.until(() => resultsOf(id).length === 3)
    // A repeat is answered by the account's slot, and need not wait for the market.
    assert.deepEqual(outcomesOf(id).sort(), ['accepted', 'repeated', 'repeated'])
  })

  it('refuses what breaks a rule of the market or of the time, with its code', async () => {
    const [market, tick, old] = [run('market'), run('tick'), run('old')]
    await send(
      order(seller, 'sell', market, { instrument: 'DOGE-USDT' }),
      order(seller, 'sell', tick, { price: '60000.001' }),
      order(seller, 'sell', old, { sentAt: '2020-01-01T00:00:00Z' }),
    )
    await results.until(() => [market, tick, old].every((id) => resultsOf(id).length > 0))
    const codes = [market, tick, old].map((id) => resultsOf(id)[0]?.code)
    assert.deepEqual(codes, ['market_unknown', 'too_many_decimals', 'too_old'])
  })

  it('keeps what is no command among the dead letters, with the reason, and goes on', async () => {
    const good = order(buyer, 'buy', run('good'), { price: '50000' })
    const { value } = good
    const cases: [string, { key?: string; value: string | null; headers?: Record<string, string> }][] = [
      ['json_invalid', { ...good, value: value.slice(0, 40) }],
      ['json_invalid', { ...good, value: null }],
      ['token_missing', { key: good.key, value }],
      ['token_malformed', { ...good, headers: { authorization: 'Bearer nonsense' } }],
      ['version_unknown', { ...good, value: value.replace('"version":1', '"version":7') }],
      ['invalid_value', { ...good, value: value.replace('"side":"buy"', '"side":"both"') }],
      ['wrong_type', { ...good, value: value.replace('"price":"50000"', '"price":50000') }],
      ['member_not_listed', { ...good, headers: { ...good.headers, 'x-member-id': '12345' } }],
      ['message_too_large', { ...good, value: ' '.repeat(10 * 1024 * 1024) }],
    ]
    const before = deadLetters.messages.length
    const messages = cases.map(([, message]) => message)
    await producer.send({ topic: COMMANDS, messages: messages.map((one) => ({ key: good.key, ...one })) })
    const after = order(buyer, 'buy', run('after'), { price: '50000' })
    await send(after)
    await results.until(() => resultsOf(JSON.parse(after.value).clientOrderId).length === 1)
    await deadLetters.until(() => deadLetters.messages.length >= before + cases.length)
    const kept = deadLetters.messages.slice(before).map(({ message }) => message)
    assert.deepEqual(
      kept.map(({ headers }) => String(headers?.['dead-letter-code'])),
      cases.map(([code]) => code),
    )
    assert.deepEqual(
      kept.map((message) => (message.value === null ? null : String(message.value))),
      messages.map((message) => message.value),
    )
    assert(kept.every(({ headers }) => headers?.authorization === undefined))
  })

  it('names a message without an identity by its place, which is another in a topic that was made anew', async () => {
    const anonymous = (price: string) => {
      const { clientOrderId: _, ...fields } = JSON.parse(order(seller, 'sell', 'none', { price }).value) as Json
      return command(seller, fields)
    }
    const identities = (price: string): unknown[] =>
      results.messages
        .map(({ message }) => JSON.parse(String(message.value)) as { requestId: string; order: Json | null })
        .filter((result) => result.order?.price === price)
        .map(({ requestId }) => requestId)
    const topicIds = new TopicIds(brokersOf(server.url))
    const idBefore = await topicIds.of(COMMANDS)
    await send(anonymous('91000'))
    await results.until(() => identities('91000').length === 1)

    const admin = kafka.admin()
    await admin.connect()
    const partitions = (await admin.fetchTopicMetadata({ topics: [COMMANDS] })).topics[0]?.partitions.length ?? 0
    await admin.deleteTopics({ topics: [COMMANDS] })
    while ((await topicIds.of(COMMANDS)) !== undefined) await sleep(50)
    await admin.createTopics({ topics: [{ topic: COMMANDS, numPartitions: partitions }], waitForLeaders: false })
    await admin.disconnect()
    let idAfter: string | undefined
    while (idAfter === undefined) idAfter = await topicIds.of(COMMANDS)
    topicIds.close()
    assert.notEqual(idAfter, idBefore)
    await producer.disconnect()
    await producer.connect()
    // The first messages of the new topic are at places where the old one had others.
    await send(anonymous('92000'), anonymous('93000'))
    await results.until(() => identities('92000').length === 1 && identities('93000').length === 1)
    assert(String(identities('91000')[0]).startsWith(`${idBefore}.`))
    assert(String(identities('92000')[0]).startsWith(`${idAfter}.`))
  })

  it('doubles nothing when instances come and go, and are killed, while orders pass', async () => {
    const name = run('many')
    const members = [seller, buyer]
    const batch = (from: number) =>
      Array.from({ length: 100 }, (_, index) => {
        const n = from + index
        const member = members[n % 2] ?? seller
        return { ...order(member, n % 2 === 0 ? 'sell' : 'buy', `${name}.${n}`), key: `${n % 7}` }
      })
    const sendAll = async () => {
      for (let from = 0; from < 3_000; from += 100) await send(...batch(from))
    }
    const disturb = async () => {
      await mesh.add('ingest-kafka', { KAFKA_URL: server.url })
      await mesh.restart('ingest-kafka')
      await mesh.restart('event-log')
      await mesh.process('ingest-kafka-2').kill()
    }
    await Promise.all([sendAll(), disturb()])
    const answered = () =>
      new Set(
        results.messages
          .map(({ message }) => JSON.parse(String(message.value)) as Json)
          .filter(({ cause, outcome }) => cause === 'placed' && outcome !== 'repeated')
          .map(({ requestId }) => String(requestId))
          .filter((id) => id.startsWith(`${name}.`)),
      )
    await results.until(() => answered().size === 3_000, 120_000)
    const placed = results.messages
      .map(({ message }) => JSON.parse(String(message.value)) as Json)
      .filter(
        ({ requestId, cause, outcome }) =>
          String(requestId).startsWith(`${name}.`) && cause === 'placed' && outcome !== 'repeated',
      )
    assert.equal(placed.length, 3_000)
    assert.equal(new Set(placed.map(({ orderId }) => orderId)).size, 3_000)
    assert.equal(
      new Set(results.messages.map(({ message }) => (JSON.parse(String(message.value)) as Json).id)).size,
      results.messages.length,
    )
  })

  it('has every event of every slot once and in order, though the event log and the broker were killed', async () => {
    await server.kill()
    const client = new Client(mesh.urls).as(seller.accessToken)
    const { id } = await client.ok('POST', '/order', {
      instrument: 'BTC-USDT',
      side: 'sell',
      type: 'limit',
      price: '99000',
      amount: '0.001',
    })
    await server.restart()
    const events = await readTopics(kafka, EVENTS)
    const eventOf = ({ message }: TopicReader['messages'][number]) => JSON.parse(String(message.value)) as Json
    await events.until(
      () => events.messages.map(eventOf).some((event) => (event.order as Json | undefined)?.id === id),
      120_000,
    )
    await sleep(1_000)
    await events.stop()

    const lastOf = new Map<string, string>()
    for (const one of events.messages) {
      const place = `${one.topic} ${one.partition}`
      const { slot, position } = eventOf(one)
      assert.equal(slot, one.partition)
      const sortable = String(position)
        .split('-')
        .map((part) => part.padStart(16, '0'))
        .join('-')
      assert(sortable > (lastOf.get(place) ?? ''), `${place}: ${position} follows ${lastOf.get(place)}`)
      lastOf.set(place, sortable)
    }
    const ofTopic = (topic: string) => events.messages.filter((one) => one.topic === topic).map(eventOf)
    const orders = ofTopic('exchange.orders.v1')
    const placed = new Set(orders.filter(({ type }) => type === 'OrderPlaced').map((event) => (event.order as Json).id))
    const told = results.messages.map(({ message }) => JSON.parse(String(message.value)) as Json)
    for (const { outcome, orderId } of told) if (outcome === 'accepted') assert(placed.has(orderId))
    // Each trade is one deal, and one fill of each of its two orders.
    const fills = orders
      .filter(({ type }) => type === 'OrderChanged')
      .flatMap((event) => (event.order as { fills: Json[] }).fills)
    assert.equal(fills.length, 2 * ofTopic('exchange.deals.v1').length)
    assert(fills.length > 1_000)
  })
})
