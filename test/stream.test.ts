import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTraefik } from '#mesh/testing/servers.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { startMesh, type TestMesh } from './support/mesh.ts'
import { ClientBook, StreamClient } from './support/stream.ts'

describe('The stream, through two gateways, two of each pusher and Traefik', function () {
  this.timeout(60_000)
  const PASSWORD = 'correct horse battery'
  const PUSHERS = ['push-market', 'push-orders', 'push-accounts'] as const
  let mesh: TestMesh
  let traefik: Awaited<ReturnType<typeof startTraefik>>
  let anyone: Client
  let admin: Client

  before(async function () {
    this.timeout(180_000)
    const many = '100000:100000'
    mesh = await startMesh({
      scale: { gateway: 2 },
      env: {
        PASSWORD_COST_LOG2: '10',
        RATE_LOGIN: many,
        RATE_READ: many,
        RATE_TRADE: many,
        RATE_ADDRESS: many,
        STREAM_CHANNELS_MAX: '12',
        STREAM_MESSAGES: '1000:1000',
        STREAM_CONNECTIONS_PER_ADDRESS: '40',
        PUSH_MARKET_SAVE_MS: '500',
      },
    })
    await Promise.all(PUSHERS.map(async (pusher) => mesh.add(pusher)))
    await Promise.all(PUSHERS.map(async (pusher) => mesh.add(pusher)))
    traefik = await startTraefik(mesh.urls)
    anyone = new Client(mesh.urls)
    admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
  })
  after(async () => {
    await traefik?.stop()
    await mesh?.stop()
  })

  let count = 0
  const deposit = (memberId: string, asset: string, amount: string) =>
    admin.ok('POST', '/admin/deposits', { reference: `d-${++count}`, memberId, asset, amount })
  const member = async (money: Readonly<Record<string, string>> = {}) => {
    const email = `member-${++count}@example.com`
    const { id } = await anyone.ok('POST', '/members', { email, password: PASSWORD })
    for (const [asset, amount] of Object.entries(money)) await deposit(id, asset, amount)
    const session = await anyone.ok('POST', '/sessions', { email, password: PASSWORD })
    return { id: id as string, email, token: session.accessToken as string, client: anyone.as(session.accessToken) }
  }
  const market = async () => {
    const base = `S${(++count).toString(36).toUpperCase().padStart(3, '0')}`
    await admin.ok('POST', '/admin/assets', { asset: base, scale: 6 })
    const steps = { tick: '0.05', lot: '0.001', amountMin: '0.001', makerFeePpm: 1000, takerFeePpm: 2000 }
    await admin.ok('POST', '/admin/markets', { base, quote: 'USDT', ...steps })
    const instrument = `${base}-USDT`
    await eventually(async () => {
      for (const url of mesh.urls) await new Client([url]).ok('GET', `/markets/${instrument}`)
    })
    return { base, instrument }
  }
  const [LIMIT_BUY, LIMIT_SELL] = [
    { side: 'buy', type: 'limit' },
    { side: 'sell', type: 'limit' },
  ]
  const anywhere = () => traefik.url

  describe('a connection', () => {
    it('is welcomed with its limits, through Traefik', async () => {
      using client = await StreamClient.connect(anywhere())
      const { connection, time, ...limits } = await client.of('welcome')
      assert.match(connection, /^gateway-[12]-/)
      assert.match(time, /Z$/)
      assert.deepEqual(limits, { type: 'welcome', heartbeatSeconds: 15, channelsMax: 12, messageBytesMax: 65_536 })
    })
    it('answers a ping with the same id', async () => {
      using client = await StreamClient.connect(anywhere())
      assert.equal((await client.ask({ op: 'ping' })).type, 'pong')
    })
  })

  describe('order books', () => {
    it('come as a snapshot and then as changes, at every depth', async () => {
      const { base, instrument } = await market()
      const maker = await member({ [base]: '100', USDT: '100000' })
      await maker.client.ok('POST', '/order', { instrument, ...LIMIT_BUY, price: '9.95', amount: '1' })
      using client = await StreamClient.connect(anywhere())
      const { channels } = await client.ok({
        op: 'subscribe',
        channels: [`orderbook:${instrument}`, `bbo:${instrument}`],
      })
      assert.deepEqual(channels, [`orderbook:${instrument}:50`, `bbo:${instrument}`])
      const { time, checksum, ...snapshot } = await client.of('orderbook.snapshot')
      assert.deepEqual(snapshot, {
        type: 'orderbook.snapshot',
        channel: `orderbook:${instrument}:50`,
        sequence: '1',
        bids: [['9.95', '1']],
        asks: [],
      })
      assert.match(time, /Z$/)
      assert.equal(typeof checksum, 'number')
      await maker.client.ok('POST', '/order', { instrument, ...LIMIT_SELL, price: '10.05', amount: '2' })
      const change = await client.of('orderbook.change')
      assert.deepEqual([change.first, change.last, change.bids, change.asks], ['2', '2', [], [['10.05', '2']]])
      const bbo = await client.of('bbo', ({ ask }) => ask !== null)
      assert.deepEqual([bbo.bid, bbo.ask, bbo.sequence], [['9.95', '1'], ['10.05', '2'], '2'])
    })
  })

  describe('private channels', () => {
    it('tell orders, fills and balances, each with what came before it', async () => {
      const { base, instrument } = await market()
      const seller = await member({ [base]: '5' })
      const buyer = await member({ USDT: '1000' })
      using client = await StreamClient.connect(anywhere(), buyer.token)
      await client.ok({
        op: 'subscribe',
        channels: ['orders', 'fills', 'balances', `trades:${instrument}`, `ticker:${instrument}`],
      })
      for (const channel of ['orders', 'fills', 'balances'])
        await client.of('position', (one) => one.channel === channel)
      await seller.client.ok('POST', '/order', { instrument, ...LIMIT_SELL, price: '10', amount: '2' })
      const placed = await client.ask({ op: 'place', order: { instrument, ...LIMIT_BUY, price: '10.05', amount: '3' } })
      assert.deepEqual([placed.type, placed.status], ['result', 201])
      const matched = await client.of('orders', ({ cause }) => cause === 'placed')
      const { fills: executions, ...order } = await buyer.client.ok('GET', `/order/${placed.result.id}`)
      assert.equal(executions.length, 1)
      assert.deepEqual(matched.order, order)
      const { fills } = await client.of('fills')
      const { trades } = await buyer.client.ok('GET', '/trades')
      assert.deepEqual(fills, trades)
      await client.of('balances', ({ cause }) => cause === 'reserved')
      const booked = await client.of('balances', ({ cause }) => cause === 'placed')
      const { accounts } = await buyer.client.ok('GET', '/accounts')
      assert.deepEqual(
        booked.balances.sort((a: { asset: string }, b: { asset: string }) => (a.asset < b.asset ? -1 : 1)),
        accounts,
      )
      await deposit(buyer.id, 'USDT', '7.5')
      const paid = await client.of('balances', ({ cause }) => cause === 'deposit')
      assert.deepEqual([paid.asset, paid.amount], ['USDT', '7.5'])
      const trade = await client.of('trades')
      assert.deepEqual(
        trade.trades.map(({ time, ...rest }: { time: string }) => rest),
        [{ tradeId: '1', price: '10', amount: '2', takerSide: 'buy' }],
      )
      const ticker = await client.of('ticker', ({ tradesCount }) => tradesCount > 0)
      assert.deepEqual(
        { ...ticker, time: '' },
        {
          type: 'ticker',
          channel: `ticker:${instrument}`,
          time: '',
          open: '10',
          high: '10',
          low: '10',
          last: '10',
          volume: '2',
          quoteVolume: '20',
          vwap: '10',
          change: '0',
          changePercent: '0',
          tradesCount: 1,
        },
      )
      for (const channel of ['orders', 'fills', 'balances']) {
        let { position } = await client.of('position', (one) => one.channel === channel)
        for (const told of client.all(channel)) {
          assert(notAfter(told.previous, position), `${channel}: nothing is missing before ${told.position}`)
          assert(!notAfter(told.position, position))
          position = told.position
        }
      }
    })
  })
})

/** Not after. */
function notAfter(a: string, b: string): boolean {
  const [left, right] = [a.split('-').map(Number), b.split('-').map(Number)]
  for (const [index, part] of left.entries()) {
    if (part !== right[index]) return part < (right[index] ?? 0)
  }
  return true
}
void ClientBook
void sleep
