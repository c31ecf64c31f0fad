import assert from 'node:assert/strict'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { createCommandPublisher } from '#mesh/commands.ts'
import type { CancelOrder } from '#mesh/protocol/accounts.ts'
import type { Claims, TokenCode } from '#mesh/protocol/auth.ts'
import { connectNats } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { startNats } from '#mesh/testing/servers.ts'
import type { TokenVerifier } from '#mesh/tokens.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createIngest } from './ingest.ts'
import { type Ingest, IngestStopped, type SourceMessage, type Taken } from './source.ts'

describe('the core of the ingests, on a real nats-server', function () {
  this.timeout(60_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection
  let manager: JetStreamManager
  let verdict: Claims | { code: TokenCode }
  let nextId: () => number | Promise<number>
  let counted: Taken[]
  let ingest: Ingest
  let made = 0

  before(async () => {
    server = await startNats({ syncInterval: 'always' })
    nats = await connectNats(server.url, 'test')
    await ensureStreams(nats, { accountSlots: 2, marketSlots: 2 })
    manager = await jetstreamManager(nats)
  })
  after(async () => {
    await nats.close()
    await server.stop()
  })
  beforeEach(async () => {
    // The client may not be back yet from a restart of the server, and drops what it is asked until then.
    await eventually(() => nats.rtt())
    await manager.streams.purge('ACCOUNTS')
    verdict = claims({})
    nextId = () => ++made
    counted = []
    ingest = newIngest()
  })
  afterEach(() => ingest.stop())

  const claims = (more: Partial<Claims>): Claims => ({
    memberId: 42,
    roles: ['member'],
    scopes: ['trade'],
    tokenId: '1',
    issuedAtS: 0,
    expiresAtS: 1,
    ...more,
  })
  const newIngest = (): Ingest =>
    createIngest({
      origin: 'rabbitmq',
      bus: nats,
      accountSlots: 2,
      publisher: createCommandPublisher(nats, 500),
      nextId: () => nextId(),
      nowUs: () => 5,
      // What the verifier itself finds is tested with it.
      verifier: {
        verify: () => verdict,
        denialOf: (id: number) => (id === 9 ? 'member_blocked' : undefined),
      } as unknown as TokenVerifier,
      marketOf: () => undefined,
      count: (taken) => counted.push(taken),
      onFailure: () => {},
    })
  const cancel = (requestId: string, more: Partial<SourceMessage> = {}): SourceMessage => ({
    body: Buffer.from(JSON.stringify({ version: 1, command: 'cancel', sentAt: '2031-01-01T00:00:00Z', orderId: '1' })),
    authorization: 'Bearer x',
    onBehalfOf: undefined,
    messageId: requestId,
    ...more,
  })
  /** What the logs of both slots have, in their order. */
  const stored = async (): Promise<CancelOrder[]> => {
    const { state } = await manager.streams.info('ACCOUNTS')
    const items: CancelOrder[] = []
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage('ACCOUNTS', { seq })
      for (const line of message?.string().split('\n') ?? []) items.push(JSON.parse(line))
    }
    return items
  }
  const takeMany = (count: number) => Array.from({ length: count }, (_, n) => ingest.take(cancel(`r${n}`)))
  const names = (count: number) => Array.from({ length: count }, (_, n) => `r${n}`)

  it('stores a batch as one message, in its order, and says so when it is durable', async () => {
    const taken = await Promise.all(takeMany(300))
    assert(taken.every(({ is }) => is === 'stored'))
    assert.equal((await manager.streams.info('ACCOUNTS')).state.messages, 1)
    assert.deepEqual(
      (await stored()).map(({ requestId }) => requestId),
      names(300),
    )
    assert.equal(counted.length, 300)
  })

  it('keeps the order of what waits for ids', async () => {
    let first = true
    nextId = () => {
      if (!first) return ++made
      first = false
      return new Promise((resolve) => setTimeout(resolve, 50, ++made))
    }
    await Promise.all(takeMany(3))
    assert.deepEqual(
      (await stored()).map(({ requestId }) => requestId),
      names(3),
    )
  })

  it('waits for ids that cannot be had', async () => {
    let tries = 0
    nextId = () => (++tries < 3 ? Promise.reject(new Error('no guid')) : ++made)
    assert.deepEqual(await ingest.take(cancel('a')), { is: 'stored' })
    assert.equal(tries, 3)
  })

  it('waits while tokens cannot be checked, and holds nothing against the message', async () => {
    verdict = { code: 'auth_not_ready' }
    const taking = ingest.take(cancel('a'))
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.deepEqual(counted, [])
    verdict = claims({})
    assert.deepEqual(await taking, { is: 'stored' })
  })

  it('stores everything once the server is back, nothing overtaking anything', async () => {
    const before = takeMany(20)
    await Promise.all(before)
    await server.kill()
    const during = Array.from({ length: 20 }, (_, n) => ingest.take(cancel(`r${20 + n}`)))
    const waiting = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 300))
      return Array.from({ length: 20 }, (_, n) => ingest.take(cancel(`r${40 + n}`)))
    })()
    await server.restart()
    await Promise.all(during)
    await Promise.all(await waiting)
    const all = await stored()
    // A command whose ack was lost is there twice, under one id: the machine knows it.
    const firsts = all.filter((one, at) => all.findIndex(({ commandId }) => commandId === one.commandId) === at)
    assert.deepEqual(
      firsts.map(({ requestId }) => requestId),
      names(60),
    )
  })

  it('lets go of nothing when it stops', async () => {
    await server.kill()
    const taking = ingest.take(cancel('a'))
    const rejected = assert.rejects(taking, IngestStopped)
    ingest.stop()
    await rejected
    await assert.rejects(ingest.take(cancel('b')), IngestStopped)
    await server.restart()
    assert.deepEqual(counted, [])
  })

  const senders: [string, () => void, Partial<SourceMessage>, object][] = [
    ['no token', () => {}, { authorization: undefined }, { is: 'dead', code: 'token_missing' }],
    [
      'a refused token',
      () => {
        verdict = { code: 'token_revoked' }
      },
      {},
      { is: 'dead', code: 'token_revoked' },
    ],
    [
      'a token that may not trade',
      () => {
        verdict = claims({ scopes: ['read'] })
      },
      {},
      { is: 'dead', code: 'scope_missing' },
    ],
    [
      'a member whom nobody lists',
      () => {},
      { onBehalfOf: '7' },
      { is: 'dead', code: 'member_not_listed', field: 'x-member-id' },
    ],
    [
      'a member who is no number',
      () => {},
      { onBehalfOf: '7x' },
      { is: 'dead', code: 'member_not_listed', field: 'x-member-id' },
    ],
    [
      'a listed member who is blocked',
      () => {
        verdict = claims({ members: [9] })
      },
      { onBehalfOf: '9' },
      { is: 'dead', code: 'member_blocked', field: 'x-member-id' },
    ],
  ]
  for (const [who, prepare, message, taken] of senders) {
    it(`keeps a message of ${who} among the dead`, async () => {
      prepare()
      assert.deepEqual(await ingest.take(cancel('a', message)), taken)
      assert.deepEqual(await stored(), [])
    })
  }

  it('acts for the member whom a broker names', async () => {
    verdict = claims({ members: [7] })
    await Promise.all([ingest.take(cancel('a', { onBehalfOf: '7' })), ingest.take(cancel('b', { onBehalfOf: '42' }))])
    const members = (await stored()).map(({ memberId }) => memberId)
    assert.deepEqual(members.sort(), [42, 7])
  })

  it('answers what its market does not take, with an id that a repeat has as well', async () => {
    const order = { version: 1, command: 'place', sentAt: '2031-01-01T00:00:00Z', instrument: 'A-B', side: 'buy' }
    const message = cancel('a', { body: Buffer.from(JSON.stringify(order)) })
    const [first, again] = await Promise.all([ingest.take(message), ingest.take(message)])
    assert.deepEqual(first, again)
    assert(first.is === 'rejected')
    const { id, outcome, memberId, requestId, body } = first.result
    assert.deepEqual([id, outcome, memberId, requestId], ['refused.42.placed.a', 'rejected', 42, 'a'])
    assert.equal(JSON.parse(body).code, 'market_unknown')
    assert.deepEqual(await stored(), [])
  })
})
