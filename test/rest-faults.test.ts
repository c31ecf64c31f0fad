import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { openBucket } from '#mesh/buckets.ts'
import { createCommandPublisher } from '#mesh/commands.ts'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import { isFault, parseNewOrder } from '#mesh/edge/new-order.ts'
import { createIds } from '#mesh/ids.ts'
import { createPool } from '#mesh/mysql.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { createReplyListener } from '#mesh/replies.ts'
import { RpcError } from '#mesh/rpc.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Bucket } from '#mesh/subjects.ts'
import { createBests } from '../gateway/mesh/bests.ts'
import { createCommander } from '../gateway/mesh/commander.ts'
import { createReads } from '../gateway/mesh/reads.ts'
import { watchSlots } from '../gateway/mesh/slots.ts'
import { createOrderReads } from '../gateway/orders/reading.ts'
import { createTrading } from '../gateway/orders/trading.ts'
import { Problem } from '../gateway/problem.ts'
import { Client } from './support/client.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'

describe('REST: too much, and parts that fail', function () {
  // Each of these starts, stops or waits for processes: plenty of time for a busy machine.
  this.timeout(120_000)
  const ACCOUNT_SLOTS = 4
  const BUY = { instrument: 'BTC-USDT', side: 'buy', price: '100', amount: '1' }
  let mesh: TestMesh
  let nats: NatsConnection
  let anyone: Client
  let admin: Client

  before(async () => {
    const env = { PASSWORD_COST_LOG2: '10', RATE_LOGIN: '1000:1000', RESULT_MS_MAX: '1000' }
    mesh = await startMesh({ scale: { gateway: 2 }, env })
    nats = await connectTo(mesh)
    anyone = new Client(mesh.urls)
    admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
  })
  after(async () => {
    await nats?.close()
    await mesh?.stop()
  })

  /** Members with a thousand USDT each. */
  const members = async (count: number) => {
    const seeded = await seedMembers(nats, { count })
    for (const { memberId } of seeded) {
      const body = { reference: `d-${memberId}`, memberId: String(memberId), asset: 'USDT', amount: '1000' }
      await eventually(() => admin.ok('POST', '/admin/deposits', body))
    }
    return seeded.map(({ memberId, accessToken }) => ({ memberId, client: anyone.as(accessToken), accessToken }))
  }
  const member = async () => {
    const [one] = await members(1)
    assert(one)
    return one
  }

  /** While a process is gone (SIGKILL). */
  const without = async (name: string, check: () => Promise<void>): Promise<void> => {
    await mesh.process(name).kill()
    try {
      await check()
    } finally {
      await mesh.process(name).start()
    }
  }
  /** While a process stands still. */
  const withPaused = async (name: string, check: () => Promise<void>): Promise<void> => {
    const pid = mesh.process(name).pid ?? 0
    process.kill(pid, 'SIGSTOP')
    try {
      await check()
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  }
  /** With one more gateway, with settings of its own. */
  const withGateway = async (
    env: Readonly<Record<string, string>>,
    check: (client: Client) => Promise<void>,
  ): Promise<void> => {
    const { name, url } = await mesh.add('gateway', env)
    try {
      await check(new Client([url]))
    } finally {
      await mesh.process(name).kill()
    }
  }

  describe('limits', () => {
    it('hold per member over both gateways, for trading and reading apart', async () => {
      const [one, other] = await members(2)
      assert(one && other)
      const limited = { RATE_TRADE: '5:20', RATE_READ: '5:20' }
      const gateways = [await mesh.add('gateway', limited), await mesh.add('gateway', limited)]
      const client = new Client(gateways.map(({ url }) => url))
      const mine = client.as(one.accessToken)
      const startedAtMs = performance.now()
      let accepted = 0
      let refused = 0
      while (performance.now() - startedAtMs < 6_000) {
        const { status, body, headers } = await mine.call('POST', '/order', { ...BUY, amount: '0.001' })
        if (status === 201) accepted++
        else {
          assert.deepEqual([status, body.code], [429, 'rate_limited'])
          assert(Number(headers.get('retry-after')) >= 1)
          refused++
        }
        await sleep(5)
      }
      // One burst for each gateway at most before they have told each other, and the rest is a debt that is paid back.
      assert(accepted >= 20 && accepted <= 2 * 20 + 6 * 5, `${accepted} accepted`)
      assert(refused > 100)
      await mine.ok('GET', '/accounts')
      await client.as(other.accessToken).ok('POST', '/order', BUY)
      for (const { name } of gateways) await mesh.process(name).kill()
    })
    it('hold without Redis, for each gateway', async () => {
      const { accessToken } = await member()
      await withGateway({ RATE_READ: '1:3', REDIS_URL: '' }, async (client) => {
        const read = () => client.as(accessToken).call('GET', '/accounts')
        const statuses = (await Promise.all(Array.from({ length: 20 }, read))).map(({ status }) => status)
        const accepted = statuses.filter((status) => status === 200).length
        assert(accepted >= 3 && accepted < 10, `${accepted} accepted`)
        assert(statuses.every((status) => status === 200 || status === 429))
      })
    })
    it('hold per address for who has no token', () =>
      withGateway({ RATE_ADDRESS: '1:3', RATE_LOGIN: '1:2', REDIS_URL: '' }, async (client) => {
        const statuses = async (count: number, ask: () => ReturnType<Client['call']>): Promise<Set<number>> =>
          new Set((await Promise.all(Array.from({ length: count }, ask))).map(({ status }) => status))
        const time = (address: string) => () => client.call('GET', '/time', undefined, { 'x-forwarded-for': address })
        assert.deepEqual(await statuses(20, time('198.51.100.1')), new Set([200, 429]))
        assert.deepEqual(await statuses(3, time('198.51.100.2')), new Set([200]))
        const from = { 'x-forwarded-for': '198.51.100.3' }
        const login = () => client.call('POST', '/sessions', { email: 'x@example.com', password: 'x' }, from)
        assert.deepEqual(await statuses(20, login), new Set([401, 429]))
      }))
  })

  describe('admission', () => {
    it('refuses orders beyond the cap before it looks at them, and lets cancels in', async () => {
      const { accessToken } = await member()
      await withGateway({ ORDERS_PER_SECOND_MAX: '30' }, async (anyClient) => {
        const client = anyClient.as(accessToken)
        const responses = await Promise.all(Array.from({ length: 40 }, () => client.call('POST', '/order', 'not JSON')))
        const refused = responses.filter(({ status }) => status === 429)
        assert(refused.length > 0 && refused.length < 40)
        assert.equal(refused[0]?.body.code, 'too_many_requests')
        assert.equal(refused[0]?.headers.get('retry-after'), '1')
        await client.ok('DELETE', '/orders')
      })
    })
    it('has a bound of requests in hand', async () => {
      const { accessToken } = await member()
      // Three gateways live, so a third of these is this one's; nothing is answered, so they stay in hand.
      await withGateway({ IN_FLIGHT_MAX: '12' }, (client) =>
        withPaused('accounts', async () => {
          const order = () => client.as(accessToken).call('POST', '/order', BUY)
          const responses = await Promise.all(Array.from({ length: 20 }, order))
          const busy = responses.filter(({ body }) => body.code === 'gateway_busy')
          assert(busy.length >= 10, `${busy.length} refused`)
          assert.deepEqual([busy[0]?.status, busy[0]?.headers.get('retry-after')], [503, '1'])
        }),
      )
      await eventually(() => anyone.as(accessToken).ok('GET', '/accounts'))
    })
  })

  describe('a slot', () => {
    it('that is halted is told at once, and others go on', async () => {
      const several = await members(12)
      const halted = accountSlotOf(several[0]?.memberId ?? 0, ACCOUNT_SLOTS)
      const isHalted = ({ memberId }: { memberId: number }) => accountSlotOf(memberId, ACCOUNT_SLOTS) === halted
      const out = several.find(isHalted)
      const fine = several.find((one) => !isHalted(one))
      assert(out && fine)
      const bucket = await openBucket(nats, Bucket.slots)
      await bucket.put(`accounts.${halted}`, JSON.stringify({ state: 'halted', reason: 'a test says so' }))
      await eventually(() => out.client.refused([503, 'slot_halted'], 'POST', '/order', BUY))
      await fine.client.ok('POST', '/order', BUY)
      await bucket.delete(`accounts.${halted}`)
      await eventually(() => out.client.ok('POST', '/order', BUY))
    })
    it('that has no owner is told after two seconds', async () => {
      const { client } = await member()
      await without('engine', async () => {
        await sleep(2_500)
        await client.refused([503, 'slot_unavailable'], 'POST', '/order', BUY)
        await client.refused([503, 'slot_unavailable'], 'GET', '/markets/BTC-USDT/orderbook?refresh=true')
      })
      await eventually(() => client.ok('POST', '/order', BUY))
    })
  })

  describe('an order without an answer in time', () => {
    it('is told as unknown, and can be asked for and repeated', async () => {
      const { client } = await member()
      const body = { ...BUY, clientOrderId: 'unknown-1' }
      await withPaused('accounts', async () => {
        const response = await client.refused([504, 'outcome_unknown'], 'POST', '/order', body)
        assert.equal(response.body.clientOrderId, 'unknown-1')
        assert.match(response.body.orderId, /^[0-9]+$/)
        await sleep(200)
      })
      const order = await eventually(() => client.ok('GET', '/order/client:unknown-1'))
      assert.equal(order.status, 'new')
      const again = await client.call('POST', '/order', body)
      assert.deepEqual([again.status, again.body.id], [200, order.id])
      assert.equal((await client.ok('GET', '/accounts')).accounts[0].held, '100')
    })

    it('is found when it was stored after all, and not accepted when it was not; its place is found when nobody says it', async () => {
      const { memberId, client } = await member()
      // A gateway's own parts on the real bus, with a publisher that hears no ack of the next order, stored or lost.
      const log = pino({ level: 'silent' })
      const slots = watchSlots(nats, log)
      await slots.loaded()
      const reads = await createReads(nats, slots)
      let ready = (): void => {}
      const known = new Promise<void>((resolve) => {
        ready = resolve
      })
      const definitions = await followDefinitions(
        nats,
        () => ready(),
        (error) => assert.fail(String(error)),
      )
      await known
      const publisher = createCommandPublisher(nats)
      const replies = createReplyListener(nats, 'faulty-gateway')
      let next: 'stored' | 'lost' | 'heard' = 'stored'
      const deaf: typeof publisher = {
        append: async (kind, slot, item) => {
          if ((item as { type?: string }).type !== 'PlaceOrder' || next === 'heard') {
            return publisher.append(kind, slot, item)
          }
          // Nobody hears the result of it either.
          if (next === 'stored') await publisher.append(kind, slot, { ...item, replyTo: '' })
          throw new RpcError('publish_unknown', 'No ack.')
        },
      }
      // As the engine's new owner answers what its predecessor stored.
      const placeless: typeof replies = {
        ...replies,
        expect: async (...args) => ({ ...(await replies.expect(...args)), position: undefined }) as unknown as Reply,
      }
      const orderReads = createOrderReads(reads)
      const trading = createTrading({
        instanceId: 'faulty-gateway',
        nextId: createIds(nats).next,
        nowUs: () => Date.now() * 1000,
        commander: createCommander(deaf, placeless, 2_000),
        publisher,
        replies,
        slots,
        bests: createBests(reads),
        reads: orderReads,
        resultMsMax: 2_000,
      })
      const place = (clientOrderId: string) => {
        const order = parseNewOrder({ ...BUY, side: 'buy', clientOrderId }, definitions.market)
        assert(!isFault(order))
        return trading.place({ memberId, slot: accountSlotOf(memberId, ACCOUNT_SLOTS) }, order)
      }

      const stored = await place('stored')
      assert.deepEqual([stored.order.status, stored.repeated], ['new', true])
      assert.equal((await client.ok('GET', '/order/client:stored')).id, String(stored.order.orderId))

      next = 'lost'
      await assert.rejects(
        place('lost'),
        (error) => error instanceof Problem && error.code === 'not_accepted' && error.status === 503,
      )
      await client.refused([404, 'order_not_found'], 'GET', '/order/client:lost')
      assert.equal((await client.ok('GET', '/accounts')).accounts[0].held, '100')

      next = 'heard'
      const heard = await place('heard')
      assert.deepEqual([heard.order.status, heard.repeated], ['new', false])
      assert.equal((await client.ok('GET', '/order/client:heard')).sequence, heard.sequence)
      slots.stop()
      await definitions.stop()
    })
  })

  describe('without its services', () => {
    it('says so, and trades on', async () => {
      const { client } = await member()
      await without('auth', async () => {
        await anyone.refused([503, 'service_unavailable'], 'POST', '/sessions', mesh.admin)
        await client.ok('POST', '/order', BUY)
      })
      await eventually(() => anyone.ok('POST', '/sessions', mesh.admin))
    })
    it('tells when a service does not answer', async () => {
      const { client } = await member()
      await withPaused('orders', async () => {
        await client.refused([504, 'service_timeout'], 'GET', '/trades')
      })
    })
    it('trades on without MySQL, and reads what is in memory', async () => {
      const { client } = await member()
      await eventually(() => client.ok('GET', '/orders'))
      await mesh.servers.mariadb.kill()
      const { id } = await client.ok('POST', '/order', BUY)
      assert.equal((await client.ok('GET', `/order/${id}`)).status, 'new')
      assert.equal((await client.ok('GET', '/orders?status=open')).orders.length, 1)
      assert.equal((await client.ok('GET', '/accounts')).accounts[0].held, '100')
      const history = await client.call('GET', '/orders')
      assert.equal(history.status, 503)
      assert(['projection_behind', 'database_unavailable'].includes(history.body.code), history.body.code)
      await mesh.servers.mariadb.restart()
      await eventually(async () => assert.equal((await client.ok('GET', '/orders')).orders.length, 1), 15_000)
    })
    it('waits for the projection, but not for ever', async () => {
      const { client } = await member()
      await eventually(() => client.ok('GET', '/orders'))
      const pool = createPool(mesh.mysqlUrl, { connectionsMax: 1 })
      const connection = await pool.getConnection()
      try {
        // The projection cannot write, while queries that only read go on.
        await connection.query('FLUSH TABLES WITH READ LOCK')
        await client.ok('POST', '/order', BUY)
        await client.refused([503, 'projection_behind'], 'GET', '/orders')
        await connection.query('UNLOCK TABLES')
        await eventually(async () => assert.equal((await client.ok('GET', '/orders')).orders.length, 1))
      } finally {
        connection.release()
        await pool.end()
      }
    })
    it('gives no ids without guid', async () => {
      const { client } = await member()
      await without('guid', async () => {
        await sleep(600)
        await client.refused([503, 'ids_unavailable'], 'POST', '/order', BUY)
      })
      await eventually(() => client.ok('POST', '/order', BUY))
    })
    it('is not ready without NATS, and finds its way back', async () => {
      const { client } = await member()
      await mesh.servers.nats.kill()
      await eventually(async () => assert.equal((await anyone.call('GET', '/health/ready')).status, 503))
      assert.equal((await anyone.call('GET', '/health/live')).status, 200)
      // Whether a token was revoked meanwhile cannot be known after five seconds.
      await eventually(() => client.refused([503, 'auth_not_ready'], 'GET', '/accounts'))
      await mesh.servers.nats.start()
      await eventually(() => client.ok('POST', '/order', BUY), 20_000)
      await eventually(async () => assert.equal((await anyone.call('GET', '/health/ready')).status, 200), 20_000)
      // Every gateway still hears of what is defined.
      await eventually(() => admin.ok('POST', '/admin/assets', { asset: 'LATER', scale: 2 }), 20_000)
      for (const url of mesh.urls) {
        await eventually(async () => {
          const { assets } = await new Client([url]).ok('GET', '/assets')
          assert(assets.some((one: { asset: string }) => one.asset === 'LATER'))
        })
      }
    })
  })

  describe('a gateway that stops', () => {
    it('is unready at once, serves for three seconds, and ends in order', async () => {
      const { accessToken } = await member()
      const { name, url } = await mesh.add('gateway')
      const client = new Client([url]).as(accessToken)
      const stopping = mesh.process(name)
      const startedAtMs = performance.now()
      process.kill(stopping.pid ?? 0, 'SIGTERM')
      await eventually(async () => assert.equal((await client.call('GET', '/health/ready')).status, 503), 500)
      let served = 0
      while (performance.now() - startedAtMs < 2_500) {
        const { headers } = await client.call('POST', '/order', { ...BUY, amount: '0.0001' })
        assert.equal(headers.get('connection'), 'close')
        served++
        await sleep(50)
      }
      assert(served > 10)
      assert.deepEqual(await stopping.exited, { code: 0, signal: null })
      assert(performance.now() - startedAtMs < 6_000)
    })
  })
})

async function eventually<Result>(check: () => Promise<Result>, msMax = 10_000): Promise<Result> {
  const deadlineMs = performance.now() + msMax
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await sleep(50)
    }
  }
}
