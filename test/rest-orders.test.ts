import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type Response } from './support/client.ts'
import { startMesh, type TestMesh } from './support/mesh.ts'

describe('REST: orders, money and markets, through two gateways and two projections', function () {
  this.timeout(60_000)
  const PASSWORD = 'correct horse battery'
  let mesh: TestMesh
  let anyone: Client
  let admin: Client

  before(async function () {
    this.timeout(120_000)
    const many = '100000:100000'
    mesh = await startMesh({
      scale: { gateway: 2, orders: 2, guid: 2 },
      env: { PASSWORD_COST_LOG2: '10', RATE_LOGIN: many, RATE_READ: many, RATE_TRADE: many, RATE_ADDRESS: many },
    })
    anyone = new Client(mesh.urls)
    admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
  })
  after(() => mesh?.stop())

  let count = 0
  /** A member with money, in units of the asset. */
  const member = async (money: Readonly<Record<string, string>> = {}) => {
    const email = `member-${++count}@example.com`
    const { id } = await anyone.ok('POST', '/members', { email, password: PASSWORD })
    for (const [asset, amount] of Object.entries(money)) await deposit(id, asset, amount)
    return {
      id: id as string,
      client: anyone.as((await anyone.ok('POST', '/sessions', { email, password: PASSWORD })).accessToken),
    }
  }
  const deposit = (memberId: string, asset: string, amount: string, reference = `d-${memberId}-${asset}-${++count}`) =>
    admin.ok('POST', '/admin/deposits', { reference, memberId, asset, amount })
  /** A market of a test's own, so that nothing else rests in it: tick 0.05, lot 0.001, at least 0.01. */
  const market = async () => {
    const base = `T${(++count).toString(36).toUpperCase().padStart(3, '0')}`
    await admin.ok('POST', '/admin/assets', { asset: base, scale: 6 })
    const steps = { tick: '0.05', lot: '0.001', amountMin: '0.01', makerFeePpm: 1000, takerFeePpm: 2000 }
    await admin.ok('POST', '/admin/markets', { base, quote: 'USDT', ...steps })
    const instrument = `${base}-USDT`
    // It is there for the gateway that made it; the other one hears of it.
    await soon(() => anyone.ok('GET', `/markets/${instrument}`))
    return { base, instrument }
  }
  const balancesOf = async (client: Client): Promise<Record<string, [available: string, held: string]>> => {
    const { accounts } = await client.ok('GET', '/accounts')
    return Object.fromEntries(
      accounts.map((one: { asset: string; available: string; held: string }) => [one.asset, [one.available, one.held]]),
    )
  }
  const bookOf = async (instrument: string) => {
    const { bids, asks } = await anyone.ok('GET', `/markets/${instrument}/orderbook?refresh=true`)
    return { bids, asks }
  }

  describe('a new order', () => {
    it('rests, and holds what it may spend', async () => {
      const { base, instrument } = await market()
      const { client } = await member({ USDT: '1000' })
      const body = { instrument, side: 'buy', type: 'limit', price: '10.05', amount: '2', clientOrderId: 'mine' }
      const response = await client.call('POST', '/order', body)
      assert.equal(response.status, 201)
      const { id, createdAt, receivedAt, updatedAt, sequence, ...rest } = response.body
      assert.deepEqual(rest, {
        clientOrderId: 'mine',
        instrument,
        side: 'buy',
        type: 'limit',
        price: '10.05',
        worstPrice: null,
        amount: '2',
        quoteAmount: null,
        executedAmount: '0',
        executedQuoteAmount: '0',
        remainingAmount: '2',
        averagePrice: null,
        fee: '0',
        feeAsset: base,
        status: 'new',
        reason: null,
        fills: [],
      })
      assert.match(id, /^[1-9][0-9]{0,15}$/)
      for (const time of [createdAt, receivedAt, updatedAt])
        assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      assert.match(sequence, /^[1-9][0-9]*$/)
      assert.deepEqual(await balancesOf(client), { USDT: ['979.9', '20.1'] })
      assert.deepEqual(await bookOf(instrument), { bids: [{ price: '10.05', amount: '2' }], asks: [] })
    })

    it('is filled by what rests, with the fees of both sides', async () => {
      const { base, instrument } = await market()
      const seller = await member({ [base]: '5' })
      const buyer = await member({ USDT: '1000' })
      const sell = await seller.client.ok('POST', '/order', { instrument, side: 'sell', price: '10', amount: '3' })
      const buy = await buyer.client.ok('POST', '/order', { instrument, side: 'buy', price: '11', amount: '4' })
      assert.deepEqual(
        [buy.status, buy.executedAmount, buy.remainingAmount, buy.averagePrice, buy.fee, buy.feeAsset],
        ['partially_filled', '3', '1', '10', '0.006', base],
      )
      assert.deepEqual(buy.fills, [
        {
          tradeId: '1',
          price: '10',
          amount: '3',
          quoteAmount: '30',
          fee: '0.006',
          feeAsset: base,
          liquidity: 'taker',
        },
      ])
      const sold = await seller.client.ok('GET', `/order/${sell.id}`)
      assert.deepEqual(
        [sold.status, sold.fee, sold.feeAsset, sold.fills[0].liquidity],
        ['executed', '0.03', 'USDT', 'maker'],
      )
      assert.deepEqual(await balancesOf(seller.client), { [base]: ['2', '0'], USDT: ['29.97', '0'] })
      assert.deepEqual(await balancesOf(buyer.client), { [base]: ['2.994', '0'], USDT: ['959', '11'] })
    })

    it('says as much as it is asked to say', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '1000' })
      const body = { instrument, side: 'buy', price: '1', amount: '1' }
      const ack = await client.ok('POST', '/order', { ...body, responseType: 'ack' })
      assert.deepEqual(Object.keys(ack), ['id', 'clientOrderId', 'status', 'sequence'])
      const result = await client.ok('POST', '/order', { ...body, responseType: 'result' })
      assert.equal('fills' in result, false)
      assert.equal(result.amount, '1')
    })

    it('takes the names of the prototype', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '1000' })
      const first = await client.ok('POST', '/order', { market: instrument, side: 'buy', rate: '1', volume: '2' })
      const second = await client.ok('POST', '/order', { market: instrument, side: 'buy', rate: '1', quantity: '2' })
      assert.deepEqual([first.price, first.amount, second.price, second.amount], ['1', '2', '1', '2'])
    })

    it('at the market takes the best, up to its worst price', async () => {
      const { base, instrument } = await market()
      const seller = await member({ [base]: '10' })
      const buyer = await member({ USDT: '1000' })
      for (const price of ['10', '11', '12']) {
        await seller.client.ok('POST', '/order', { instrument, side: 'sell', price, amount: '1' })
      }
      const order = { instrument, side: 'buy', type: 'market' }
      const bounded = await buyer.client.ok('POST', '/order', { ...order, amount: '3', worstPrice: '11' })
      assert.deepEqual([bounded.status, bounded.executedAmount, bounded.worstPrice], ['closed', '2', '11'])
      assert.deepEqual([bounded.price, bounded.reason], [null, 'worst_price'])
      await buyer.client.refused([422, 'worst_price'], 'POST', '/order', { ...order, amount: '1', worstPrice: '11.5' })
      // The best is 12, and 5 % more is 12.6.
      await sleep(1_100)
      const unbounded = await buyer.client.ok('POST', '/order', { ...order, amount: '0.5' })
      assert.deepEqual([unbounded.status, unbounded.worstPrice], ['executed', '12.6'])
      const byQuote = await buyer.client.ok('POST', '/order', { ...order, quoteAmount: '3' })
      assert.deepEqual([byQuote.status, byQuote.executedAmount, byQuote.amount], ['executed', '0.25', null])
      assert.deepEqual([byQuote.quoteAmount, byQuote.executedQuoteAmount], ['3', '3'])
    })

    it('at the market of nobody is refused', async () => {
      const { base, instrument } = await market()
      const { client } = await member({ USDT: '1000', [base]: '10' })
      for (const body of [
        { side: 'buy', amount: '1' },
        { side: 'buy', quoteAmount: '10' },
        { side: 'sell', amount: '1' },
        { side: 'sell', quoteAmount: '10' },
        { side: 'buy', amount: '1', worstPrice: '5' },
      ]) {
        const response = await client.refused([422, 'no_liquidity'], 'POST', '/order', {
          instrument,
          type: 'market',
          ...body,
        })
        const order = await client.ok('GET', `/order/${response.body.orderId}`)
        assert.deepEqual([order.status, order.reason], ['rejected', 'no_liquidity'])
      }
      assert.deepEqual(await balancesOf(client), { USDT: ['1000', '0'], [base]: ['10', '0'] })
    })

    it('at the market meets what has just come to rest where nothing was', async () => {
      const { base, instrument } = await market()
      const { client } = await member({ USDT: '1000', [base]: '10' })
      const order = { instrument, side: 'buy', type: 'market', amount: '1' }
      for (let round = 0; round < 3; round++) {
        await client.refused([422, 'no_liquidity'], 'POST', '/order', order)
        await client.ok('POST', '/order', { instrument, side: 'sell', price: '10', amount: '1' })
        assert.equal((await client.ok('POST', '/order', order)).status, 'executed')
        await sleep(1_050)
      }
    })

    it('that a machine refuses is an order, and its clientOrderId is spent', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '5' })
      const body = { instrument, side: 'buy', price: '10', amount: '1', clientOrderId: 'too-much' }
      const response = await client.refused([422, 'insufficient_balance'], 'POST', '/order', body)
      assert.equal(response.body.clientOrderId, 'too-much')
      const order = await client.ok('GET', '/order/client:too-much')
      assert.deepEqual(
        [order.id, order.status, order.reason],
        [response.body.orderId, 'rejected', 'insufficient_balance'],
      )
      const again = await client.refused([422, 'insufficient_balance'], 'POST', '/order', body)
      assert.equal(again.body.orderId, order.id)
      await client.refused([409, 'client_order_id_conflict', 'clientOrderId'], 'POST', '/order', {
        ...body,
        price: '1',
      })
      const { orders } = await client.ok('GET', '/orders?status=rejected')
      assert.deepEqual(
        orders.map((one: { id: string }) => one.id),
        [order.id],
      )
    })
  })

  describe('a repeat', () => {
    it('of the same content gets the order as it is now', async () => {
      const { base, instrument } = await market()
      const seller = await member({ [base]: '5' })
      const buyer = await member({ USDT: '1000' })
      const body = { instrument, side: 'sell', price: '10', amount: '3', clientOrderId: 'again' }
      const first = await seller.client.ok('POST', '/order', body)
      await buyer.client.ok('POST', '/order', { instrument, side: 'buy', price: '10', amount: '1' })
      // Written in another way, and asked for in another way, it is the same.
      const same = {
        market: instrument,
        side: 'sell',
        rate: '10.00',
        volume: '3.0',
        clientOrderId: 'again',
        responseType: 'full',
      }
      const again = await seller.client.call('POST', '/order', same)
      assert.equal(again.status, 200)
      assert.deepEqual(
        [again.body.id, again.body.status, again.body.executedAmount],
        [first.id, 'partially_filled', '1'],
      )
      assert.equal(again.body.fills.length, 1)
      const other = { ...body, amount: '4' }
      const conflict = await seller.client.refused(
        [409, 'client_order_id_conflict', 'clientOrderId'],
        'POST',
        '/order',
        other,
      )
      assert.equal(conflict.body.orderId, first.id)
      assert.deepEqual((await bookOf(instrument)).asks, [{ price: '10', amount: '2' }])
    })

    it('of another member is none', async () => {
      const { instrument } = await market()
      const [a, b] = [await member({ USDT: '100' }), await member({ USDT: '100' })]
      const body = { instrument, side: 'buy', price: '10', amount: '1', clientOrderId: 'same-name' }
      const first = await a.client.ok('POST', '/order', body)
      const second = await b.client.call('POST', '/order', body)
      assert.equal(second.status, 201)
      assert.notEqual(second.body.id, first.id)
    })

    it('sent at once through both gateways, is one order', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '1000' })
      for (let round = 0; round < 10; round++) {
        const body = { instrument, side: 'buy', price: '10', amount: '1', clientOrderId: `at-once-${round}` }
        const responses = await Promise.all(Array.from({ length: 6 }, () => client.call('POST', '/order', body)))
        assert.deepEqual(responses.map(({ status }) => status).sort(), [200, 200, 200, 200, 200, 201])
        assert.equal(new Set(responses.map((response) => response.body.id)).size, 1)
      }
      assert.deepEqual((await bookOf(instrument)).bids, [{ price: '10', amount: '10' }])
    })
  })

  describe('a cancel', () => {
    it('gives back what was held, by either name', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '100' })
      const body = { instrument, side: 'buy', price: '10', amount: '1' }
      const first = await client.ok('POST', '/order', { ...body, clientOrderId: 'one' })
      const second = await client.ok('POST', '/order', body)
      assert.equal((await client.ok('DELETE', '/order/client:one')).status, 'cancelled')
      const cancelled = await client.ok('DELETE', `/order/${second.id}`)
      assert.deepEqual([cancelled.status, cancelled.reason, cancelled.remainingAmount], ['cancelled', null, '1'])
      assert.deepEqual(await balancesOf(client), { USDT: ['100', '0'] })
      const response = await client.refused([409, 'order_not_open'], 'DELETE', '/order/client:one')
      assert.equal(response.body.orderId, first.id)
      assert.deepEqual(await bookOf(instrument), { bids: [], asks: [] })
    })
    it('of a filled order is refused', async () => {
      const { base, instrument } = await market()
      const { client } = await member({ USDT: '100', [base]: '1' })
      const sell = await client.ok('POST', '/order', { instrument, side: 'sell', price: '10', amount: '1' })
      await client.ok('POST', '/order', { instrument, side: 'buy', price: '10', amount: '1' })
      await client.refused([409, 'order_not_open'], 'DELETE', `/order/${sell.id}`)
    })
    it('of what is not there, or not his, finds nothing', async () => {
      const { instrument } = await market()
      const [a, b] = [await member({ USDT: '100' }), await member()]
      const body = { instrument, side: 'buy', price: '10', amount: '1', clientOrderId: 'a-secret' }
      const { id } = await a.client.ok('POST', '/order', body)
      for (const name of [
        id,
        'client:a-secret',
        '1',
        '9007199254740993',
        'client:',
        'client:a b',
        'x',
        '0',
        '-1',
        '1e3',
      ]) {
        for (const method of ['GET', 'DELETE']) {
          await b.client.refused([404, 'order_not_found'], method, `/order/${encodeURIComponent(name)}`)
        }
        await b.client.refused([404, 'order_not_found'], 'PATCH', `/order/${encodeURIComponent(name)}`, { amount: '1' })
      }
      assert.equal((await a.client.ok('GET', `/order/${id}`)).status, 'new')
      assert.deepEqual((await b.client.ok('GET', '/orders')).orders, [])
    })
    it('of all takes an instrument and a side', async () => {
      const [one, two] = [await market(), await market()]
      const { client } = await member({ USDT: '1000', [one.base]: '10' })
      const place = async (instrument: string, side: string, price: string): Promise<string> =>
        (await client.ok('POST', '/order', { instrument, side, price, amount: '1' })).id
      const bids = [await place(one.instrument, 'buy', '10'), await place(one.instrument, 'buy', '11')]
      const asks = [await place(one.instrument, 'sell', '20')]
      const others = [await place(two.instrument, 'buy', '10')]
      const cancelled = async (query: string): Promise<string[]> => {
        const answer = await client.ok('DELETE', `/orders${query}`)
        assert.deepEqual([answer.refused, answer.pending], [[], []])
        return answer.cancelled.sort()
      }
      assert.deepEqual(await cancelled(`?instrument=${one.instrument}&side=buy`), bids.sort())
      assert.deepEqual(await cancelled('?side=sell'), asks)
      assert.deepEqual(await cancelled(''), others)
      assert.deepEqual(await cancelled(''), [])
      await client.refused([404, 'market_unknown'], 'DELETE', '/orders?instrument=NO-SUCH')
      await client.refused([400, 'invalid_value', 'side'], 'DELETE', '/orders?side=up')
      assert.deepEqual(await balancesOf(client), { USDT: ['1000', '0'], [one.base]: ['10', '0'] })
    })
    it('of hundreds answers for each', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '10000' })
      const body = { instrument, side: 'buy', price: '10', amount: '1' }
      const placed = await Promise.all(Array.from({ length: 300 }, () => client.ok('POST', '/order', body)))
      const { cancelled, refused, pending } = await client.ok('DELETE', '/orders')
      assert.deepEqual([refused, pending], [[], []])
      assert.deepEqual(cancelled.sort(), placed.map(({ id }) => id).sort())
    })
  })

  describe('an amendment', () => {
    it('changes amount and price, and what is held', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '100' })
      const { id } = await client.ok('POST', '/order', {
        instrument,
        side: 'buy',
        price: '10',
        amount: '2',
        clientOrderId: 'am',
      })
      const less = await client.ok('PATCH', `/order/${id}`, { amount: '1.5' })
      assert.deepEqual([less.amount, less.price, less.status], ['1.5', '10', 'new'])
      assert.deepEqual(await balancesOf(client), { USDT: ['85', '15'] })
      const other = await client.ok('PATCH', '/order/client:am', { rate: '12', volume: '3' })
      assert.deepEqual([other.amount, other.price], ['3', '12'])
      assert.deepEqual(await balancesOf(client), { USDT: ['64', '36'] })
      await client.refused([422, 'insufficient_balance'], 'PATCH', `/order/${id}`, { amount: '300' })
      await client.refused([400, 'missing_field', 'amount'], 'PATCH', `/order/${id}`, {})
      await client.refused([400, 'off_tick', 'price'], 'PATCH', `/order/${id}`, { price: '10.01' })
      assert.deepEqual((await bookOf(instrument)).bids, [{ price: '12', amount: '3' }])
    })
    it('to what is executed already is refused, and of what is over', async () => {
      const { base, instrument } = await market()
      const { client } = await member({ USDT: '100', [base]: '5' })
      const { id } = await client.ok('POST', '/order', { instrument, side: 'sell', price: '10', amount: '3' })
      await client.ok('POST', '/order', { instrument, side: 'buy', price: '10', amount: '2' })
      await client.refused([409, 'amount_not_above_executed'], 'PATCH', `/order/${id}`, { amount: '2' })
      await client.ok('DELETE', `/order/${id}`)
      await client.refused([409, 'order_not_open'], 'PATCH', `/order/${id}`, { amount: '3' })
    })
    it('one at a time', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '1000' })
      const { id } = await client.ok('POST', '/order', { instrument, side: 'buy', price: '10', amount: '2' })
      const change = (index: number) => client.call('PATCH', `/order/${id}`, { price: String(10 + index) })
      let pending: Response | undefined
      for (let round = 0; round < 20 && pending === undefined; round++) {
        const responses = await Promise.all([1, 2, 3, 4].map(change))
        pending = responses.find(({ status }) => status !== 200)
      }
      assert.deepEqual([pending?.status, pending?.body.code], [409, 'amend_pending'])
    })
  })

  describe('bad input', () => {
    let instrument: string
    let client: Client
    let stranger: Client
    let before_: unknown

    const LIMIT = { side: 'buy', type: 'limit', price: '10', amount: '1' }
    const state = async () => [
      await balancesOf(client),
      await bookOf(instrument),
      (await client.ok('GET', '/orders')).orders,
    ]

    before(async () => {
      instrument = (await market()).instrument
      client = (await member({ USDT: '100' })).client
      stranger = (await member()).client
      await client.ok('POST', '/order', { instrument, ...LIMIT })
      before_ = await state()
    })
    after(async () => assert.deepEqual(await state(), before_))

    const bodies: [what: string, body: object | string, expected: [number, string, string?]][] = [
      ['nothing', '', [400, 'json_invalid']],
      ['not JSON', '{"side":', [400, 'json_invalid']],
      ['a number NaN', '{"side":"buy","amount":NaN}', [400, 'json_invalid']],
      ['a number Infinity', '{"side":"buy","amount":Infinity}', [400, 'json_invalid']],
      ['an array', '[]', [400, 'body_not_object']],
      ['a text', '"order"', [400, 'body_not_object']],
      ['null', 'null', [400, 'body_not_object']],
      ['an unknown field', { ...LIMIT, colour: 'red' }, [400, 'unknown_field', 'colour']],
      ['the prototype of objects', '{"side":"buy","__proto__":{}}', [400, 'unknown_field', '__proto__']],
      ['a number for a price', { ...LIMIT, price: 10 }, [400, 'wrong_type', 'price']],
      ['1e9 as a number', '{"side":"buy","amount":1e9}', [400, 'wrong_type', 'amount']],
      ['null for a price', { ...LIMIT, price: null }, [400, 'wrong_type', 'price']],
      ['a list for a side', { ...LIMIT, side: ['buy'] }, [400, 'wrong_type', 'side']],
      ['NaN', { ...LIMIT, price: 'NaN' }, [400, 'decimal_invalid', 'price']],
      ['Infinity', { ...LIMIT, amount: 'Infinity' }, [400, 'decimal_invalid', 'amount']],
      ['1e9', { ...LIMIT, amount: '1e9' }, [400, 'decimal_invalid', 'amount']],
      ['negative', { ...LIMIT, amount: '-1' }, [400, 'not_positive', 'amount']],
      ['zero', { ...LIMIT, price: '0' }, [400, 'not_positive', 'price']],
      ['too many decimals', { ...LIMIT, amount: '1.0001' }, [400, 'too_many_decimals', 'amount']],
      ['off tick', { ...LIMIT, price: '10.01' }, [400, 'off_tick', 'price']],
      ['below minimum', { ...LIMIT, amount: '0.009' }, [422, 'amount_below_minimum', 'amount']],
      ['a price beyond 2^31 ticks', { ...LIMIT, price: '107374182.4' }, [400, 'price_too_large', 'price']],
      ['an amount beyond 2^53 lots', { ...LIMIT, amount: '9007199254741' }, [400, 'amount_too_large', 'amount']],
      [
        'price × amount beyond 2^53−1',
        { ...LIMIT, price: '100000000', amount: '9007200' },
        [422, 'order_value_too_large', 'amount'],
      ],
      ['another side', { ...LIMIT, side: 'hold' }, [400, 'invalid_value', 'side']],
      ['a clientOrderId with a blank', { ...LIMIT, clientOrderId: 'a b' }, [400, 'invalid_value', 'clientOrderId']],
      ['no side', { type: 'limit' }, [400, 'missing_field', 'side']],
      ['no price', { ...LIMIT, price: undefined }, [400, 'missing_field', 'price']],
      ['two names', { ...LIMIT, volume: '1' }, [400, 'duplicate_field', 'volume']],
      ['what does not go with it', { ...LIMIT, quoteAmount: '1' }, [400, 'field_not_allowed', 'quoteAmount']],
      ['nesting', '['.repeat(30_000), [400, 'body_too_deep']],
      ['nesting that ends', `{"side":${'['.repeat(20)}${']'.repeat(20)}}`, [400, 'body_too_deep']],
      ['70 kB', `{"colour":"${'x'.repeat(70_000)}"}`, [413, 'body_too_large']],
      ['10 MB', `{"colour":"${'x'.repeat(10_000_000)}"}`, [413, 'body_too_large']],
    ]
    for (const [what, body, expected] of bodies) {
      it(`${what}: ${expected.slice(0, 2).join(' ')}`, () => {
        const whole = typeof body === 'string' ? body : { instrument, ...body }
        return client.refused(expected, 'POST', '/order', whole)
      })
    }
    it('off lot', async () => {
      const base = `L${(++count).toString(36).toUpperCase().padStart(3, '0')}`
      await admin.ok('POST', '/admin/assets', { asset: base, scale: 2 })
      await admin.ok('POST', '/admin/markets', { base, quote: 'USDT', tick: '0.05', lot: '0.5' })
      await soon(() => anyone.ok('GET', `/markets/${base}-USDT`))
      const body = { ...LIMIT, instrument: `${base}-USDT`, amount: '1.2' }
      await client.refused([400, 'off_lot', 'amount'], 'POST', '/order', body)
    })
    it('an unknown market', async () => {
      await client.refused([404, 'market_unknown', 'instrument'], 'POST', '/order', { ...LIMIT, instrument: 'BTC-EUR' })
      await client.refused([404, 'market_unknown', 'market'], 'POST', '/order', { ...LIMIT, market: 'nothing' })
      await anyone.refused([404, 'market_unknown'], 'GET', '/markets/BTC-EUR/orderbook')
    })
    it('another type of content', () =>
      client.refused([415, 'unsupported_media_type'], 'POST', '/order', 'side=buy', { 'content-type': 'text/plain' }))
    it('no such path, method or parameter', async () => {
      await client.refused([404, 'route_unknown'], 'GET', '/nothing')
      await client.refused([404, 'route_unknown'], 'PUT', '/order')
      await client.refused([400, 'url_invalid'], 'GET', '/order/%E0%A4%A')
      await client.refused([400, 'unknown_field', 'page'], 'GET', '/orders?page=2')
      await client.refused([400, 'invalid_value', 'limit'], 'GET', '/orders?limit=501')
      await client.refused([400, 'invalid_value', 'from'], 'GET', '/orders?from=yesterday')
      await client.refused([400, 'invalid_value', 'status'], 'GET', '/orders?status=sleeping')
      await client.refused([400, 'wrong_type', 'limit'], 'GET', '/orders?limit=1&limit=2')
      await client.refused([400, 'cursor_invalid', 'cursor'], 'GET', '/orders?status=open&cursor=x')
      const other = await client.call('GET', '/orders?cursor=x')
      assert.deepEqual([other.status, other.body.code], [400, 'cursor_invalid'])
    })
    it('no money at all', () =>
      stranger.refused([422, 'insufficient_balance'], 'POST', '/order', { instrument, ...LIMIT }).then(({ body }) => {
        assert.match(body.orderId, /^[0-9]+$/)
      }))
    it('keeps the request id of the client, and makes one where there is none', async () => {
      const sent = await client.call('GET', '/accounts', undefined, { 'x-request-id': 'mine-42' })
      assert.equal(sent.headers.get('x-request-id'), 'mine-42')
      const insane = await client.call('GET', '/accounts', undefined, { 'x-request-id': 'x'.repeat(100) })
      assert.match(insane.headers.get('x-request-id') ?? '', /^gateway-[12]-/)
    })
  })

  describe('reading', () => {
    it('is never older than an answer, from either gateway', async () => {
      const { base, instrument } = await market()
      const seller = await member({ [base]: '100' })
      const buyer = await member({ USDT: '10000' })
      for (let round = 1; round <= 25; round++) {
        await seller.client.ok('POST', '/order', { instrument, side: 'sell', price: '10', amount: '1' })
        const buy = await buyer.client.ok('POST', '/order', { instrument, side: 'buy', price: '10', amount: '1' })
        const [one, accounts, history, trades, ledger] = await Promise.all([
          buyer.client.ok('GET', `/order/${buy.id}`),
          balancesOf(buyer.client),
          buyer.client.ok('GET', '/orders?status=executed&limit=500'),
          buyer.client.ok('GET', '/trades?limit=500'),
          seller.client.ok('GET', `/accounts/ledger?asset=${base}&limit=500`),
        ])
        assert.equal(one.status, 'executed')
        assert.equal(accounts.USDT?.[0], String(10_000 - 10 * round))
        assert.equal(history.orders.length, round)
        assert.equal(trades.trades.length, round)
        assert.equal(ledger.entries.length, round + 1)
      }
    })

    it('lists orders in pages, newest first, by what they are', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '1000' })
      const ids: string[] = []
      for (let index = 0; index < 7; index++) {
        ids.push((await client.ok('POST', '/order', { instrument, side: 'buy', price: '10', amount: '1' })).id)
      }
      // Newest first is by id: ids of two guids are in the order of time to about a second.
      ids.sort((a, b) => Number(b) - Number(a))
      const cancelled = ids.filter((_, index) => index % 3 === 0)
      for (const id of cancelled) await client.ok('DELETE', `/order/${id}`)
      const open = ids.filter((id) => !cancelled.includes(id))
      const all = async (query: string): Promise<string[]> => {
        const found: string[] = []
        let cursor: string | null = ''
        while (cursor !== null) {
          const page: { orders: { id: string }[]; cursor: string | null } = await client.ok(
            'GET',
            `/orders?limit=2${query}${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
          )
          assert(page.orders.length <= 2)
          found.push(...page.orders.map(({ id }) => id))
          cursor = page.cursor
        }
        return found
      }
      assert.deepEqual(await all(''), ids)
      assert.deepEqual(await all('&status=open'), open)
      assert.deepEqual(await all('&status=cancelled,executed'), cancelled)
      assert.deepEqual(await all(`&instrument=${instrument}&side=buy`), ids)
      assert.deepEqual(await all('&side=sell'), [])
      assert.deepEqual(await all('&status=open&instrument=BTC-USDT'), [])
      const created = new Map<string, string>()
      for (const { id, createdAt } of (await client.ok('GET', '/orders')).orders) created.set(id, createdAt)
      const border = [...created.values()].sort()[3] ?? ''
      const since = ids.filter((id) => (created.get(id) ?? '') >= border)
      assert.equal(since.length, 4)
      assert.deepEqual(await all(`&from=${border}`), since)
      const until = ids.filter((id) => !since.includes(id))
      assert.deepEqual(await all(`&to=${border}`), until)
      assert.deepEqual(
        await all(`&status=open&to=${border}`),
        until.filter((id) => open.includes(id)),
      )
    })

    it('tells executions and what changed the balances', async () => {
      const { base, instrument } = await market()
      const seller = await member({ [base]: '5' })
      const buyer = await member({ USDT: '1000' })
      await seller.client.ok('POST', '/order', { instrument, side: 'sell', price: '10', amount: '3' })
      const buy = await buyer.client.ok('POST', '/order', { instrument, side: 'buy', price: '10', amount: '2' })
      const { trades } = await buyer.client.ok('GET', `/trades?orderId=${buy.id}`)
      const { time, ...trade } = trades[0]
      assert.deepEqual(trade, {
        tradeId: '1',
        price: '10',
        amount: '2',
        quoteAmount: '20',
        fee: '0.004',
        feeAsset: base,
        liquidity: 'taker',
        orderId: buy.id,
        instrument,
        side: 'buy',
      })
      assert.match(time, /^\d{4}-/)
      const { entries } = await seller.client.ok('GET', '/accounts/ledger')
      assert.deepEqual(
        entries
          .map((entry: { asset: string; cause: string; amount: string; fee: string }) => [
            entry.asset,
            entry.cause,
            entry.amount,
            entry.fee,
          ])
          .sort(),
        [
          [base, 'deposit', '5', '0'],
          [base, 'trade', '-2', '0'],
          ['USDT', 'trade', '19.98', '0.02'],
        ].sort(),
      )
    })

    it('shows markets, books and trades to everybody', async () => {
      const { base, instrument } = await market()
      assert.equal(
        (await anyone.ok('GET', '/markets')).markets.some(
          (one: { instrument: string }) => one.instrument === instrument,
        ),
        true,
      )
      assert.deepEqual(await anyone.ok('GET', `/markets/${instrument}`), {
        instrument,
        base,
        quote: 'USDT',
        tick: '0.05',
        lot: '0.001',
        amountMin: '0.01',
        makerFeePpm: 1000,
        takerFeePpm: 2000,
        slippagePpm: 50_000,
        status: 'trading',
      })
      const { assets } = await anyone.ok('GET', '/assets')
      assert.deepEqual(
        assets.find((one: { asset: string }) => one.asset === base),
        { asset: base, scale: 6 },
      )
      const { time } = await anyone.ok('GET', '/time')
      assert(Math.abs(Date.parse(time) - Date.now()) < 2_000)

      const { client } = await member({ USDT: '1000', [base]: '10' })
      for (const [side, price] of [
        ['buy', '9'],
        ['buy', '8'],
        ['sell', '11'],
        ['sell', '9'],
      ] as const) {
        await client.ok('POST', '/order', { instrument, side, price, amount: '1' })
      }
      assert.deepEqual(await bookOf(instrument), {
        bids: [{ price: '8', amount: '1' }],
        asks: [{ price: '11', amount: '1' }],
      })
      const { bids } = await anyone.ok('GET', `/markets/${instrument}/orderbook?limit=1&refresh=true`)
      assert.equal(bids.length, 1)
      const { trades } = await anyone.ok('GET', `/markets/${instrument}/trades?refresh=true`)
      assert.deepEqual(
        trades.map(({ time: _, ...trade }: { time: string }) => trade),
        [{ tradeId: '1', price: '9', amount: '1', takerSide: 'sell' }],
      )
      // Without `refresh` an answer may be a second old, and no more.
      await anyone.ok('GET', `/markets/${instrument}/orderbook`)
      await client.ok('DELETE', '/orders')
      await sleep(1_050)
      assert.deepEqual((await anyone.ok('GET', `/markets/${instrument}/orderbook`)).bids, [])
    })
  })

  describe('money', () => {
    it('comes and goes once for each reference, for good', async () => {
      const { id, client } = await member()
      const body = { reference: `wire-${id}`, memberId: id, asset: 'BTC', amount: '1.5' }
      const first = await admin.call('POST', '/admin/deposits', body)
      assert.equal(first.status, 201)
      assert.deepEqual(first.body, {
        reference: body.reference,
        repeated: false,
        accounts: [{ asset: 'BTC', available: '1.5', held: '0', total: '1.5' }],
      })
      const again = await admin.call('POST', '/admin/deposits', { ...body, amount: '1.50' })
      assert.deepEqual([again.status, again.body.repeated], [200, true])
      await admin.refused([409, 'reference_conflict'], 'POST', '/admin/deposits', { ...body, amount: '2' })
      assert.deepEqual(await balancesOf(client), { BTC: ['1.5', '0'] })

      const out = { ...body, reference: `out-${id}` }
      await admin.refused([422, 'insufficient_balance'], 'POST', '/admin/withdrawals', { ...out, amount: '2' })
      const withdrawn = await admin.call('POST', '/admin/withdrawals', {
        ...out,
        reference: `out2-${id}`,
        amount: '0.5',
      })
      assert.equal(withdrawn.status, 201)
      assert.deepEqual(await balancesOf(client), { BTC: ['1', '0'] })
    })
    it('that makes no sense is refused', async () => {
      const { id } = await member()
      const body = { reference: `bad-${id}`, memberId: id, asset: 'BTC', amount: '1' }
      const refuse = (expected: [number, string, string?], change: object) =>
        admin.refused(expected, 'POST', '/admin/deposits', { ...body, ...change })
      await refuse([404, 'asset_unknown', 'asset'], { asset: 'GOLD' })
      await refuse([404, 'member_unknown'], { memberId: '12345' })
      await refuse([400, 'invalid_value', 'memberId'], { memberId: '9007199254740993' })
      await refuse([400, 'decimal_invalid', 'amount'], { amount: '1e3' })
      await refuse([400, 'not_positive', 'amount'], { amount: '-1' })
      await refuse([400, 'too_many_decimals', 'amount'], { amount: '0.000000001' })
      await refuse([422, 'balance_overflow'], { amount: '90000000000', reference: `much-${id}` })
      await refuse([400, 'missing_field', 'reference'], { reference: undefined })
    })
    it('moves between members, wherever they are', async () => {
      const members = await Promise.all([member({ BTC: '8' }), ...Array.from({ length: 6 }, () => member())])
      const [giver, ...takers] = members
      assert(giver)
      for (const [index, taker] of takers.entries()) {
        const body = {
          reference: `gift-${taker.id}`,
          fromMemberId: giver.id,
          toMemberId: taker.id,
          asset: 'BTC',
          amount: '1',
        }
        const first = await admin.call('POST', '/admin/transfers', body)
        assert.deepEqual([first.status, first.body.repeated], [201, false])
        assert.deepEqual(await balancesOf(taker.client), { BTC: ['1', '0'] })
        assert.deepEqual(await balancesOf(giver.client), { BTC: [String(7 - index), '0'] })
        const again = await admin.call('POST', '/admin/transfers', body)
        assert.deepEqual([again.status, again.body.repeated], [200, true])
      }
      const lost = {
        reference: `lost-${giver.id}`,
        fromMemberId: giver.id,
        toMemberId: '12345',
        asset: 'BTC',
        amount: '1',
      }
      await admin.refused([404, 'member_unknown'], 'POST', '/admin/transfers', lost)
      assert.deepEqual(await balancesOf(giver.client), { BTC: ['2', '0'] })
    })
    it('adds up', async () => {
      const { assets, markets } = await admin.ok('GET', '/admin/totals')
      assert(assets.length > 3 && markets.length > 3)
      const minor = (text: string): bigint => {
        const [whole = '', fraction = ''] = text.replace('-', '').split('.')
        return BigInt(whole + fraction.padEnd(8, '0')) * (text.startsWith('-') ? -1n : 1n)
      }
      for (const { available, held, fees, clearing, deposited } of assets) {
        assert.equal(minor(available) + minor(held) + minor(fees), minor(deposited))
        assert.equal(minor(clearing), 0n)
      }
    })
  })

  describe('definitions', () => {
    it('are added once, and not otherwise', async () => {
      const { base } = await market()
      await admin.ok('POST', '/admin/assets', { asset: base, scale: 6 })
      await admin.refused([409, 'asset_exists'], 'POST', '/admin/assets', { asset: base, scale: 7 })
      const other = { base, quote: 'USDT', tick: '0.5', lot: '0.001' }
      await admin.refused([409, 'market_exists'], 'POST', '/admin/markets', other)
      const unknown = { base: 'NOSUCH', quote: 'USDT', tick: '0.5', lot: '0.001' }
      await admin.refused([404, 'asset_unknown'], 'POST', '/admin/markets', unknown)
      const uneven = { base, quote: 'BTC', tick: '0.0000001', lot: '0.001' }
      await admin.refused([422, 'definition_invalid'], 'POST', '/admin/markets', uneven)
      await admin.refused([400, 'invalid_value', 'scale'], 'POST', '/admin/assets', { asset: 'XYZ', scale: 19 })
    })
    it('change fees for orders to come', async () => {
      const { base, instrument } = await market()
      const { client } = await member({ USDT: '1000', [base]: '10' })
      await client.ok('POST', '/order', { instrument, side: 'sell', price: '10', amount: '1' })
      const changed = await admin.ok('PATCH', `/admin/markets/${instrument}`, { takerFeePpm: 0 })
      assert.deepEqual([changed.makerFeePpm, changed.takerFeePpm], [1000, 0])
      const body = { instrument, side: 'buy', price: '10', amount: '1' }
      await soon(async () => {
        const buy = await client.ok('POST', '/order', body)
        if (buy.fills.length > 0) assert.deepEqual([buy.fee, buy.fills[0].fee], ['0', '0'])
      })
      await admin.refused([400, 'missing_field', 'status'], 'PATCH', `/admin/markets/${instrument}`, {})
      await admin.refused([404, 'market_unknown'], 'PATCH', '/admin/markets/NO-SUCH', { status: 'halted' })
    })
    it('halt a market, and let it go on', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '1000' })
      const body = { instrument, side: 'buy', price: '10', amount: '1' }
      const [first, second] = [await client.ok('POST', '/order', body), await client.ok('POST', '/order', body)]
      const halted = await admin.ok('PATCH', `/admin/markets/${instrument}`, { status: 'halted' })
      assert.equal(halted.status, 'halted')
      const response = await client.refused([409, 'market_halted'], 'POST', '/order', body)
      assert.equal((await client.ok('GET', `/order/${response.body.orderId}`)).status, 'rejected')
      await client.refused([409, 'market_halted'], 'DELETE', `/order/${first.id}`)
      await admin.ok('PATCH', `/admin/markets/${instrument}`, { status: 'cancel_only' })
      await client.refused([409, 'market_cancel_only'], 'POST', '/order', body)
      assert.equal((await client.ok('DELETE', `/order/${first.id}`)).status, 'cancelled')
      await admin.ok('PATCH', `/admin/markets/${instrument}`, { status: 'trading' })
      await client.ok('POST', '/order', body)
      assert.equal((await client.ok('GET', `/order/${second.id}`)).status, 'new')
    })
  })

  describe('bounds', () => {
    it('of open orders per member', async () => {
      const { instrument } = await market()
      const { client } = await member({ USDT: '100000' })
      const body = { instrument, side: 'buy', price: '10', amount: '0.01', responseType: 'ack' }
      const refused: Response[] = []
      for (let round = 0; round < 30 && refused.length === 0; round++) {
        const responses = await Promise.all(Array.from({ length: 50 }, () => client.call('POST', '/order', body)))
        refused.push(...responses.filter(({ status }) => status !== 201))
      }
      assert.deepEqual([refused[0]?.status, refused[0]?.body.code], [422, 'too_many_open_orders'])
      await client.ok('DELETE', '/orders')
      assert.deepEqual((await bookOf(instrument)).bids, [])
    })
  })

  describe('the document', () => {
    it('describes every path, with codes, and is shown by a page that needs nothing from elsewhere', async () => {
      const document = await anyone.ok('GET', '/openapi.json')
      assert.equal(document.openapi, '3.1.0')
      const place = document.paths['/api/v3/order'].post
      assert.equal(place.requestBody.content['application/json'].schema.additionalProperties, false)
      assert.match(place.responses['422'].description, /insufficient_balance/)
      const page = await anyone.call('GET', '/docs')
      assert.equal(page.status, 200)
      assert.doesNotMatch(page.body, /https?:\/\//)
      for (const [, path] of page.body.matchAll(/(?:src|href)="(\/[^"]+)"/g)) {
        assert.equal((await anyone.call('GET', path)).status, 200, path)
      }
    })
    it('describes answers as they are', async () => {
      const { Compile } = await import('typebox/compile')
      const document = await anyone.ok('GET', '/openapi.json')
      const { base, instrument } = await market()
      const { client } = await member({ USDT: '1000', [base]: '10' })
      const order = await client.call('POST', '/order', { instrument, side: 'buy', price: '10', amount: '1' })
      const schemaOf = (method: string, path: string, status: number) =>
        inlined(document.paths[`/api/v3${path}`][method].responses[status].content['application/json'].schema, document)
      const checks: [method: string, path: string, response: Response][] = [
        ['post', '/order', order],
        ['get', '/order/{reference}', await client.call('GET', `/order/${order.body.id}`)],
        ['get', '/orders', await client.call('GET', '/orders')],
        ['get', '/trades', await client.call('GET', '/trades')],
        ['get', '/accounts', await client.call('GET', '/accounts')],
        ['get', '/accounts/ledger', await client.call('GET', '/accounts/ledger')],
        ['get', '/members/me', await client.call('GET', '/members/me')],
        ['get', '/time', await anyone.call('GET', '/time')],
        ['get', '/assets', await anyone.call('GET', '/assets')],
        ['get', '/markets', await anyone.call('GET', '/markets')],
        ['get', '/markets/{instrument}/orderbook', await anyone.call('GET', `/markets/${instrument}/orderbook`)],
        ['get', '/markets/{instrument}/trades', await anyone.call('GET', `/markets/${instrument}/trades`)],
        ['get', '/admin/totals', await admin.call('GET', '/admin/totals')],
        ['get', '/admin/members', await admin.call('GET', '/admin/members?limit=5')],
        ['delete', '/orders', await client.call('DELETE', '/orders')],
      ]
      for (const [method, path, { status, body }] of checks) {
        const validator = Compile(schemaOf(method, path, status))
        assert.deepEqual(validator.Errors(body), [], `${method} ${path}`)
        const { properties, anyOf } = schemaOf(method, path, status)
        const known = Object.keys(properties ?? anyOf[0].properties)
        assert.deepEqual(
          Object.keys(body).filter((name) => !known.includes(name)),
          [],
          `${method} ${path}`,
        )
      }
    })
  })
})

/** A schema with what it refers to put in its place. */
// biome-ignore lint/suspicious/noExplicitAny: a JSON Schema of any shape
function inlined(schema: any, document: any): any {
  return JSON.parse(JSON.stringify(schema), (_, value) => {
    const name = /^#\/components\/schemas\/(.+)$/.exec(value?.$ref ?? '')?.[1]
    return name === undefined ? value : inlined(document.components.schemas[name], document)
  })
}

async function soon(check: () => Promise<unknown>): Promise<void> {
  const deadlineMs = performance.now() + 10_000
  for (;;) {
    try {
      for (let times = 0; times < 4; times++) await check()
      return
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await sleep(20)
    }
  }
}
