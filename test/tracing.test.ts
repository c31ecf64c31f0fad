import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import jaeger from 'jaeger-client'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import { type SeededMember, seedMembers } from '#mesh/seeding.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, Rpc, slotReadSubject } from '#mesh/subjects.ts'
import { type CollectedSpan, type Collector, startCollector } from '#mesh/telemetry/testing/collector.ts'
import { startKafka, startRabbitmq } from '#mesh/testing/servers.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { createFindWay } from '#services/operator-page/way/way.ts'
import { fundMembers } from '../bench/support/fund.ts'
import { runCommandLine } from '../exchange/cli.ts'
import { Client, type Response } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { kafkaClient } from './support/kafka.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'
import { RabbitmqClient } from './support/rabbitmq.ts'
import { StreamClient } from './support/stream.ts'

const GIFT = { BTC: 1_000n * 10n ** 8n, USDT: 100_000_000n * 10n ** 8n }
const ACCOUNT_SLOTS = 4
const SAMPLED = { 'x-trace-sampled': '1' }
const SLOW = { TRACE_SLOW_MS: '1' }
/** Clocks of one machine, but of several processes. */
const CLOCKS_US = 2_000

describe('tracing, as a collector gets it', function () {
  this.timeout(60_000)
  let collector: Collector
  let mesh: TestMesh
  let rabbitmq: Awaited<ReturnType<typeof startRabbitmq>>
  let kafka: Awaited<ReturnType<typeof startKafka>>
  let admin: Client
  let adminId: number
  let member: SeededMember
  let seller: Client

  before(async function () {
    this.timeout(180_000)
    collector = await startCollector()
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER_ARG: '0',
      TRACE_SLOW_MS: '3600000',
      PASSWORD_COST_LOG2: '10',
    }
    ;[mesh, rabbitmq, kafka] = await Promise.all([startMesh({ env }), startRabbitmq(), startKafka()])
    await mesh.add('push-orders')
    const anyone = new Client(mesh.urls)
    admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
    const nats = await connectTo(mesh)
    ;[member] = (await seedMembers(nats, { count: 1 })) as [SeededMember]
    seller = anyone.as(member.accessToken)
    const { members } = (await admin.ok('GET', '/admin/members')) as { members: { id: string; email: string }[] }
    adminId = Number(members.find(({ email }) => email === mesh.admin.email)?.id)
    await fundMembers(nats, { accountSlots: ACCOUNT_SLOTS, memberIds: [member.memberId, adminId], gift: GIFT })
    await nats.close()
  })
  after(async () => {
    await mesh?.stop()
    await Promise.all([rabbitmq?.stop(), kafka?.stop()])
    await collector?.[Symbol.asyncDispose]()
  })

  const traceIdOf = ({ headers }: Response): string => headers.get('trace-id') ?? ''
  const spansOf = (traceId: string): CollectedSpan[] =>
    collector.spans
      // An edge asks for ids now and then, for whichever request is the next.
      .filter((span) => span.traceId === traceId && !span.name.endsWith(Rpc.guidBlock))
      .sort((a, b) => a.startUs - b.startUs)
  /** The spans of a trace, when these names, with their services, are all there; each as often as it is told. */
  const untilThere = async (traceId: string, names: readonly string[]): Promise<CollectedSpan[]> => {
    const sorted = [...names].sort()
    await eventually(() => {
      const found = spansOf(traceId).map(({ service, name }) => `${service}: ${name}`)
      assert.deepEqual(found.sort(), sorted)
    })
    return spansOf(traceId)
  }
  const named = (spans: readonly CollectedSpan[], name: string, orderId?: string): CollectedSpan => {
    const found = spans.find(
      (span) => span.name === name && (orderId === undefined || span.attributes['exchange.order.id'] === orderId),
    )
    assert(found, `${name} ${orderId ?? ''}`)
    return found
  }
  const isChild = (child: CollectedSpan, parent: CollectedSpan): void =>
    assert.equal(child.parentSpanId, parent.spanId, `${child.name} under ${parent.name}`)
  const sell = (price: string, amount = '0.1') => ({ instrument: 'BTC-USDT', side: 'sell', price, amount })
  const buy = (price: string, amount = '0.1') => ({ ...sell(price, amount), side: 'buy' })

  it('shows the whole way of one order: each service, the waits as gaps, both settlements, MySQL and the push', async () => {
    using stream = await StreamClient.connect(mesh.urls[0] ?? '', member.accessToken)
    await stream.ok({ op: 'subscribe', channels: ['orders'] })
    const resting = await seller.ok('POST', '/order', sell('60000'))
    const answer = await admin.call('POST', '/order', buy('60000'), SAMPLED)
    assert.deepEqual([answer.status, answer.body.status], [201, 'executed'])
    const orderId = answer.body.id
    const spans = await untilThere(traceIdOf(answer), [
      'gateway: POST /order',
      'gateway: append PlaceOrder',
      'accounts: accounts PlaceOrder',
      'engine: engine EnterOrder',
      'gateway: reply',
      'accounts: accounts OrderOutcome',
      'accounts: accounts OrderOutcome',
      // As placed, and each side as executed.
      'orders: write orders',
      'orders: write orders',
      'orders: write orders',
      'push-orders: tell orders',
      'push-orders: tell orders',
      'push-orders: tell orders',
      'push-orders: tell fills',
      'push-orders: tell fills',
      // Only the seller listens.
      'gateway: push orders',
    ])
    const request = named(spans, 'POST /order')
    const append = named(spans, 'append PlaceOrder')
    const accounts = named(spans, 'accounts PlaceOrder')
    const engine = named(spans, 'engine EnterOrder')
    const reply = named(spans, 'reply')
    const own = named(spans, 'accounts OrderOutcome', orderId)
    const met = named(spans, 'accounts OrderOutcome', resting.id)
    assert.equal(request.parentSpanId, '')
    assert.equal(request.attributes['exchange.order.id'], orderId)
    assert.equal(request.attributes['http.response.status_code'], 201)
    isChild(append, request)
    isChild(accounts, append)
    isChild(engine, accounts)
    isChild(reply, engine)
    isChild(own, engine)
    isChild(met, engine)
    const pushed = named(spans, 'push orders')
    const told = spans.find(({ spanId }) => spanId === pushed.parentSpanId)
    assert.equal(told?.name, 'tell orders')
    assert.equal(told.parentSpanId, met.spanId)
    // Work follows work with a gap in between, which is the wait in a log.
    for (const [before, after] of [
      [request, accounts],
      [accounts, engine],
      [engine, reply],
      [engine, own],
    ] as const) {
      assert(after.startUs > before.startUs - CLOCKS_US, `${after.name} begins after ${before.name}`)
    }
    for (const waiting of [accounts, engine, own, met]) {
      const waitUs = waiting.attributes['exchange.log.wait_us']
      assert(typeof waitUs === 'number' && waitUs >= 0 && waitUs < 10_000_000, `${waiting.name}: ${waitUs}`)
    }
    assert(Math.abs(request.endUs - reply.endUs) < CLOCKS_US)
  })

  it('links what was done for many orders at once, frames and transactions, with each of them', async () => {
    const answer = await admin.call('POST', '/order', buy('1000'), SAMPLED)
    const spans = await untilThere(traceIdOf(answer), [
      'gateway: POST /order',
      'gateway: append PlaceOrder',
      'accounts: accounts PlaceOrder',
      'engine: engine EnterOrder',
      'gateway: reply',
      'accounts: accounts OrderOutcome',
      'orders: write orders',
      'orders: write orders',
      'push-orders: tell orders',
      'push-orders: tell orders',
    ])
    for (const [name, batchName] of [
      ['accounts PlaceOrder', /^frame accounts-[0-9]$/],
      ['engine EnterOrder', /^frame markets-[0-9]$/],
      ['write orders', /^write orders batch$/],
    ] as const) {
      const one = named(spans, name)
      const [link] = one.links
      const batch = collector.spans.find(({ spanId, traceId }) => spanId === link?.spanId && traceId === link.traceId)
      assert.match(batch?.name ?? '', batchName)
      assert.equal(batch?.parentSpanId, '', 'a batch is a trace of its own')
      assert(batch.links.some(({ traceId, spanId }) => traceId === one.traceId && spanId === one.spanId))
    }
  })

  it('goes on in the trace of a caller, by traceparent, whatever he says of sampling', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const traceparent = `00-${traceId}-b7ad6b7169203331-01`
    const answer = await seller.call('GET', '/orders?status=open', undefined, { traceparent, ...SAMPLED })
    assert.equal(traceIdOf(answer), traceId)
    const sampled = await admin.call('GET', '/orders?status=open', undefined, { traceparent, ...SAMPLED })
    assert.equal(traceIdOf(sampled), traceId)
    const subject = slotReadSubject(Log.accounts, accountSlotOf(adminId, ACCOUNT_SLOTS))
    const spans = await untilThere(traceId, [
      'gateway: GET /orders',
      `gateway: ask ${subject}`,
      `accounts: answer ${subject}`,
    ])
    // One request's, not both.
    assert.equal(spans[0]?.parentSpanId, 'b7ad6b7169203331')
  })

  it('goes on in the trace of an old Jaeger client', async () => {
    const sent: Record<string, string> = {}
    const tracer = jaeger.initTracer(
      { serviceName: 'old', sampler: { type: 'const', param: 1 } },
      { reporter: { report: () => {}, close: (done?: () => void) => done?.(), setProcess: () => {} } },
    )
    const span = tracer.startSpan('an order of ours')
    tracer.inject(span, jaeger.opentracing.FORMAT_HTTP_HEADERS, sent)
    assert.deepEqual(Object.keys(sent), ['uber-trace-id'])
    const answer = await admin.call('POST', '/order', buy('1001'), { ...sent, ...SAMPLED })
    const context = span.context()
    const [traceId = '', spanId = ''] = context.toString().split(':')
    assert.equal(traceIdOf(answer), traceId.padStart(32, '0'))
    await eventually(() => {
      const request = spansOf(traceIdOf(answer)).find(({ name }) => name === 'POST /order')
      assert.equal(request?.parentSpanId, spanId.padStart(16, '0'))
    })
    span.finish()
    tracer.close()
  })

  it('says the trace of every answer, also of refusals, and keeps nothing of what is not sampled', async () => {
    const spansBefore = collector.spans.length
    const answers = [
      await seller.call('POST', '/order', sell('61000')),
      await seller.call('POST', '/order', { instrument: 'BTC-USDT' }),
      await seller.call('GET', '/no-such-thing'),
      await new Client(mesh.urls).call('GET', '/markets'),
    ]
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 400, 404, 200],
    )
    for (const answer of answers) {
      assert.match(traceIdOf(answer), /^[0-9a-f]{32}$/)
      if (answer.status >= 400) assert.equal(answer.body.traceId, traceIdOf(answer))
    }
    assert.equal(new Set(answers.map(traceIdOf)).size, answers.length)
    using stream = await StreamClient.connect(mesh.urls[0] ?? '', member.accessToken)
    const placed = await stream.ask({ op: 'place', order: sell('61001') })
    assert.deepEqual([placed.type, placed.status], ['result', 201], JSON.stringify(placed))
    assert.match(placed.traceId, /^[0-9a-f]{32}$/)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const ours = new Set(answers.map(traceIdOf))
    assert.deepEqual(
      collector.spans.slice(spansBefore).filter(({ traceId }) => ours.has(traceId)),
      [],
    )
  })

  it('is found by the id of the order, as the operator looks it up', async () => {
    const nats = await connectTo(mesh)
    const definitions = await followDefinitions(
      nats,
      () => {},
      (error) => assert.fail(String(error)),
    )
    try {
      const shape = { accountSlots: ACCOUNT_SLOTS, marketSlots: 4 }
      const findWay = createFindWay({ nats, shape, definitions, pool: undefined })
      const sampled = await admin.call('POST', '/order', buy('1003'), SAMPLED)
      const other = await admin.call('POST', '/order', buy('1003'))
      assert.equal((await findWay(Number(sampled.body.id), adminId)).traceId, traceIdOf(sampled))
      assert.equal((await findWay(Number(other.body.id), adminId)).traceId, null)
    } finally {
      await definitions.stop()
      await nats.close()
    }
  })

  it('writes the whole trace of a slow order afterwards, and a line with its trace and order', async () => {
    const { url, name } = await mesh.add('gateway', SLOW)
    const answer = await new Client([url]).as(member.accessToken).call('POST', '/order', sell('62000'))
    assert.equal(answer.status, 201)
    const spans = await untilThere(traceIdOf(answer), [
      'gateway: POST /order',
      'gateway: append PlaceOrder',
      'accounts: accounts PlaceOrder',
      'engine: engine EnterOrder',
      'gateway: reply',
    ])
    const request = named(spans, 'POST /order')
    assert.equal(request.attributes['exchange.trace.afterwards'], 'slow')
    const way = ['append PlaceOrder', 'accounts PlaceOrder', 'engine EnterOrder', 'reply'].map((one) =>
      named(spans, one),
    )
    for (const [at, span] of way.entries()) {
      isChild(span, at === 0 ? request : (way[at - 1] ?? request))
      assert(span.startUs >= request.startUs - CLOCKS_US && span.endUs <= request.endUs + CLOCKS_US, span.name)
      assert(span.endUs >= span.startUs)
      if (at > 0) assert(span.startUs >= (way[at - 1]?.startUs ?? 0) - CLOCKS_US, span.name)
    }
    const lines = logOf(name).filter(({ traceId }) => traceId === traceIdOf(answer))
    assert.deepEqual(
      lines.map(({ msg, orderId }) => [msg, orderId]),
      [['a request was slow', answer.body.id]],
    )
  })

  it('writes the trace of a request that failed, with what is known of it', async () => {
    const { url } = await mesh.add('gateway', { RESULT_MS_MAX: '300' })
    const engine = mesh.process('engine')
    assert(engine.pid)
    process.kill(engine.pid, 'SIGSTOP')
    let answer: Response
    try {
      answer = await new Client([url]).as(member.accessToken).call('POST', '/order', sell('63000'))
    } finally {
      process.kill(engine.pid, 'SIGCONT')
    }
    assert.deepEqual([answer.status, answer.body.code], [504, 'outcome_unknown'])
    await eventually(() => {
      const spans = spansOf(traceIdOf(answer))
      const request = named(spans, 'POST /order')
      assert.equal(request.attributes['exchange.trace.afterwards'], 'failed')
      assert.equal(request.error, 'outcome_unknown')
      isChild(named(spans, 'append PlaceOrder'), request)
      isChild(named(spans, 'append VoidOrder'), request)
      isChild(named(spans, 'accounts VoidOrder'), named(spans, 'append VoidOrder'))
    })
  })

  it('has MySQL and Redis in the trace of a read, and whether the cache knew it', async () => {
    const { url } = await mesh.add('gateway', { OTEL_TRACES_SAMPLER_ARG: '1' })
    const client = new Client([url]).as(member.accessToken)
    const history = await client.call('GET', '/orders')
    await eventually(() => {
      const spans = spansOf(traceIdOf(history))
      isChild(named(spans, 'ask rpc.orders.query'), named(spans, 'GET /orders'))
      isChild(named(spans, 'answer rpc.orders.query'), named(spans, 'ask rpc.orders.query'))
      const statements = spans.filter(({ name, service }) => name === 'mysql SELECT' && service === 'orders')
      assert(statements.some(({ attributes }) => /FROM orders/.test(String(attributes['db.query.text']))))
      for (const statement of statements) isChild(statement, named(spans, 'answer rpc.orders.query'))
    })
    const found: unknown[] = []
    for (const path of ['/markets/BTC-USDT/orderbook', '/markets/BTC-USDT/orderbook']) {
      const book = await client.call('GET', path)
      assert.equal(book.status, 200, JSON.stringify(book.body))
      await eventually(() => {
        const spans = spansOf(traceIdOf(book))
        const request = spans.find(({ parentSpanId }) => parentSpanId === '')
        assert(request)
        const { 'exchange.cache': cache } = request.attributes
        found.push(cache)
        if (cache === 'miss') isChild(named(spans, 'redis GET'), request)
      })
    }
    assert.deepEqual(found, ['miss', 'memory'])
  })

  describe('of orders from brokers', () => {
    const whole = (broker: string): string[] => [
      `ingest-${broker}: take from ${broker}`,
      `ingest-${broker}: append PlaceOrder`,
      'accounts: accounts PlaceOrder',
      'engine: engine EnterOrder',
      'accounts: accounts OrderOutcome',
      'orders: write orders',
      'orders: write orders',
      'push-orders: tell orders',
      'push-orders: tell orders',
    ]
    const ALL = { OTEL_TRACES_SAMPLER_ARG: '1' }
    const order = (clientOrderId: string) => ({
      version: 1,
      sentAt: new Date().toISOString(),
      clientOrderId,
      ...sell('70000', '0.01'),
    })
    const checkWay = (spans: readonly CollectedSpan[], broker: string, parentSpanId: string): void => {
      const take = named(spans, `take from ${broker}`)
      assert.equal(take.parentSpanId, parentSpanId)
      assert.equal(take.attributes['messaging.system'], broker)
      isChild(named(spans, 'append PlaceOrder'), take)
      isChild(named(spans, 'accounts PlaceOrder'), named(spans, 'append PlaceOrder'))
      isChild(named(spans, 'engine EnterOrder'), named(spans, 'accounts PlaceOrder'))
    }

    it('goes from RabbitMQ to MySQL', async () => {
      await mesh.add('ingest-rabbitmq', { RABBITMQ_URL: rabbitmq.url, ...ALL })
      await using client = await RabbitmqClient.connect(rabbitmq.url)
      const traceId = '11111111111111112222222222222222'
      await client.send({
        queue: 'orders.new',
        token: member.accessToken,
        body: order('traced-rabbitmq'),
        headers: { traceparent: `00-${traceId}-3333333333333333-00` },
      })
      const names = [...whole('rabbitmq'), 'ingest-rabbitmq: write results-rabbitmq']
      checkWay(await untilThere(traceId, names), 'rabbitmq', '3333333333333333')
    })

    it('goes from Kafka to MySQL', async () => {
      await mesh.add('ingest-kafka', { KAFKA_URL: kafka.url, ...ALL })
      const producer = kafkaClient(kafka.url).producer()
      await producer.connect()
      const traceId = '44444444444444445555555555555555'
      const headers = {
        authorization: `Bearer ${member.accessToken}`,
        'uber-trace-id': `${traceId}:6666666666666666:0:1`,
      }
      const value = JSON.stringify({ command: 'place', ...order('traced-kafka') })
      await producer.send({
        topic: 'orders.commands',
        messages: [{ key: String(member.memberId), value, headers }],
      })
      await producer.disconnect()
      // Results go to Kafka as a projection.
      const results = Array<string>(2).fill('ingest-kafka: write orders-results')
      checkWay(await untilThere(traceId, [...whole('kafka'), ...results]), 'kafka', '6666666666666666')
    })
  })

  it('is switched by an operator while everything runs: off, for every request, and as it is configured', async () => {
    const exchange = (...args: string[]) => runCommandLine(['tracing', ...args, '--json'], { NATS_URL: mesh.natsUrl })
    const told = async (...args: string[]): Promise<unknown[]> => {
      const { output, exitCode } = await exchange(...args)
      assert.equal(exitCode, 0, output)
      const { instances } = JSON.parse(output) as { instances: { tracing: unknown }[] }
      return [...new Set(instances.map(({ tracing }) => tracing))]
    }
    assert.deepEqual(await told('off'), ['off'])
    const before = collector.spans.length
    const untraced = await seller.call('POST', '/order', buy('1003'))
    assert.deepEqual([untraced.status, untraced.headers.get('trace-id')], [201, null])
    assert.deepEqual(await told('1'), [1])
    await mesh.restart('engine')
    const traced = await seller.call('POST', '/order', buy('1004'))
    assert.equal(traced.status, 201)
    await eventually(() => {
      const services = new Set(spansOf(traceIdOf(traced)).map(({ service }) => service))
      assert.deepEqual([...services].sort(), ['accounts', 'engine', 'gateway', 'orders', 'push-orders'])
    })
    assert.deepEqual(
      collector.spans
        .slice(before)
        .filter(({ name }) => name === 'POST /order')
        .map(({ traceId }) => traceId),
      [traceIdOf(traced)],
    )
    assert.equal((await exchange('1.5')).exitCode, 2)
    await told('default')
    await eventually(async () => assert((await told()).includes(0)))
  })

  it('changes no state: the machines come to the same hashes when they start anew, and the audit finds all in order', async () => {
    await Promise.all([mesh.restart('accounts'), mesh.restart('engine')])
    const answer = await admin.call('POST', '/order', buy('1002'), SAMPLED)
    assert.equal(answer.status, 201)
    const { difference } = await auditMesh({ ...mesh, rate: 0, waitMs: 20_000 })
    assert.equal(difference, undefined, `${difference?.check} ${difference?.slot} ${difference?.message}`)
  })

  function logOf(name: string): Readonly<Record<string, unknown>>[] {
    const { output } = mesh.process(name).spec
    assert(output !== undefined && 'file' in output)
    const lines = readFileSync(output.file, 'utf8').split('\n')
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>)
  }
})
