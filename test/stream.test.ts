import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { WebSocket } from 'ws'
import { seedMembers } from '#mesh/seeding.ts'
import { Bucket, EVENTS_STREAM, framesSubject, Log } from '#mesh/subjects.ts'
import { startTraefik } from '#mesh/testing/servers.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'
import { ClientBook, StreamClient } from './support/stream.ts'

describe('The stream, through two gateways, two of each pusher and Traefik', function () {
  this.timeout(60_000)
  const PASSWORD = 'correct horse battery'
  const PUSHERS = ['push-market', 'push-orders', 'push-accounts', 'stats'] as const
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
        STREAM_MESSAGES: '1000:2000',
        STREAM_HEARTBEAT_S: '2',
        STREAM_CONNECTIONS_PER_ADDRESS: '40',
        PUSH_MARKET_SAVE_MS: '500',
        // About thirty messages on an order.
        PUSH_MEMORY_CHARS: '20000',
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
      assert.deepEqual(limits, { type: 'welcome', heartbeatSeconds: 2, channelsMax: 12, messageBytesMax: 65_536 })
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
        channels: [
          ...['orders', 'fills', 'balances'],
          ...[`trades:${instrument}`, `ticker:${instrument}`, `candles:${instrument}:1m`],
        ],
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
      const { candles } = await client.of('candles', (one) => one.candles.length > 0)
      const { start, closed, ...candle } = candles.at(-1)
      assert.match(start, /:00\.000000Z$/)
      assert.deepEqual(
        { ...candle, closed },
        {
          open: '10',
          high: '10',
          low: '10',
          close: '10',
          volume: '2',
          quoteVolume: '20',
          trades: 1,
          closed: false,
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

  describe('a client that reconnects', () => {
    const placeMany = async (client: Client, instrument: string, orders: number) => {
      for (let index = 0; index < orders; index++)
        await client.ok('POST', '/order', { instrument, ...LIMIT_BUY, price: '1', amount: '0.001' })
    }

    it('gets what it missed, through another gateway', async () => {
      const { instrument } = await market()
      const buyer = await member({ USDT: '1000' })
      const [first = '', second = ''] = mesh.urls
      const subscribe = { op: 'subscribe', channels: ['orders', 'balances'] }
      let positions: Record<string, string> = {}
      {
        using client = await StreamClient.connect(first, buyer.token)
        await client.ok(subscribe)
        for (const channel of subscribe.channels) await client.of('position', (one) => one.channel === channel)
        await placeMany(buyer.client, instrument, 2)
        await eventually(() => assert.deepEqual([client.all('orders').length, client.all('balances').length], [4, 4]))
        positions = { orders: client.all('orders').at(-1).position, balances: client.all('balances').at(-1).position }
      }
      await placeMany(buyer.client, instrument, 3)
      using again = await StreamClient.connect(second, buyer.token)
      await again.ok({ ...subscribe, positions })
      await eventually(() => assert.deepEqual([again.all('orders').length, again.all('balances').length], [6, 6]))
      assert.deepEqual([again.all('position').length, again.all('reload').length], [2, 0])
      assert.equal(again.all('orders')[0].previous, positions.orders)
      await placeMany(buyer.client, instrument, 1)
      await eventually(() => assert.equal(again.all('orders').length, 8))
    })

    it('is told to reload when its position is too old, and goes on from there', async () => {
      const { instrument } = await market()
      const buyer = await member({ USDT: '1000' })
      using before = await StreamClient.connect(anywhere(), buyer.token)
      await before.ok({ op: 'subscribe', channels: ['orders'] })
      const { position } = await before.of('position')
      await placeMany(buyer.client, instrument, 40)
      using client = await StreamClient.connect(anywhere(), buyer.token)
      await client.ok({ op: 'subscribe', channels: ['orders'], positions: { orders: position } })
      const reload = await client.of('reload')
      assert.equal(reload.memberId, buyer.id)
      assert(!notAfter(reload.position, position))
      await placeMany(buyer.client, instrument, 1)
      const next = await client.of('orders')
      assert(notAfter(next.previous, reload.position))
      // One that never was is no position either.
      using bogus = await StreamClient.connect(anywhere(), buyer.token)
      await bogus.ok({ op: 'subscribe', channels: ['orders'], positions: { orders: '999999999-0-0' } })
      await bogus.of('reload')
    })
  })

  describe('what a connection may not', () => {
    it('is refused with the codes of HTTP', async () => {
      const { instrument } = await market()
      const poor = await member()
      using client = await StreamClient.connect(anywhere())
      const order = { instrument, ...LIMIT_BUY, price: '10', amount: '1' }
      await client.refused({ op: 'place', order }, 'token_missing')
      await client.refused({ op: 'subscribe', channels: ['orders'] }, 'token_missing')
      await client.refused({ op: 'login', token: 'nonsense' }, 'token_malformed', 'token')
      await client.ok({ op: 'login', token: poor.token })
      await client.refused({ op: 'place', order }, 'insufficient_balance')
      await client.refused({ op: 'place', order: { ...order, price: '10.01' } }, 'off_tick', 'price')
      await client.refused({ op: 'place', order: { ...order, price: 10 } }, 'wrong_type', 'price')
      await client.refused({ op: 'place', order: { ...order, colour: 'red' } }, 'unknown_field', 'colour')
      await client.refused({ op: 'place', order: [] }, 'body_not_object')
      await client.refused({ op: 'place' }, 'missing_field', 'order')
      await client.refused({ op: 'cancel', order: '17' }, 'order_not_found')
      await client.refused({ op: 'cancel', order: 'client:none' }, 'order_not_found')
      await client.refused({ op: 'place', order, memberId: '17' }, 'member_not_listed', 'memberId')
      await client.refused({ op: 'subscribe', channels: ['orders'], memberId: '17' }, 'member_not_listed', 'memberId')
      await client.refused({ op: 'dance' }, 'invalid_value', 'op')
      await client.refused({}, 'missing_field', 'op')
      await client.refused({ op: 'subscribe', channels: ['weather'] }, 'channel_unknown', 'channels')
      await client.refused({ op: 'subscribe', channels: ['trades:AA-BB'] }, 'market_unknown')
      await client.refused({ op: 'subscribe', channels: [] }, 'invalid_value', 'channels')
      const positions = { orders: 'yesterday' }
      await client.refused({ op: 'subscribe', channels: ['orders'], positions }, 'invalid_value', 'positions.orders')
      const another = await member()
      await client.refused({ op: 'login', token: another.token }, 'forbidden', 'token')
      client.send('{"op":')
      await client.of('error', ({ id, error }) => id === null && error.code === 'json_invalid')
      assert.equal((await client.ask({ op: 'ping' })).type, 'pong')
    })

    it('is bounded: channels, messages, connections', async () => {
      const { instrument } = await market()
      using client = await StreamClient.connect(anywhere())
      const channels = ['10', '50', '500', 'full'].map((depth) => `orderbook:${instrument}:${depth}`)
      const more = [`trades:${instrument}`, `bbo:${instrument}`, `ticker:${instrument}`]
      await client.ok({ op: 'subscribe', channels: [...channels, ...more] })
      const other = await market()
      const others = [...channels, ...more].map((name) => name.replace(instrument, other.instrument))
      await client.refused({ op: 'subscribe', channels: others }, 'too_many_channels', 'channels')
      await client.ok({ op: 'unsubscribe', channels })
      await client.ok({ op: 'subscribe', channels: others })

      // Larger than any message may be.
      using large = await StreamClient.connect(anywhere())
      large.send(JSON.stringify({ op: 'ping', id: 'x'.repeat(70_000) }))
      assert.equal((await large.untilClosed()).code, 1009)

      using loud = await StreamClient.connect(anywhere())
      for (let index = 0; index < 30_000; index++) loud.send('{"op":"ping"}')
      assert.deepEqual(await loud.untilClosed(), { code: 1008, reason: 'rate_limited' })
      assert(loud.all('error').some(({ error }) => error.code === 'rate_limited'))

      const [url = ''] = mesh.urls
      const headers = { 'x-forwarded-for': '203.0.113.9' }
      const many = await Promise.all(Array.from({ length: 40 }, () => StreamClient.connect(url, undefined, headers)))
      assert.deepEqual(await refusedUpgrade(url, '/api/v3/stream', headers), [503, 'too_many_connections'])
      for (const one of many.splice(0, 1)) one[Symbol.dispose]()
      await eventually(async () => void many.push(await StreamClient.connect(url, undefined, headers)))
      for (const one of many) one[Symbol.dispose]()

      assert.deepEqual(await refusedUpgrade(url, '/api/v3/other'), [404, 'route_unknown'])
      await anyone.refused([426, 'upgrade_required'], 'GET', '/stream')
    })
  })

  describe('orders on the stream', () => {
    it('have the semantics of HTTP', async () => {
      const { instrument } = await market()
      const buyer = await member({ USDT: '1000' })
      using client = await StreamClient.connect(anywhere(), buyer.token)
      const order = { instrument, ...LIMIT_BUY, price: '10', amount: '1', clientOrderId: 'mine' }
      const first = await client.ask({ op: 'place', order })
      assert.deepEqual([first.status, first.result.status], [201, 'new'])
      const repeat = await client.ask({ op: 'place', order })
      assert.deepEqual([repeat.status, repeat.result.id], [200, first.result.id])
      await client.refused(
        { op: 'place', order: { ...order, amount: '2' } },
        'client_order_id_conflict',
        'clientOrderId',
      )
      const amended = await client.ok({ op: 'amend', order: 'client:mine', change: { amount: '0.5' } })
      assert.deepEqual([amended.id, amended.amount], [first.result.id, '0.5'])
      assert.equal((await client.ok({ op: 'cancel', order: first.result.id })).status, 'cancelled')
      await client.refused({ op: 'cancel', order: first.result.id }, 'order_not_open')
      const others = []
      for (const price of ['9', '8']) {
        others.push((await client.ok({ op: 'place', order: { instrument, ...LIMIT_BUY, price, amount: '1' } })).id)
      }
      assert.deepEqual((await client.ok({ op: 'cancelAll', instrument })).cancelled.sort(), others.sort())
    })

    it("act for the members that a broker's token names, and for no one else", async () => {
      const { instrument } = await market()
      const customer = await member({ USDT: '100' })
      const stranger = await member()
      const broker = await member()
      await admin.ok('PUT', `/admin/members/${broker.id}/roles`, { roles: ['broker'] })
      const wanted = { name: 'desk', scopes: ['read', 'trade'], memberId: broker.id, members: [customer.id] }
      const { token } = await admin.ok('POST', '/tokens', wanted)
      using client = await StreamClient.connect(anywhere(), token)
      const memberId = customer.id
      await client.ok({ op: 'subscribe', channels: ['orders'], memberId })
      await client.of('position', (one) => one.memberId === memberId)
      const order = { instrument, ...LIMIT_BUY, price: '10', amount: '1' }
      await client.ok({ op: 'place', order, memberId })
      assert.equal((await client.of('orders')).memberId, memberId)
      await client.refused({ op: 'place', order, memberId: stranger.id }, 'member_not_listed', 'memberId')
    })
  })

  describe('a login that is over', () => {
    const timed = async (client: StreamClient, what: () => Promise<unknown>, reason: string) => {
      await what()
      const doneAtMs = performance.now()
      assert.deepEqual(await client.untilClosed(), { code: 1008, reason })
      return performance.now() - doneAtMs
    }

    it('ends the connection within a second: revoked, or the member is blocked', async () => {
      const [one, other] = [await member(), await member()]
      using revoked = await StreamClient.connect(anywhere(), one.token)
      await revoked.ok({ op: 'subscribe', channels: ['orders'] })
      await revoked.of('position')
      using blocked = await StreamClient.connect(anywhere(), other.token)
      const [first, second] = [
        await timed(revoked, () => one.client.ok('DELETE', '/sessions', undefined, [200, 204]), 'token_revoked'),
        await timed(
          blocked,
          () => admin.ok('POST', `/admin/members/${other.id}/block`, { reason: 'test' }),
          'member_blocked',
        ),
      ]
      assert(first < 1_000 && second < 1_000, `after ${first} and ${second} ms`)
      const closing = await revoked.of('closing')
      assert.deepEqual(
        [closing.code, closing.positions.map(({ channel }: { channel: string }) => channel)],
        ['token_revoked', ['orders']],
      )
    })
  })

  describe('a connection that is not looked after', () => {
    it('ends when its login expires, unless it logs in again before', async () => {
      const nats = await connectTo(mesh)
      const [one, other] = await seedMembers(nats, { count: 2, lifetimeS: 4 })
      await nats.drain()
      assert(one && other)
      using kept = await StreamClient.connect(anywhere(), one.accessToken)
      using forgotten = await StreamClient.connect(anywhere(), other.accessToken)
      const { email, password } = one
      await kept.ok({ op: 'login', token: (await anyone.ok('POST', '/sessions', { email, password })).accessToken })
      assert.deepEqual(await forgotten.untilClosed(), { code: 1008, reason: 'token_expired' })
      await kept.refused({ op: 'cancel', order: '17' }, 'order_not_found')
    })

    it('ends when it answers no ping', async () => {
      using client = await StreamClient.connect(anywhere(), undefined, {}, { autoPong: false })
      await client.of('heartbeat')
      assert.deepEqual(await client.untilClosed(), { code: 1008, reason: 'heartbeat_missed' })
    })

    it('ends when it does not read what is its own, and is told where it was', async () => {
      const { token } = await member()
      using client = await StreamClient.connect(mesh.urls[0] ?? '', token)
      await client.ok({ op: 'subscribe', channels: ['orders'] })
      const { position } = await client.of('position')
      client.socket.pause()
      // Long answers, as those of a client that asks and does not read.
      const channels = Array.from({ length: 500 }, () => 'balances')
      for (let index = 0; index < 2_500; index++) {
        client.send({ op: 'unsubscribe', channels, id: String(index).padStart(64, '0') })
        if (index % 500 === 0) await sleep(500)
      }
      await sleep(1_000)
      client.socket.resume()
      assert.deepEqual(await client.untilClosed(), { code: 1013, reason: 'slow_consumer' })
      const closing = await client.of('closing')
      assert.equal(closing.code, 'slow_consumer')
      assert(notAfter(position, closing.positions[0].position))
    })
  })

  describe('its documentation', () => {
    it('is an AsyncAPI document with a message for everything that came here', async () => {
      const document = await anyone.ok('GET', '/asyncapi.json')
      assert.equal(document.asyncapi, '3.0.0')
      assert.equal(document.channels.stream.address, '/api/v3/stream')
      const { messages, schemas } = document.components
      const refs = [...JSON.stringify(document).matchAll(/"#\/components\/(messages|schemas)\/([^"]+)"/g)]
      assert(refs.length > 20)
      for (const [, kind, name = ''] of refs)
        assert((kind === 'messages' ? messages : schemas)[name], `${kind} ${name}`)
      for (const type of ['welcome', 'orderbook-change', 'reload', 'closing']) assert(messages[`receive-${type}`])
      for (const op of ['subscribe', 'place', 'cancelAll']) assert(messages[`send-${op}`])
    })
  })

  describe('a slow client', () => {
    it('is left out of public changes, and goes on with a new snapshot', async () => {
      const { base, instrument } = await market()
      const maker = await member({ [base]: '10000' })
      using slow = await StreamClient.connect(mesh.urls[0] ?? '')
      using fast = await StreamClient.connect(mesh.urls[0] ?? '')
      const channel = `orderbook:${instrument}:full`
      // A large book, so that a few snapshots fill what waits for a client.
      using trader = await StreamClient.connect(mesh.urls[1] ?? '', maker.token)
      for (let index = 0; index < 900; index += 100) {
        const prices = Array.from({ length: 100 }, (_, step) => (10 + (index + step) * 0.05).toFixed(2))
        await Promise.all(
          prices.map((price) =>
            trader.ok({ op: 'place', order: { instrument, ...LIMIT_SELL, price, amount: '0.001' } }),
          ),
        )
      }
      await fast.ok({ op: 'subscribe', channels: [channel] })
      await slow.ok({ op: 'subscribe', channels: [channel] })
      await slow.of('orderbook.snapshot')
      slow.socket.pause()
      const fill = async () => {
        // What the kernel takes for a client that does not read is a few megabytes: subscribing again gives it all anew.
        for (let round = 0; round < 500; round++) {
          slow.send({ op: 'unsubscribe', channels: [channel] })
          slow.send({ op: 'subscribe', channels: [channel] })
          if (round % 50 === 0) await sleep(20)
        }
      }
      await fill()
      const changes: string[] = []
      for (let index = 0; index < 20; index++) {
        const { id } = await trader.ok({
          op: 'place',
          order: { instrument, ...LIMIT_SELL, price: '9.95', amount: '1' },
        })
        await trader.ok({ op: 'cancel', order: id })
        changes.push(id)
      }
      const last = '940'
      await fast.of('orderbook.change', (one) => one.last === last)
      slow.socket.resume()
      const book = new ClientBook()
      await eventually(() => {
        const seen = slow.messages.filter(({ type }) => type?.startsWith('orderbook.'))
        assert.equal(seen.at(-1)?.last ?? seen.at(-1)?.sequence, last)
      }, 30_000)
      for (const message of slow.messages) if (message.type?.startsWith('orderbook.')) book.take(message)
      assert.equal(book.sequence, Number(last))
      assert(slow.all('orderbook.change').length < 40, 'not every change was told')
    })
  })

  describe('when processes die', () => {
    it('nothing is missing, neither in books nor in private channels', async function () {
      this.timeout(150_000)
      const { base, instrument } = await market()
      const maker = await member({ [base]: '1000', USDT: '100000' })
      const taker = await member({ [base]: '1000', USDT: '100000' })
      using client = await StreamClient.connect(anywhere(), taker.token)
      const depths = ['10', '50', '500', 'full']
      const channels = depths.map((depth) => `orderbook:${instrument}:${depth}`)
      const private_ = ['orders', 'fills', 'balances']
      await client.ok({
        op: 'subscribe',
        channels: [...channels, ...private_, `trades:${instrument}`, `ticker:${instrument}`],
      })
      for (const channel of private_) await client.of('position', (one) => one.channel === channel)
      using trader = await StreamClient.connect(mesh.urls[0] ?? '', taker.token)
      using other = await StreamClient.connect(mesh.urls[1] ?? '', maker.token)
      let isOver = false
      let seed = 7
      const random = (below: number): number => {
        seed = (seed * 48_271) % 2_147_483_647
        return seed % below
      }
      const trade = async (by: StreamClient): Promise<void> => {
        while (!isOver) {
          const side = random(2) === 0 ? 'buy' : 'sell'
          const price = (10 + random(60) * 0.05).toFixed(2)
          const order = { instrument, side, type: 'limit', price, amount: `0.${1 + random(9)}` }
          const placed = await by.ask({ op: 'place', order })
          if (placed.type === 'result' && random(3) === 0) await by.ask({ op: 'cancel', order: placed.result.id })
          await sleep(5)
        }
      }
      const trading = [trade(trader), trade(other)]
      for (const suffix of ['', '-2']) {
        await sleep(700)
        // Whoever does not die takes over.
        await Promise.all(PUSHERS.map((pusher) => mesh.restart(`${pusher}${suffix}`)))
      }
      await sleep(700)
      isOver = true
      await Promise.all(trading)

      const { sequence, bids, asks } = await anyone.ok(
        'GET',
        `/markets/${instrument}/orderbook?refresh=true&limit=1000`,
      )
      for (const [index, channel] of channels.entries()) {
        const depth = [10, 50, 500, 5000][index] ?? 0
        const reached = () => client.messages.filter((one) => one.channel === channel).at(-1)
        const levels = (side: { price: string; amount: string }[]) =>
          side.slice(0, depth).map(({ price, amount }) => [price, amount])
        await eventually(() => {
          const book = new ClientBook(depth)
          for (const message of client.messages) if (message.channel === channel) book.take(message)
          assert.deepEqual(
            [book.bids, book.asks],
            [levels(bids), levels(asks)],
            `${channel} at ${book.sequence} of ${sequence}`,
          )
          assert(reached() !== undefined)
        }, 20_000)
      }
      const orders = await taker.client.ok('GET', '/orders?limit=500')
      await eventually(() => {
        for (const channel of private_) {
          let position = '0-0-0'
          for (const told of client.messages.filter((one) => one.channel === channel)) {
            // A successor that is not where its predecessor was in time says so, and where it goes on.
            const goesOn = told.type === 'position' || told.type === 'reload'
            assert(
              goesOn || (notAfter(told.previous, position) && !notAfter(told.position, position)),
              `${channel} at ${told.position}, after ${told.previous}; known ${position}`,
            )
            position = told.position
          }
        }
        if (client.all('reload').length > 0) return
        const latest = new Map(
          client.all('orders').flatMap(({ order }) => (order === undefined ? [] : [[order.id, order]])),
        )
        for (const order of orders.orders) assert.deepEqual(latest.get(order.id), order)
      }, 20_000)
      const { trades } = await anyone.ok('GET', `/markets/${instrument}/trades?refresh=true&limit=500`)
      await eventually(() => {
        const told = client.messages.filter(({ type }) => type?.startsWith('trades')).flatMap((one) => one.trades)
        const ids = [...new Set(told.map(({ tradeId }) => Number(tradeId)))]
        assert.deepEqual(
          ids.sort((a, b) => a - b),
          trades.map(({ tradeId }: { tradeId: string }) => Number(tradeId)).reverse(),
        )
        const ticker = client.all('ticker').at(-1)
        assert.deepEqual([ticker.tradesCount, ticker.last], [trades.length, trades[0].price])
      })
      const { fills, told } = {
        fills: (await taker.client.ok('GET', '/trades?limit=500')).trades,
        told: client.all('fills').flatMap((one) => one.fills),
      }
      assert.deepEqual(
        told.reverse().map(({ tradeId }) => tradeId),
        fills.map(({ tradeId }: { tradeId: string }) => tradeId),
      )
    })

    it('a market comes back from its engine when neither the log nor what was stored is there any more', async () => {
      const { base, instrument } = await market()
      const maker = await member({ [base]: '10', USDT: '1000' })
      const place = (order: object) => maker.client.ok('POST', '/order', { instrument, type: 'limit', ...order })
      await place({ side: 'sell', price: '10', amount: '2' })
      await place({ side: 'buy', price: '10', amount: '1' })
      await place({ side: 'buy', price: '9', amount: '1' })
      await Promise.all(['push-market', 'push-market-2'].map((name) => mesh.process(name).kill()))
      const nats = await connectTo(mesh)
      const manager = await jetstreamManager(nats)
      for (let slot = 0; slot < 4; slot++) {
        await manager.streams.purge(EVENTS_STREAM, { filter: framesSubject(Log.markets, slot), keep: 1 })
      }
      await manager.streams.purge(`KV_${Bucket.pushMarket}`)
      await nats.drain()
      await Promise.all(['push-market', 'push-market-2'].map((name) => mesh.process(name).start()))
      using client = await StreamClient.connect(anywhere())
      await client.ok({ op: 'subscribe', channels: [`orderbook:${instrument}`, `trades:${instrument}`] })
      const { bids, asks } = await client.of('orderbook.snapshot')
      assert.deepEqual([bids, asks], [[['9', '1']], [['10', '1']]])
      assert.equal((await client.of('trades.snapshot')).trades.length, 1)
      await place({ side: 'buy', price: '8', amount: '1' })
      assert.deepEqual((await client.of('orderbook.change')).bids, [['8', '1']])
    })

    it('a gateway that stops says so first, and ends its connections with a code', async () => {
      using client = await StreamClient.connect(mesh.urls[1] ?? '')
      const stopping = mesh.process('gateway-2').stop()
      assert.equal((await client.of('server_shutdown')).seconds, 3)
      assert.deepEqual(await client.untilClosed(), { code: 1001, reason: 'server_shutdown' })
      await stopping
      using again = await StreamClient.connect(anywhere())
      assert.match((await again.of('welcome')).connection, /^gateway-1-/)
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

/** What an upgrade is refused with. */
function refusedUpgrade(url: string, path: string, headers: Record<string, string> = {}): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}${path}`, { headers })
    socket.on('error', () => {})
    socket.on('open', () => reject(new Error('it was taken')))
    socket.on('unexpected-response', (_, response) => {
      let text = ''
      response.on('data', (data) => {
        text += String(data)
      })
      response.on('end', () => resolve([response.statusCode ?? 0, JSON.parse(text).code]))
    })
  })
}
