import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { freePort } from '#launcher/servers/ports.ts'
import { encodeFrame } from '#mesh/frames.ts'
import { migrate } from '#mesh/migrate.ts'
import { createPool, type Pool, type Row } from '#mesh/mysql.ts'
import type { OrdersQuery, OrdersQueryResult, ResultOf } from '#mesh/protocol/orders.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { DEFINITIONS_SLOT, framesSubject, Log, Rpc } from '#mesh/subjects.ts'
import { startMariadb, startNats } from '#mesh/testing/servers.ts'
import { assertRows } from './testing/expected.ts'
import { MARKET, SlotScenario } from './testing/scenario.ts'

const SLOTS = 2
/** Members of each slot. */
const MEMBERS = Array.from({ length: SLOTS }, (_, slot) =>
  Array.from({ length: 200 }, (_, id) => 1000 + id).filter((id) => accountSlotOf(id, SLOTS) === slot),
)

describe('the orders projection', function () {
  this.timeout(180_000)
  let servers: { nats: Awaited<ReturnType<typeof startNats>>; mariadb: Awaited<ReturnType<typeof startMariadb>> }
  let nats: NatsConnection
  let pool: Pool
  const children = new Set<ChildProcess>()
  let scenarios: SlotScenario[]

  before(async function () {
    this.timeout(300_000)
    servers = { nats: await startNats(), mariadb: await startMariadb() }
    nats = await connectNats(servers.nats.url, 'test')
    await migrate(servers.mariadb.url, pino({ level: 'silent' }))
    pool = createPool(servers.mariadb.url)
  })
  after(async () => {
    await pool?.end()
    await nats?.close()
    await servers?.nats.stop()
    await servers?.mariadb.stop()
  })

  beforeEach(async () => {
    const manager = await ensureStreams(nats, { accountSlots: SLOTS, marketSlots: 1 })
    await manager.streams.purge('EVENTS')
    await emptyTables(pool)
    await defineMarket(nats)
    scenarios = MEMBERS.map((members, slot) => new SlotScenario(slot, members, 42 + slot))
  })
  afterEach(async () => {
    const alive = [...children].filter((child) => child.exitCode === null && child.signalCode === null)
    const ends = alive.map((child) => once(child, 'exit'))
    for (const child of alive) child.kill('SIGKILL')
    await Promise.all(ends)
    children.clear()
  })

  const start = async (instanceId: string): Promise<ChildProcess & { readonly healthUrl: string }> => {
    const port = await freePort()
    const child = spawn(process.execPath, ['services/orders/main.ts'], {
      env: {
        ...process.env,
        NATS_URL: servers.nats.url,
        MYSQL_URL: servers.mariadb.url,
        ACCOUNT_SLOTS: String(SLOTS),
        MARKET_SLOTS: '1',
        INSTANCE_ID: instanceId,
        HEALTH_PORT: String(port),
        LOG_LEVEL: process.env.TEST_LOG ?? 'error',
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    children.add(child)
    return Object.assign(child, { healthUrl: `http://127.0.0.1:${port}/health/ready` })
  }
  const publish = async (frames: number, items = 20): Promise<void> => {
    for (let count = 0; count < frames; count++) {
      for (const scenario of scenarios) await scenario.publish(nats, items, count % 5 !== 3)
    }
  }
  const caughtUp = async (waitMsMax = 60_000): Promise<void> => {
    const deadline = performance.now() + waitMsMax
    for (;;) {
      const [rows] = await pool.query<Row[]>('SELECT slot, in_sequence, in_complete FROM positions')
      const behind = scenarios.filter(
        ({ slot, sequence }) =>
          !rows.some(
            (row) => Number(row.slot) === slot && Number(row.in_sequence) === sequence && row.in_complete === 1,
          ),
      )
      if (behind.length === 0) return
      assert(performance.now() < deadline, `not written in time: ${JSON.stringify(rows)}`)
      await sleep(20)
    }
  }
  const query = <Query extends OrdersQuery>(request: Query): Promise<ResultOf<Query>> =>
    callRpc<OrdersQueryResult>(nats, Rpc.ordersQuery, request, 5_000) as Promise<ResultOf<Query>>

  it('writes every row once', async () => {
    await publish(30)
    await start('orders-1')
    await publish(30)
    await caughtUp()
    await assertRows(pool, scenarios)
  })

  it('writes a frame that has more rows than a batch, and one without events', async () => {
    await start('orders-1')
    await publish(1, 6_000)
    await scenarios[0]?.publish(nats, 0)
    await publish(3)
    await caughtUp()
    await assertRows(pool, scenarios)
  })

  it('writes every row once though it is killed again and again', async () => {
    const position = async (): Promise<string> => {
      const [rows] = await pool.query<Row[]>('SELECT SUM(frame_sequence) AS position FROM positions')
      return String(rows[0]?.position ?? 0)
    }
    for (let kills = 0; kills < 6; kills++) {
      // Nobody waits for the dead one's slots: the next writes at once.
      await pool.query("UPDATE projection_slots SET owned_until = '2000-01-01'")
      const before = await position()
      const child = await start(`orders-${kills}`)
      const published = publish(60, 40)
      while ((await position()) === before) {
        assert(child.exitCode === null, 'the process runs')
        await sleep(5)
      }
      await sleep(kills * 7)
      child.kill('SIGKILL')
      await once(child, 'exit')
      await published
    }
    await start('orders-last')
    await caughtUp()
    await assertRows(pool, scenarios)
  })

  it('shares the slots between two instances, and the one that stays takes over', async () => {
    const first = await start('orders-1')
    await start('orders-2')
    const owners = async (): Promise<number> => {
      const [rows] = await pool.query<Row[]>('SELECT DISTINCT owner FROM projection_slots WHERE owned_until > NOW(3)')
      return rows.length
    }
    const deadline = performance.now() + 60_000
    while ((await owners()) !== 2) assert(performance.now() < deadline && (await sleep(100, true)))
    await publish(20)
    await caughtUp()
    await assertRows(pool, scenarios)
    first.kill('SIGKILL')
    const killedAt = performance.now()
    await publish(20)
    await caughtUp()
    assert(performance.now() - killedAt < 15_000, `took over after ${performance.now() - killedAt} ms`)
    await assertRows(pool, scenarios)
  })

  it('a paused instance that wakes up does no harm', async () => {
    const paused = await start('orders-1')
    await publish(5)
    await caughtUp()
    paused.kill('SIGSTOP')
    await start('orders-2')
    await publish(20)
    await caughtUp()
    paused.kill('SIGCONT')
    await publish(20)
    await caughtUp()
    await assertRows(pool, scenarios)
  })

  it('gives the same rows when everything is written anew', async () => {
    const child = await start('orders-1')
    await publish(20)
    await caughtUp()
    const before = await dump(pool)
    child.kill('SIGTERM')
    await once(child, 'exit')
    await emptyTables(pool)
    await start('orders-1')
    await caughtUp()
    assert.deepEqual(await dump(pool), before)
  })

  it('waits while MySQL is away, and catches up', async () => {
    await start('orders-1')
    await publish(5)
    await caughtUp()
    await servers.mariadb.kill()
    await publish(5)
    await assert.rejects(
      query({ query: 'balances', memberId: 1000 }),
      (error) => error instanceof RpcError && error.code === 'database_unavailable',
    )
    await servers.mariadb.restart()
    await publish(5)
    await caughtUp()
    await assertRows(pool, scenarios)
  })

  it('refuses a log that is not the one that it was written from', async () => {
    const child = await start('orders-1')
    await publish(5)
    await caughtUp()
    child.kill('SIGTERM')
    await once(child, 'exit')
    await pool.query('UPDATE positions SET frame_hash = frame_hash + 1')
    const { healthUrl } = await start('orders-2')
    await publish(1)
    const deadline = performance.now() + 60_000
    for (;;) {
      const text = await fetch(healthUrl).then(
        (response) => response.text(),
        () => '',
      )
      if (text.includes('log_went_backwards')) break
      assert(performance.now() < deadline, text)
      await sleep(50)
    }
    const [rows] = await pool.query<Row[]>('SELECT in_sequence FROM positions WHERE slot = 0')
    assert.notEqual(Number(rows[0]?.in_sequence), scenarios[0]?.sequence)
  })

  it('answers behind a barrier, and says when it is behind', async () => {
    await start('orders-1')
    await start('orders-2')
    await publish(2)
    await caughtUp()
    for (let round = 0; round < 20; round++) {
      for (const scenario of scenarios) {
        await scenario.publish(nats, 5)
        const event = scenario.events.findLast(({ type }) => type === 'OrderPlaced')
        assert(event?.type === 'OrderPlaced')
        const { memberId, orderId } = event.order
        const barrier = { slot: scenario.slot, sequence: event.position[0] }
        const { found } = await query({ query: 'order', memberId, orderId, barrier })
        assert.equal(found?.order.orderId, orderId)
      }
    }
    const beganAt = performance.now()
    await assert.rejects(
      query({ query: 'totals', barriers: [{ slot: 0, sequence: 1_000_000 }] }),
      (error) => error instanceof RpcError && error.code === 'projection_behind',
    )
    assert(performance.now() - beganAt < 10_000)
  })

  it('lists orders, trades and ledger page by page', async () => {
    await start('orders-1')
    await publish(40)
    await caughtUp()
    const scenario = scenarios[0]
    assert(scenario)
    const counts = Map.groupBy(scenario.events, (event) => ('order' in event ? event.order.memberId : 0))
    counts.delete(0)
    const [memberId = 0, events = []] = [...counts].sort(([, a], [, b]) => b.length - a.length)[0] ?? []
    const orderIds = [...new Set(events.map((event) => ('order' in event ? event.order.orderId : 0)))]
    const fills = events.flatMap((event) => (event.type === 'OrderChanged' ? event.fills : []))

    const orders = await pages(({ cursor, limit }) => query({ query: 'orders', memberId, limit, ...cursor }), 'orders')
    assert.deepEqual(
      orders.map(({ order }) => order.orderId),
      orderIds.sort((a, b) => b - a),
    )
    const trades = await pages(({ cursor, limit }) => query({ query: 'trades', memberId, limit, ...cursor }), 'trades')
    assert.deepEqual(
      trades.map(({ tradeId, lots }) => `${tradeId} ${lots}`),
      fills.map(({ tradeId, lots }) => `${tradeId} ${lots}`).reverse(),
    )
    for (const asset of ['BTC', 'USDT']) {
      const ledger = await pages(
        ({ cursor, limit }) => query({ query: 'ledger', memberId, asset, limit, ...cursor }),
        'entries',
      )
      let balance = 0n
      for (const entry of ledger.reverse()) {
        balance += BigInt(entry.deltaMinor)
        assert.equal(String(balance), entry.availableMinor)
      }
      const { balances } = await query({ query: 'balances', memberId })
      assert.equal(balances.find((one) => one.asset === asset)?.availableMinor, String(balance))
    }
    const all = await pages(({ cursor, limit }) => query({ query: 'ledger', memberId, limit, ...cursor }), 'entries')
    assert.equal(new Set(all.map(({ position, asset }) => position + asset)).size, all.length)

    const one = await query({ query: 'order', memberId, orderId: orders[0]?.order.orderId ?? 0 })
    assert(one.found)
    assert.deepEqual(one.found.order, orders[0]?.order)
    const executed = one.found.fills.reduce((sum, { lots }) => sum + lots, 0)
    assert.equal(executed, one.found.order.executedLots)
    const named = orders.find(({ order }) => order.clientOrderId !== undefined)?.order
    assert(named?.clientOrderId)
    const byName = await query({ query: 'order', memberId, clientOrderId: named.clientOrderId })
    assert.deepEqual(byName.found?.order, named)
    assert.deepEqual(await query({ query: 'order', memberId: memberId + 1, orderId: named.orderId }), {
      query: 'order',
    })
  })

  it('filters by instrument, status, side and time', async () => {
    await start('orders-1')
    await publish(40)
    await caughtUp()
    const events = scenarios[0]?.events ?? []
    const last = new Map(events.flatMap((event) => ('order' in event ? [[event.order.orderId, event.order]] : [])))
    const memberId = [...last.values()][0]?.memberId ?? 0
    const own = [...last.values()].filter((order) => order.memberId === memberId).sort((a, b) => b.orderId - a.orderId)
    const middleUs = own[Math.floor(own.length / 2)]?.createdAtUs ?? 0
    const page = { query: 'orders', memberId, limit: 500 } as const
    const ids = async (filter: object): Promise<number[]> =>
      (await query({ ...page, ...filter })).orders.map(({ order }) => order.orderId)
    const idsWhere = (test: (order: (typeof own)[number]) => boolean): number[] =>
      own.filter(test).map(({ orderId }) => orderId)
    assert.deepEqual(
      await ids({ statuses: ['executed', 'rejected'] }),
      idsWhere(({ status }) => status === 'executed' || status === 'rejected'),
    )
    assert.deepEqual(
      await ids({ side: 'buy' }),
      idsWhere(({ side }) => side === 'buy'),
    )
    assert.deepEqual(await ids({ instrument: 'ETH-USDT' }), [])
    assert.deepEqual(
      await ids({ fromUs: middleUs }),
      idsWhere(({ createdAtUs }) => createdAtUs >= middleUs),
    )
    assert.deepEqual(
      await ids({ toUs: middleUs }),
      idsWhere(({ createdAtUs }) => createdAtUs < middleUs),
    )
    const trades = (await query({ query: 'trades', memberId, limit: 500 })).trades
    const recent = (await query({ query: 'trades', memberId, limit: 500, fromUs: middleUs })).trades
    assert.deepEqual(
      recent,
      trades.filter(({ timeUs }) => timeUs >= middleUs),
    )
    const older = (await query({ query: 'ledger', memberId, limit: 500, toUs: middleUs })).entries
    const all = (await query({ query: 'ledger', memberId, limit: 500 })).entries
    assert.deepEqual(
      older,
      all.filter(({ timeUs }) => timeUs < middleUs),
    )
  })

  it('refuses what is no query, and a foreign cursor', async () => {
    await start('orders-1')
    await publish(1)
    await caughtUp()
    const refusals: [object, string][] = [
      [{ query: 'orders', memberId: 1000 }, 'query_invalid'],
      [{ query: 'orders', memberId: 1000, limit: 501 }, 'query_invalid'],
      [{ query: 'orders', memberId: -1, limit: 5 }, 'query_invalid'],
      [{ query: 'nothing' }, 'query_invalid'],
      [{ query: 'orders', memberId: 1000, limit: 5, cursor: 'nonsense' }, 'cursor_invalid'],
      [{ query: 'trades', memberId: 1000, limit: 5, cursor: btoa('orders.17') }, 'cursor_invalid'],
    ]
    for (const [request, code] of refusals) {
      await assert.rejects(callRpc(nats, Rpc.ordersQuery, request, 5_000), { code })
    }
  })
})

/** All pages of a listing, with pages of seven. */
async function pages<Key extends string, Item>(
  ask: (page: {
    cursor: { cursor?: string }
    limit: number
  }) => Promise<{ [key in Key]: readonly Item[] } & { readonly cursor?: string }>,
  key: Key,
): Promise<Item[]> {
  const items: Item[] = []
  let cursor: { cursor?: string } = {}
  for (let count = 0; count < 1_000; count++) {
    const page = await ask({ cursor, limit: 7 })
    items.push(...page[key])
    if (page.cursor === undefined) return items
    cursor = { cursor: page.cursor }
  }
  throw new Error('the listing does not end')
}

async function defineMarket(nats: NatsConnection): Promise<void> {
  const header = { inFrom: [1, 0] as const, inTo: [1, 0] as const, complete: true, hash: 1, timeUs: 1, version: 1 }
  const event = { type: 'MarketDefined', market: MARKET, position: [1, 0, 0] }
  await jetstream(nats).publish(
    framesSubject(Log.definitions, DEFINITIONS_SLOT),
    encodeFrame(header, [JSON.stringify(event)]),
  )
}

const TABLES = [
  'orders',
  'fills',
  'movements',
  'balances',
  'asset_totals',
  'market_totals',
  'orders_timeline',
  'positions',
]

async function emptyTables(pool: Pool): Promise<void> {
  for (const table of [...TABLES, 'projection_slots', 'projection_instances']) await pool.query(`TRUNCATE ${table}`)
}

async function dump(pool: Pool): Promise<unknown[]> {
  return await Promise.all(
    TABLES.map(async (table) => (await pool.query(`SELECT * FROM ${table} ORDER BY 1, 2, 3`))[0]),
  )
}
