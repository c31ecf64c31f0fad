import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { createPool, type Row } from '#mesh/mysql.ts'
import type { SessionReply, TokenReply } from '#mesh/protocol/auth.ts'
import { callRpc } from '#mesh/rpc.ts'
import { type SeededMember, seedMembers } from '#mesh/seeding.ts'
import { Rpc } from '#mesh/subjects.ts'
import { startRabbitmq } from '#mesh/testing/servers.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { fundMembers } from '../bench/support/fund.ts'
import { Client } from './support/client.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'
import { RabbitmqClient, type Told } from './support/rabbitmq.ts'

const ACCOUNT_SLOTS = 4
const MEMBERS = 8

describe('orders from RabbitMQ', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  let rabbitmq: Awaited<ReturnType<typeof startRabbitmq>>
  let client: RabbitmqClient
  let nats: NatsConnection
  let members: SeededMember[]
  let ingestUrl: string
  let made = 0

  before(async function () {
    this.timeout(180_000)
    ;[mesh, rabbitmq] = await Promise.all([
      startMesh({ scale: { accounts: 2, engine: 2 }, env: { RATE_TRADE: '1000:1000' } }),
      startRabbitmq(),
    ])
    const ingest = await mesh.add('ingest-rabbitmq', { RABBITMQ_URL: rabbitmq.url })
    ingestUrl = ingest.url
    client = await RabbitmqClient.connect(rabbitmq.url)
    nats = await connectTo(mesh)
    members = await seedMembers(nats, { count: MEMBERS, lifetimeS: 3600 })
    const memberIds = members.map(({ memberId }) => memberId)
    const gift = { BTC: 1_000_000_000_000n, USDT: 1_000_000_000_000_000n }
    await fundMembers(nats, { accountSlots: ACCOUNT_SLOTS, memberIds, gift })
  })
  after(async () => {
    await client?.[Symbol.asyncDispose]()
    await nats?.close()
    await Promise.all([mesh?.stop(), rabbitmq?.stop()])
  })

  const member = (index: number): SeededMember => {
    const found = members[index]
    assert(found !== undefined)
    return found
  }
  const header = (ageMs = 0) => ({ version: 1, sentAt: new Date(Date.now() - ageMs).toISOString() })
  const newId = (): string => `own-${++made}`
  const place = async (who: SeededMember, order: object, ageMs = 0): Promise<string> => {
    const clientOrderId = newId()
    const body = { ...header(ageMs), clientOrderId, instrument: 'BTC-USDT', ...order }
    await client.send({ queue: 'orders.new', token: who.accessToken, body })
    return clientOrderId
  }
  const limit = (side: 'buy' | 'sell', price: string, amount: string) => ({ side, type: 'limit', price, amount })
  const toldOf = (requestId: string, ...outcomes: string[]): Promise<Told> =>
    client.result((told) => told.requestId === requestId && outcomes.includes(told.outcome))
  const rest = (who: SeededMember): Client => new Client(mesh.urls).as(who.accessToken)

  it('rest, are executed, and every side is told', async () => {
    const [seller, buyer] = [member(0), member(1)]
    const sell = await place(seller, limit('sell', '50000', '0.5'))
    const accepted = await toldOf(sell, 'accepted', 'rejected')
    assert.equal(accepted.routingKey, `${seller.memberId}.accepted`)
    const { order, ...rest } = accepted.body
    assert.deepEqual(rest, {
      version: 1,
      id: accepted.id,
      outcome: 'accepted',
      cause: 'placed',
      memberId: String(seller.memberId),
      requestId: sell,
      orderId: order.id,
      code: null,
      field: null,
    })
    assert.deepEqual([order.status, order.clientOrderId, order.amount], ['new', sell, '0.5'])

    const buy = await place(buyer, limit('buy', '50000', '0.2'))
    const closed = await toldOf(buy, 'closed', 'rejected')
    assert.equal(closed.body.cause, 'placed')
    assert.deepEqual([closed.body.order.status, closed.body.order.fills.length], ['executed', 1])
    const updated = await toldOf(sell, 'updated')
    assert.deepEqual([updated.body.cause, updated.body.order.executedAmount], ['matched', '0.2'])
    assert.equal(
      (await new Client(mesh.urls).as(seller.accessToken).ok('GET', `/order/${order.id}`)).status,
      'partially_filled',
    )
  })

  it('are amended and cancelled by whichever id, and a repeat of either does nothing', async () => {
    const who = member(2)
    const own = await place(who, limit('sell', '60000', '0.5'))
    const { orderId } = (await toldOf(own, 'accepted')).body
    const send = (queue: string, messageId: string, body: object) =>
      client.send({ queue, messageId, token: who.accessToken, body: { ...header(), ...body } })
    const amendment = { clientOrderId: own, instrument: 'BTC-USDT', amount: '0.4' }
    await send('orders.amend', 'amend-1', amendment)
    const updated = await toldOf('amend-1', 'updated', 'rejected')
    assert.deepEqual([updated.body.cause, updated.body.order.amount], ['amended', '0.4'])
    await send('orders.amend', 'amend-1', amendment)
    const repeated = await toldOf('amend-1', 'repeated')
    assert.equal(repeated.body.cause, 'amended')

    await send('orders.amend', 'amend-2', { ...amendment, instrument: 'ETH-USDT' })
    assert.equal((await toldOf('amend-2', 'rejected')).body.code, 'order_not_found')

    await send('orders.cancel', 'cancel-1', { orderId })
    const closed = await toldOf('cancel-1', 'closed', 'rejected')
    assert.deepEqual([closed.body.cause, closed.body.order.status], ['cancelled', 'cancelled'])
    await send('orders.cancel', 'cancel-1', { orderId })
    await toldOf('cancel-1', 'repeated')
    await send('orders.cancel', 'cancel-2', { orderId })
    assert.equal((await toldOf('cancel-2', 'rejected')).body.code, 'order_not_open')
  })

  it('are told to their sender when REST changes them, and REST orders are not told', async () => {
    const who = member(2)
    const own = await place(who, limit('sell', '60000', '0.1'))
    const { orderId } = (await toldOf(own, 'accepted')).body
    await rest(who).ok('DELETE', `/order/${orderId}`)
    const closed = await client.result(({ body, outcome }) => body.orderId === orderId && outcome === 'closed')
    assert.deepEqual([closed.body.requestId, closed.body.cause], [null, 'cancelled'])
    const { id } = await rest(who).ok('POST', '/order', { instrument: 'BTC-USDT', ...limit('sell', '60000', '0.1') })
    // By RabbitMQ it may be cancelled: that is told.
    await client.send({
      queue: 'orders.cancel',
      messageId: 'cancel-3',
      token: who.accessToken,
      body: { ...header(), orderId: id },
    })
    await toldOf('cancel-3', 'closed')
    assert.equal([...client.told.values()].filter(({ body }) => body.orderId === id).length, 1)
  })

  it('get the codes of REST for what their market does not take', async () => {
    const who = member(3)
    const cases: [object, string, string | null][] = [
      [limit('buy', '50000.001', '0.1'), 'too_many_decimals', 'price'],
      [{ ...limit('buy', '50000', '0.1'), instrument: 'DOGE-USDT' }, 'market_unknown', 'instrument'],
      [{ side: 'buy', type: 'market', amount: '0.1' }, 'missing_field', 'worstPrice'],
      [limit('buy', '50000', '300'), 'insufficient_balance', null],
      [{ ...limit('buy', '50000', '0.1'), worstPrice: '1' }, 'field_not_allowed', 'worstPrice'],
    ]
    for (const [order, code, field] of cases) {
      const told = await toldOf(await place(who, order), 'rejected', 'accepted', 'closed')
      assert.deepEqual([told.body.code, told.body.field], [code, field])
    }
  })

  it('can be market orders with a worst price', async () => {
    await toldOf(await place(member(0), limit('sell', '51000', '1')), 'accepted', 'closed')
    const bought = await place(member(3), { side: 'buy', type: 'market', quoteAmount: '1000', worstPrice: '52000' })
    const told = await toldOf(bought, 'closed', 'rejected')
    assert.equal(told.body.order.status, 'executed')
  })

  it('that come twice are one order, and another content under the same name is refused', async () => {
    const who = member(4)
    const body = { ...header(), instrument: 'BTC-USDT', ...limit('sell', '70000', '0.1') }
    const message = { queue: 'orders.new', messageId: 'message-1', token: who.accessToken, body }
    await client.send(message)
    const first = await toldOf('message-1', 'accepted')
    assert.equal(first.body.order.clientOrderId, 'message-1')
    await client.send(message)
    assert.equal((await toldOf('message-1', 'repeated')).body.orderId, first.body.orderId)
    await client.send({ ...message, body: { ...body, amount: '0.2' } })
    assert.equal((await toldOf('message-1', 'rejected')).body.code, 'client_order_id_conflict')
    assert.equal((await rest(who).ok('GET', '/orders?status=open')).orders.length, 1)
  })

  it('that are older than what is remembered, or of tomorrow, are refused', async () => {
    const who = member(4)
    const dayMs = 24 * 3600 * 1000
    assert.equal(
      (await toldOf(await place(who, limit('sell', '70000', '0.1'), dayMs + 60_000), 'rejected')).body.code,
      'too_old',
    )
    assert.equal(
      (await toldOf(await place(who, limit('sell', '70000', '0.1'), -90_000), 'rejected')).body.code,
      'sent_in_future',
    )
    await toldOf(await place(who, limit('sell', '70000', '0.1'), -30_000), 'accepted')
    await client.send({
      queue: 'orders.cancel',
      messageId: 'late',
      token: who.accessToken,
      body: { ...header(dayMs + 60_000), clientOrderId: 'message-1' },
    })
    assert.equal((await toldOf('late', 'rejected')).body.code, 'too_old')
  })

  it('may be sent by a broker for the members whom his token lists', async () => {
    const [broker, listed, stranger] = [member(5), member(6), member(7)]
    const session = await callRpc<SessionReply>(
      nats,
      Rpc.authLogin,
      { email: mesh.admin.email, password: mesh.admin.password },
      5_000,
    )
    await callRpc(
      nats,
      Rpc.authSetRoles,
      { actorId: session.memberId, memberId: broker.memberId, roles: ['member', 'broker'] },
      5_000,
    )
    const { token } = await callRpc<TokenReply>(
      nats,
      Rpc.authCreateToken,
      {
        actorId: session.memberId,
        memberId: broker.memberId,
        name: 'feed',
        scopes: ['trade'],
        members: [listed.memberId],
      },
      5_000,
    )
    const body = () => ({
      ...header(),
      clientOrderId: newId(),
      instrument: 'BTC-USDT',
      ...limit('sell', '70000', '0.1'),
    })
    const forListed = body()
    await client.send({ queue: 'orders.new', token, memberId: listed.memberId, body: forListed })
    assert.equal((await toldOf(forListed.clientOrderId, 'accepted')).body.memberId, String(listed.memberId))
    await client.send({ queue: 'orders.new', token, memberId: stranger.memberId, body: body() })
    const { headers } = await client.deadLetter()
    assert.deepEqual([headers['x-code'], headers['x-field']], ['member_not_listed', 'x-member-id'])
  })

  it('that are none are kept among the dead letters with the reason, and nothing stops', async () => {
    const who = member(7)
    const good = () => ({
      ...header(),
      clientOrderId: newId(),
      instrument: 'BTC-USDT',
      ...limit('sell', '70000', '0.1'),
    })
    const { clientOrderId: _, ...nameless } = good()
    const cases: [Parameters<RabbitmqClient['send']>[0], string, string | undefined][] = [
      [{ queue: 'orders.new', body: '{"version":1,"instr' }, 'json_invalid', undefined],
      [{ queue: 'orders.new', body: Buffer.from([0xff, 0xfe, 0x00]) }, 'json_invalid', undefined],
      [{ queue: 'orders.new', body: '[]' }, 'body_not_object', undefined],
      [{ queue: 'orders.new', body: { ...good(), version: 2 } }, 'version_unknown', 'version'],
      [{ queue: 'orders.new', body: { ...good(), price: 70000 } }, 'wrong_type', 'price'],
      [{ queue: 'orders.new', body: { ...good(), side: 'hold' } }, 'invalid_value', 'side'],
      [{ queue: 'orders.new', body: { ...good(), prise: '1' } }, 'unknown_field', 'prise'],
      [{ queue: 'orders.new', body: { ...good(), sentAt: 'yesterday' } }, 'invalid_value', 'sentAt'],
      [{ queue: 'orders.new', body: nameless }, 'identity_missing', 'clientOrderId'],
      [{ queue: 'orders.new', body: nameless, messageId: 'a b' }, 'identity_invalid', 'messageId'],
      [{ queue: 'orders.cancel', body: { ...header(), orderId: '1' } }, 'identity_missing', 'requestId'],
      [{ queue: 'orders.cancel', body: header(), messageId: 'x' }, 'missing_field', 'orderId'],
      [
        { queue: 'orders.amend', body: { ...header(), command: 'cancel' }, messageId: 'x' },
        'command_unknown',
        'command',
      ],
      [{ queue: 'orders.new', body: Buffer.alloc(10_000_000, 'x') }, 'message_too_large', undefined],
      [{ queue: 'orders.new', body: good(), token: '' }, 'token_missing', undefined],
      [{ queue: 'orders.new', body: good(), token: 'abc' }, 'token_malformed', undefined],
      [{ queue: 'orders.new', body: good(), token: `${who.accessToken.slice(0, -4)}AAAA` }, 'token_invalid', undefined],
      [
        { queue: 'orders.new', body: good(), headers: { authorization: { nested: 'Bearer' } } },
        'token_missing',
        undefined,
      ],
    ]
    for (const [message, code, field] of cases) {
      await client.send({ token: who.accessToken, ...message })
      const { content, headers } = await client.deadLetter()
      assert.deepEqual([headers['x-code'], headers['x-field'], headers['x-queue']], [code, field, message.queue])
      assert.equal(headers.authorization, undefined)
      if (Buffer.isBuffer(message.body)) assert(content.equals(message.body))
    }
    await toldOf(await place(who, limit('sell', '70000', '0.1')), 'accepted')
    for (const queue of ['orders.new', 'orders.cancel', 'orders.amend']) assert.equal(await client.waiting(queue), 0)
    const metrics = await (await fetch(`${ingestUrl}/metrics`)).text()
    assert.match(metrics, /ingest_messages_total\{origin="rabbitmq",taken="dead",code="message_too_large"\} 1\n/)
    assert.match(metrics, /ingest_messages_total\{origin="rabbitmq",taken="stored",code=""\} \d+\n/)
  })

  it('have exactly one outcome each while ingest, broker, engine, accounts and bus are killed in turn', async function () {
    this.timeout(240_000)
    const count = 1_000
    const inTurn: [atCount: number, kill: () => Promise<void>][] = [
      [150, () => mesh.restart('ingest-rabbitmq')],
      [350, () => killAndRestart(rabbitmq)],
      [500, () => mesh.restart('engine')],
      [700, () => mesh.restart('accounts')],
      [850, () => killAndRestart(mesh.servers.nats)],
    ]
    const kills: Promise<void>[] = []
    for (let sent = 0; sent < count; sent += 50) {
      if (inTurn[0] !== undefined && sent >= inTurn[0][0]) kills.push(inTurn.shift()?.[1]() ?? Promise.resolve())
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => {
          const clientOrderId = `killed-${sent + index}`
          const order = limit(index % 2 === 0 ? 'buy' : 'sell', `${40_000 + (index % 5)}`, '0.001')
          const body = { ...header(), clientOrderId, instrument: 'BTC-USDT', ...order }
          return client.send({ queue: 'orders.new', token: member(index % MEMBERS).accessToken, body })
        }),
      )
      await sleep(50)
    }
    await Promise.all(kills)
    assert.equal(inTurn.length, 0)
    const outcomes = () =>
      [...client.told.values()].filter(
        ({ requestId, body, outcome }) =>
          requestId?.startsWith('killed-') && body.cause === 'placed' && outcome !== 'repeated',
      )
    await client.until(() => outcomes().length >= count, 150_000)
    for (const queue of ['orders.new', 'orders.dead']) {
      while ((await client.waiting(queue)) !== 0) await sleep(50)
    }
    const told = outcomes()
    assert.equal(told.length, count)
    assert.equal(new Set(told.map(({ requestId }) => requestId)).size, count)
    assert.deepEqual([...new Set(told.map(({ outcome }) => outcome))].sort(), ['accepted', 'closed'])
    // Each is in MySQL once, and all logs and money agree.
    const rows = await untilThere(mesh.mysqlUrl, count)
    assert.deepEqual(rows, { orders: count, names: count })
    const { difference } = await auditMesh({ natsUrl: mesh.natsUrl, mysqlUrl: mesh.mysqlUrl, rate: 0, waitMs: 20_000 })
    assert.equal(difference, undefined, `${difference?.check} ${difference?.slot} ${difference?.message}`)
  })

  it('wait in their queue while the ingest is stopped, and are taken by the one that starts', async () => {
    await mesh.process('ingest-rabbitmq').stop()
    const names = await Promise.all(Array.from({ length: 20 }, () => place(member(4), limit('sell', '70000', '0.001'))))
    assert.equal(await client.waiting('orders.new'), 20)
    await mesh.process('ingest-rabbitmq').start()
    for (const name of names) await toldOf(name, 'accepted')
  })
})

async function untilThere(mysqlUrl: string, count: number): Promise<{ orders: number; names: number }> {
  const pool = createPool(mysqlUrl)
  try {
    for (;;) {
      const [[row]] = await pool.query<Row[]>(
        `SELECT COUNT(*) AS orders, COUNT(DISTINCT client_order_id) AS names FROM orders WHERE client_order_id LIKE 'killed-%'`,
      )
      const found = { orders: Number(row?.orders), names: Number(row?.names) }
      if (found.orders >= count) return found
      await sleep(50)
    }
  } finally {
    await pool.end()
  }
}

async function killAndRestart(server: { kill(): Promise<void>; restart(): Promise<void> }): Promise<void> {
  await server.kill()
  await server.restart()
}
