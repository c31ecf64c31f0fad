import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { followFrames } from '#mesh/frames.ts'
import { encodePairMessage, pairEndOf, pairStart, splitPairMessage } from '#mesh/machine/wire.ts'
import type { OrderOutcome } from '#mesh/protocol/accounts.ts'
import { decodeItem } from '#mesh/protocol/compact.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { createReplyListener } from '#mesh/replies.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { Log, pairSubject, slotReadSubject } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { MARKET, parseCommand } from './testing/script.ts'

/** The process as it runs, on a real bus; accounts and definitions are played by the test. */
describe('the engine process', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection
  let engine: ChildProcess

  const startEngine = (): ChildProcess =>
    spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
      env: { ...process.env, NATS_URL: server.url, MARKET_SLOTS: '2', ACCOUNT_SLOTS: '3', LOG_LEVEL: 'warn' },
      stdio: 'inherit',
    })

  const ends = new Map<string, ReturnType<typeof pairStart>>()
  /** Sends a command in the name of the slot that it comes from. */
  const send = async (text: string, commandId: number): Promise<void> => {
    const { item, source } = parseCommand(text, commandId)
    const { count, hash } = ends.get(source) ?? pairStart()
    const message = encodePairMessage({ first: count + 1, before: hash }, [JSON.stringify(item)])
    await jetstream(nats).publish(pairSubject(Log.markets, 0, source), message)
    ends.set(source, pairEndOf(message))
  }
  /** Asks until the slot's owner answers. */
  const read = async (request: object): Promise<unknown> => {
    for (;;) {
      try {
        return await callRpc(nats, slotReadSubject(Log.markets, 0), request, 1_000)
      } catch (error) {
        if (!/service_unavailable|market_unknown/.test(JSON.stringify(error))) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  before(async () => {
    server = await startNats()
    nats = await connectNats(server.url, 'test')
    await ensureStreams(nats, { accountSlots: 3, marketSlots: 2 })
    engine = startEngine()
  })
  after(async () => {
    engine.kill('SIGTERM')
    await once(engine, 'exit')
    await nats.close()
    await server.stop()
  })

  it('matches what comes from accounts, tells them, the public and who waits; and is the same after a kill', async () => {
    const replies = createReplyListener(nats, 'gateway-1')
    const events: MarketEvent[] = []
    const reader = await followFrames<MarketEvent>(nats, Log.markets, 0, 0, (frame) => {
      events.push(...frame.events.map(({ position: _, ...event }) => event as MarketEvent))
    })
    const answer = replies.expect(13, 20_000)
    await send('open', 11)
    await send('sell #12 5@100', 12)
    await send('buy #13 7@101 by 9/2', 13)
    const reply = await answer
    assert(reply.kind === 'order')
    assert.equal(reply.order.status, 'partially_filled')
    assert.equal(reply.fills.length, 1)

    const toldTo = async (slot: number): Promise<string[]> => {
      const consumer = await jetstream(nats).consumers.get('ACCOUNTS', {
        filter_subjects: pairSubject(Log.accounts, slot, 'markets-0'),
      })
      const items: string[] = []
      const messages = await consumer.fetch({ expires: 1_000, max_messages: 10 })
      for await (const message of messages) {
        for (const text of splitPairMessage(message.string()).items) {
          const { cause, orderId, status } = decodeItem(text) as OrderOutcome
          items.push(`${cause} ${orderId} ${status}`)
        }
      }
      return items
    }
    assert.deepEqual(await toldTo(1), ['placed 12 new', 'matched 12 executed'])
    assert.deepEqual(await toldTo(2), ['placed 13 partially_filled'])
    assert.match(reply.position ?? '', /^\d+-0-0$/)

    const depth = { read: 'orderbook', instrument: MARKET.instrument, levelsMax: 5 }
    const trades = { read: 'trades', instrument: MARKET.instrument, tradesMax: 5 }
    const before = [await read(depth), await read(trades)]
    engine.kill('SIGKILL')
    await once(engine, 'exit')
    engine = startEngine()
    assert.deepEqual([await read(depth), await read(trades)], before)
    const again = replies.expect(14, 20_000)
    await send('cancel #13 by 9/2', 14)
    const cancelled = await again
    assert(cancelled.kind === 'order')
    assert.equal(cancelled.order.status, 'cancelled')
    // The reply may be here before the frame.
    for (let tries = 0; tries < 200 && events.length < 5; tries++)
      await new Promise((resolve) => setTimeout(resolve, 10))
    assert.deepEqual(
      events.map(({ type }) => type),
      ['MarketOpened', 'BookChanged', 'Traded', 'BookChanged', 'BookChanged'],
    )
    await reader.stop()
  })
})
