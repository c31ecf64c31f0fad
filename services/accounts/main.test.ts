import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { NatsConnection } from '@nats-io/transport-node'
import { type CommandPublisher, createCommandPublisher } from '#mesh/commands.ts'
import { followFrames } from '#mesh/frames.ts'
import type { AccountEdgeCommand, AccountRead, AccountReadResult } from '#mesh/protocol/accounts.ts'
import type { DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { createReplyListener, type ReplyListener } from '#mesh/replies.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { DEFINITIONS_SLOT, Log, slotReadSubject } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'

const SHAPE = { accountSlots: 3, marketSlots: 2 } as const
const ANN = 2 ** 50
const BOB = 2 ** 50 + 1

/** The process as it runs, on a real bus, with the real engine beside it; the edge is played by the test. */
describe('the accounts process', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection
  let publisher: CommandPublisher
  let replies: ReplyListener
  let accounts: ChildProcess
  let engine: ChildProcess
  let nextId = 2 ** 51
  const definitions: DefinitionEvent[] = []

  const start = (service: string): ChildProcess =>
    spawn(process.execPath, [join(import.meta.dirname, '..', service, 'main.ts')], {
      env: {
        ...process.env,
        NATS_URL: server.url,
        ACCOUNT_SLOTS: String(SHAPE.accountSlots),
        MARKET_SLOTS: String(SHAPE.marketSlots),
        LOG_LEVEL: 'warn',
      },
      stdio: 'inherit',
    })
  const ask = async (memberId: number, command: object): Promise<Reply> => {
    const commandId = nextId++
    const item = { ...command, commandId, memberId, replyTo: 'edge-1' } as AccountEdgeCommand
    const reply = replies.expect(commandId, 20_000)
    await publisher.append(Log.accounts, accountSlotOf(memberId, SHAPE.accountSlots), item)
    return reply
  }
  const place = (memberId: number, fields: object): Promise<Reply> =>
    ask(memberId, {
      type: 'PlaceOrder',
      contentHash: 1,
      instrument: 'BTC-USDT',
      orderType: 'limit',
      priceTicks: 3_000_000,
      amountLots: 4,
      createdAtUs: 1,
      ...fields,
    })
  /** Asks until the slot's owner answers. */
  const read = async <Read extends AccountRead>(
    memberId: number,
    request: Read,
  ): Promise<Extract<AccountReadResult, { read: Read['read'] }>> => {
    for (;;) {
      try {
        const subject = slotReadSubject(Log.accounts, accountSlotOf(memberId, SHAPE.accountSlots))
        return await callRpc(nats, subject, request, 5_000)
      } catch (error) {
        if (!(error instanceof RpcError) || error.code !== 'service_unavailable') throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const markets = () => definitions.flatMap((event) => (event.type === 'MarketDefined' ? [event.market] : []))

  before(async () => {
    server = await startNats()
    nats = await connectNats(server.url, 'test')
    await ensureStreams(nats, SHAPE)
    publisher = createCommandPublisher(nats)
    replies = createReplyListener(nats, 'edge-1')
    await followFrames<DefinitionEvent>(nats, Log.definitions, DEFINITIONS_SLOT, 0, (frame) => {
      definitions.push(...frame.events.map(({ position: _, ...event }) => event as DefinitionEvent))
    })
    accounts = start('accounts')
    engine = start('engine')
    await until(() => markets().length === 3)
  })
  after(async () => {
    for (const child of [accounts, engine]) {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }
    await nats.close()
    await server.stop()
  })

  it('defines the first assets and markets', () => {
    assert.deepEqual(
      definitions.map((event) => (event.type === 'AssetDefined' ? event.asset : event.type)),
      [
        { asset: 'BTC', scale: 8 },
        { asset: 'ETH', scale: 8 },
        { asset: 'USDT', scale: 8 },
        'MarketDefined',
        'MarketDefined',
        'MarketDefined',
      ],
    )
    assert.deepEqual(
      markets()
        .map(({ instrument, tick, lot, marketSlot }) => `${instrument} ${tick} ${lot} ${marketSlot}`)
        .sort(),
      ['BTC-USDT 0.01 0.00001 0', 'ETH-BTC 0.00001 0.001 0', 'ETH-USDT 0.01 0.0001 1'],
    )
  })

  it('reserves, settles and answers reads, and is the same after a kill', async () => {
    for (const [memberId, asset] of [
      [ANN, 'USDT'],
      [BOB, 'BTC'],
    ] as const) {
      assert.equal((await ask(memberId, { type: 'CreateAccount' })).kind, 'account')
      const content = { asset, amountMinor: '10000000000', reference: `first ${memberId}` }
      assert.equal((await ask(memberId, { type: 'Deposit', ...content })).kind, 'booked')
    }
    const resting = await place(ANN, { side: 'buy', clientOrderId: 'mine' })
    assert(resting.kind === 'order' && resting.order.status === 'new')
    const { orderId } = resting.order
    const sold = await place(BOB, { side: 'sell', amountLots: 1 })
    assert(sold.kind === 'order' && sold.order.status === 'executed')
    const rejected = await place(BOB, { side: 'buy' })
    assert(rejected.kind === 'rejected' && rejected.order.reason === 'insufficient_balance')

    const look = async () =>
      [
        await read(ANN, { read: 'balances', memberId: ANN }),
        await read(BOB, { read: 'balances', memberId: BOB }),
        await read(ANN, { read: 'order', memberId: ANN, clientOrderId: 'mine' }),
        await read(ANN, { read: 'openOrders', memberId: ANN, side: 'buy' }),
        await read(BOB, { read: 'order', memberId: BOB, orderId: sold.order.orderId }),
        await read(BOB, { read: 'order', memberId: BOB, orderId: rejected.order.orderId }),
        await read(BOB, { read: 'order', memberId: BOB, orderId }),
        await read(ANN, { read: 'totals' }),
        await read(BOB, { read: 'totals' }),
      ] as const
    const before = await look()
    const [annBalances, bobBalances, ...orders] = before
    assert.deepEqual(annBalances.balances, [
      ['BTC', '999', '0'],
      ['USDT', '9880000000', '90000000'],
    ])
    assert.deepEqual(bobBalances.balances, [
      ['BTC', '9999999000', '0'],
      ['USDT', '29940000', '0'],
    ])
    const [mine, open, closed, refused, others] = orders
    assert.equal(mine.found?.order.status, 'partially_filled')
    assert.equal(mine.found?.fills.length, 1)
    assert.deepEqual(open.orders, [mine.found])
    assert.deepEqual(
      [closed.found?.order, closed.found?.fills, closed.found?.position],
      [sold.order, sold.fills, sold.position],
    )
    assert.equal(refused.found?.order.status, 'rejected')
    assert.deepEqual(others, { read: 'order' })

    accounts.kill('SIGKILL')
    await once(accounts, 'exit')
    accounts = start('accounts')
    assert.deepEqual(await look(), before)
    assert.equal(markets().length, 3)

    // A repeat, a cancel and a reference are known to the successor.
    const repeat = await place(ANN, { side: 'buy', clientOrderId: 'mine' })
    assert(repeat.kind === 'repeat' && repeat.same && repeat.orderId === orderId)
    const cancelled = await ask(ANN, { type: 'CancelOrder', clientOrderId: 'mine' })
    assert(cancelled.kind === 'order' && cancelled.order.status === 'cancelled')
    const again = { asset: 'BTC', amountMinor: '10000000000', reference: `first ${BOB}` }
    const booked = await ask(BOB, { type: 'Deposit', ...again })
    assert(booked.kind === 'booked' && booked.repeated)
    const end = await read(ANN, { read: 'balances', memberId: ANN })
    assert.deepEqual(end.balances[1], ['USDT', '9970000000', '0'])
  })

  it('refuses a read that is none', async () => {
    for (const request of [{}, { read: 'balances' }, { read: 'order', memberId: 'x' }, { read: 'totals', more: 1 }]) {
      const subject = slotReadSubject(Log.accounts, 0)
      await assert.rejects(callRpc(nats, subject, request, 5_000), { code: 'request_invalid' })
    }
  })
})
