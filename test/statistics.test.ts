import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { createCommandPublisher } from '#mesh/commands.ts'
import { followDefinitions } from '#mesh/edge/definitions.ts'
import { createIds } from '#mesh/ids.ts'
import { createPool, type Row } from '#mesh/mysql.ts'
import { watchProgress } from '#mesh/projection/progress.ts'
import { Projection } from '#mesh/subjects.ts'
import { type Daily, runDaily } from '#services/stats/invoker.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'
import { StreamClient } from './support/stream.ts'

describe('candles, tickers and statistics over HTTP', function () {
  this.timeout(120_000)
  const PASSWORD = 'correct horse battery'
  const INSTRUMENT = 'BTC-USDT'
  const WAIT_MS_MAX = 60_000
  let mesh: TestMesh
  let anyone: Client
  let seller: Client
  let buyer: Client

  before(async function () {
    this.timeout(180_000)
    const many = '100000:100000'
    const env = { PASSWORD_COST_LOG2: '10', RATE_LOGIN: many, RATE_READ: many, RATE_TRADE: many, RATE_ADDRESS: many }
    mesh = await startMesh({ scale: { gateway: 2 }, env })
    await mesh.add('stats')
    anyone = new Client(mesh.urls)
    const admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
    const member = async (name: string, asset: string, amount: string): Promise<Client> => {
      const email = `${name}@example.com`
      const { id } = await anyone.ok('POST', '/members', { email, password: PASSWORD })
      await admin.ok('POST', '/admin/deposits', { reference: name, memberId: id, asset, amount })
      return anyone.as((await anyone.ok('POST', '/sessions', { email, password: PASSWORD })).accessToken)
    }
    seller = await member('seller', 'BTC', '100')
    buyer = await member('buyer', 'USDT', '1000000')
  })
  after(async () => {
    await mesh?.stop()
  })

  const trade = async (price: string, amount: string): Promise<void> => {
    const order = { instrument: INSTRUMENT, type: 'limit', price, amount }
    await seller.ok('POST', '/order', { ...order, side: 'sell' })
    const { status } = await buyer.ok('POST', '/order', { ...order, side: 'buy' })
    assert.equal(status, 'executed')
  }
  const market = `/markets/${INSTRUMENT}`
  const fresh = async (path: string) => anyone.ok('GET', `${path}${path.includes('?') ? '&' : '?'}refresh=true`)

  it('have nothing before the first trade', async () => {
    const ticker = await eventually(() => fresh(`${market}/ticker`), WAIT_MS_MAX)
    const nothing = { open: null, high: null, low: null, last: null, vwap: null, change: null, changePercent: null }
    assert.deepEqual(
      { ...ticker, time: '' },
      { instrument: INSTRUMENT, time: '', ...nothing, volume: '0', quoteVolume: '0', tradesCount: 0 },
    )
    assert.deepEqual((await fresh(`${market}/candles?interval=1m`)).candles, [])
    assert.deepEqual((await fresh(`${market}/candles?interval=1m&fill=true`)).candles, [])
    const { tickers } = await fresh('/tickers')
    const { markets } = await anyone.ok('GET', '/markets')
    const names = (all: readonly { instrument: string }[]) => all.map(({ instrument }) => instrument)
    assert.deepEqual(names(tickers), names(markets))
    const statistics = await fresh('/statistics')
    assert.deepEqual([statistics.markets, statistics.trades, statistics.trades24h], [markets.length, 0, 0])
    assert.deepEqual((await buyer.ok('GET', '/accounts/statistics')).days, [])
  })

  it('say what was traded, by the time of the trades', async () => {
    await trade('60000', '0.5')
    await trade('60010.5', '0.25')
    await trade('59990', '0.25')
    const { trades } = await fresh(`${market}/trades`)
    assert.equal(trades.length, 3)
    const day = trades[0].time.slice(0, 10)
    const { candles, interval, instrument } = await eventually(async () => {
      const found = await fresh(`${market}/candles?interval=1M`)
      assert.equal(found.candles.at(-1)?.trades, 3)
      return found
    })
    assert.deepEqual([instrument, interval], [INSTRUMENT, '1M'])
    assert.deepEqual(candles, [
      {
        start: `${day.slice(0, 7)}-01T00:00:00.000000Z`,
        open: '60000',
        high: '60010.5',
        low: '59990',
        close: '59990',
        volume: '1',
        quoteVolume: '60000.125',
        trades: 3,
      },
    ])
    const seconds = (await fresh(`${market}/candles?interval=1s`)).candles
    const times = new Set(trades.map(({ time }: { time: string }) => `${time.slice(0, 19)}.000000Z`))
    assert.deepEqual(
      seconds.map(({ start }: { start: string }) => start),
      [...times].reverse(),
    )
    const ticker = await fresh(`${market}/ticker`)
    assert.deepEqual(
      { ...ticker, time: '' },
      {
        instrument: INSTRUMENT,
        time: '',
        open: '60000',
        high: '60010.5',
        low: '59990',
        last: '59990',
        volume: '1',
        quoteVolume: '60000.125',
        vwap: '60000.125',
        change: '-10',
        changePercent: '-0.0166',
        tradesCount: 3,
      },
    )
    const { tickers } = await fresh('/tickers')
    const { time, ...same } = tickers.find((one: { instrument: string }) => one.instrument === INSTRUMENT)
    assert.deepEqual({ ...same, time: '' }, { ...ticker, time: '' })
    const statistics = await fresh('/statistics')
    assert.deepEqual([statistics.trades, statistics.trades24h], [3, 3])
    assert.deepEqual(statistics.volumes, [
      { asset: 'BTC', volume24h: '0', volume: '0' },
      { asset: 'USDT', volume24h: '60000.125', volume: '60000.125' },
    ])
  })

  it('are kept in Redis for a second at most', async () => {
    const redis = new Redis(mesh.servers.redis.url)
    try {
      await eventually(async () => {
        await anyone.ok('GET', `${market}/candles?interval=1h`)
        const key = `exchange:public:candles:${INSTRUMENT}:1h:::500:false`
        const [kept, leftMs] = await Promise.all([redis.get(key), redis.pttl(key)])
        assert.equal(JSON.parse(kept ?? '{}').candles?.at(-1).trades, 3)
        assert(leftMs > 0 && leftMs <= 1_000, String(leftMs))
      }, WAIT_MS_MAX)
    } finally {
      redis.disconnect()
    }
  })

  it('a member has his own, never older than an answer that he was given', async () => {
    await trade('60000', '0.001')
    for (const [client, side] of [
      [buyer, 'buy'],
      [seller, 'sell'],
    ] as const) {
      const { days } = await client.ok('GET', '/accounts/statistics')
      const { trades } = await client.ok('GET', '/trades')
      assert.equal(trades.length, 4)
      const total = (field: string): number =>
        trades.reduce((sum: number, one: Record<string, string>) => sum + Number(one[field]), 0)
      assert.equal(days.length, 1)
      const [day] = days
      assert.deepEqual([day.day, day.instrument, day.trades], [trades[0].time.slice(0, 10), INSTRUMENT, 4])
      assert.equal(day.volume, '1.001')
      assert.equal(day.quoteVolume, '60060.125')
      const fee = side === 'buy' ? day.baseFee : day.quoteFee
      assert(Math.abs(Number(fee) - total('fee')) < 1e-9)
      assert.equal(side === 'buy' ? day.quoteFee : day.baseFee, '0')
      const today = day.day
      assert.equal((await client.ok('GET', `/accounts/statistics?from=${today}`)).days.length, 1)
      assert.equal((await client.ok('GET', `/accounts/statistics?to=${today}`)).days.length, 0)
      assert.equal((await client.ok('GET', `/accounts/statistics?instrument=ETH-USDT`)).days.length, 0)
    }
  })

  it('the WebSocket tells the candle that HTTP has', async () => {
    using client = await StreamClient.connect(mesh.urls[0] ?? '')
    await client.ok({ op: 'subscribe', channels: [`candles:${INSTRUMENT}:1d`, `candles:${INSTRUMENT}:1s`] })
    const first = await client.of('candles.snapshot', ({ channel }) => channel.endsWith(':1d'))
    assert.equal(first.candles.at(-1).trades, 4)
    await trade('60100', '0.002')
    const told = await client.of('candles', ({ candles }) => candles.at(-1).trades === 5)
    const { closed, ...candle } = told.candles.at(-1)
    assert.equal(closed, false)
    await eventually(async () => {
      assert.deepEqual((await fresh(`${market}/candles?interval=1d&limit=1`)).candles, [candle])
    })
    const second = await client.of(
      'candles',
      ({ channel, candles }) => channel.endsWith(':1s') && candles.at(-1).closed,
    )
    assert.equal(second.candles.at(-1).close, '60100')
    const refused = await client.ask({ op: 'subscribe', channels: [`candles:${INSTRUMENT}:2s`] })
    assert.deepEqual([refused.type, refused.error.code], ['error', 'channel_unknown'])
  })

  it('of what is asked for wrongly say what is wrong', async () => {
    const rows: [path: string, status: number, code: string, field?: string][] = [
      ['/markets/BTC-XYZ/candles?interval=1m', 404, 'market_unknown'],
      ['/markets/BTC-XYZ/ticker', 404, 'market_unknown'],
      [`${market}/candles`, 400, 'missing_field', 'interval'],
      [`${market}/candles?interval=2m`, 400, 'invalid_value', 'interval'],
      [`${market}/candles?interval=1m&limit=0`, 400, 'invalid_value', 'limit'],
      [`${market}/candles?interval=1m&limit=1001`, 400, 'invalid_value', 'limit'],
      [`${market}/candles?interval=1m&start=yesterday`, 400, 'invalid_value', 'start'],
      [`${market}/candles?interval=1m&end=1234`, 400, 'invalid_value', 'end'],
      [`${market}/candles?interval=1m&start=2031-01-02&end=2031-01-01`, 400, 'invalid_value', 'end'],
      [`${market}/candles?interval=1m&fill=yes`, 400, 'invalid_value', 'fill'],
      [`${market}/candles?interval=1m&from=2031-01-01`, 400, 'unknown_field', 'from'],
      ['/tickers?refresh=1', 400, 'invalid_value', 'refresh'],
      ['/accounts/statistics', 401, 'token_missing'],
    ]
    for (const [path, status, code, field] of rows) {
      const { status: had, body } = await anyone.call('GET', path)
      assert.deepEqual([had, body.code, body.field], [status, code, field], path)
    }
    for (const cursor of ['x', '20000.btc-usdt', '99999999.BTC-USDT']) {
      const { status, body } = await buyer.call('GET', `/accounts/statistics?cursor=${cursor}`)
      assert.deepEqual([status, body.code], [400, 'cursor_invalid'])
    }
  })

  it('what is due at the beginning of a day is done by the service itself', async () => {
    const pool = createPool(mesh.mysqlUrl)
    try {
      await eventually(async () => {
        const [rows] = await pool.query<Row[]>('SELECT job, day FROM daily_runs ORDER BY job')
        const today = Math.floor(Date.now() / 86_400_000)
        // The first minutes of a day still belong to the one before.
        const days = rows.map(({ day }) => today - Number(day))
        assert.deepEqual(
          rows.map(({ job }) => job),
          ['fee-discounts', 'statements'],
        )
        assert(days[0] === 0 || days[0] === 1, String(days))
        assert.equal(days[1], Number(days[0]) + 1)
      }, WAIT_MS_MAX)
    } finally {
      await pool.end()
    }
  })

  it('once a day a member gets his statement, and lower fees from the next day on by what he traded', async () => {
    await using stack = new AsyncDisposableStack()
    const nats = await connectTo(mesh)
    stack.defer(() => nats.close())
    const pool = createPool(mesh.mysqlUrl)
    stack.defer(() => pool.end())
    const definitions = await new Promise<Awaited<ReturnType<typeof followDefinitions>>>((resolve, reject) => {
      const following = followDefinitions(nats, () => void following.then(resolve), reject)
    })
    stack.defer(() => definitions.stop())
    const { passed } = watchProgress(pool, Projection.memberDays, () => {})
    const daily: Daily = {
      nats,
      pool,
      publisher: createCommandPublisher(nats),
      ids: createIds(nats),
      definitions,
      accountSlots: 4,
      tiers: [
        { volume: '60000', discountPpm: 250_000 },
        { volume: '100000000', discountPpm: 500_000 },
      ],
      tiersAsset: 'USDT',
      passed,
    }
    const rates = async (client: Client): Promise<number> => {
      await trade('60000', '0.01')
      const [{ fee }] = (await client.ok('GET', '/trades?limit=1')).trades
      return Number(fee)
    }
    const before = [await rates(buyer), await rates(seller)]
    const today = Math.floor(Date.now() / 86_400_000)
    const done = await runDaily(daily, today + 1)
    assert.deepEqual(done, { statements: 4, discounts: 2 })
    assert.deepEqual(await runDaily(daily, today + 1), { statements: 0, discounts: 0 })
    await eventually(async () => {
      assert.equal((await buyer.ok('GET', '/accounts/statistics')).feeDiscountPpm, 250_000)
      assert.equal((await seller.ok('GET', '/accounts/statistics')).feeDiscountPpm, 250_000)
    }, WAIT_MS_MAX)
    const after = [await rates(buyer), await rates(seller)]
    assert.deepEqual(
      after.map((fee) => fee.toFixed(8)),
      before.map((fee) => (fee * 0.75).toFixed(8)),
    )

    for (const client of [buyer, seller]) {
      const { lines } = await client.ok('GET', '/accounts/statements')
      assert.deepEqual(
        lines.map(({ day, asset }: Record<string, string>) => [day, asset]),
        ['BTC', 'USDT'].map((asset) => [new Date().toISOString().slice(0, 10), asset]),
      )
      const { entries } = await client.ok('GET', '/accounts/ledger?limit=500')
      for (const line of lines) {
        // Since the statement he has traded twice.
        const ofAsset = entries.filter(({ asset }: Record<string, string>) => asset === line.asset).slice(2)
        assert.equal(
          Number(line.closing).toFixed(8),
          (Number(ofAsset[0].available) + Number(ofAsset[0].held)).toFixed(8),
        )
        const fees = ofAsset.reduce((sum: number, { fee }: Record<string, string>) => sum + Number(fee), 0)
        assert.equal(Number(line.fees).toFixed(8), fees.toFixed(8))
        const { opening, deposits, withdrawals, transfers, trades } = line
        assert.deepEqual([opening, withdrawals, transfers], ['0', '0', '0'])
        const sum = Number(deposits) + Number(trades) - Number(line.fees)
        assert.equal(sum.toFixed(8), Number(line.closing).toFixed(8))
      }
      assert.deepEqual((await client.ok('GET', '/accounts/statements?asset=BTC')).lines.length, 1)
      assert.deepEqual((await client.ok('GET', '/accounts/statements?to=2020-01-01')).lines, [])
      const page = await client.ok('GET', '/accounts/statements?limit=1')
      const next = await client.ok('GET', `/accounts/statements?limit=1&cursor=${page.cursor}`)
      assert.deepEqual([...page.lines, ...next.lines], lines)
    }

    const none = await runDaily({ ...daily, tiers: [] }, today + 2)
    assert.equal(none.discounts, 2)
    await eventually(async () => {
      assert.equal((await buyer.ok('GET', '/accounts/statistics')).feeDiscountPpm, 0)
    }, WAIT_MS_MAX)
  })

  it('are there again after their service died; without it only they are missing', async () => {
    await mesh.process('stats').kill()
    const gone = await anyone.call('GET', `${market}/candles?interval=1h&refresh=true`)
    assert.deepEqual([gone.status, gone.body.code], [503, 'service_unavailable'])
    await trade('60200', '0.003')
    await mesh.process('stats').start()
    await eventually(async () => {
      const { candles } = await fresh(`${market}/candles?interval=1d`)
      assert.deepEqual([candles.at(-1).trades, candles.at(-1).close], [10, '60200'])
      const ticker = await fresh(`${market}/ticker`)
      assert.deepEqual([ticker.tradesCount, ticker.last], [10, '60200'])
    }, WAIT_MS_MAX)
  })
})
