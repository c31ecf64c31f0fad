import assert from 'node:assert/strict'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { encodePairMessage, pairEndOf, pairStart } from '#mesh/machine/wire.ts'
import { connectNats } from '#mesh/service.ts'
import { createStore } from '#mesh/store.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { EVENTS_STREAM } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { type AuditResult, auditMesh } from './audit-mesh.ts'
import { ForgedMesh, type Tamper } from './testing/forged-mesh.ts'
import { Trading } from './testing/trading.ts'

const SHAPE = { accountSlots: 2, marketSlots: 2 }
const STREAMS = ['ACCOUNTS', 'MARKETS', 'DEFINITIONS', 'EVENTS']

/** What stands before the price of an order that enters its market, and before the quote of an outcome's first fill. */
const PRICE = /\n\[2,([^,]*,){7}/
const QUOTE = /\[\[([0-9]+,){3}"/

describe('the audit of the logs, on streams that were tampered with', function () {
  this.timeout(30_000)
  let server: Awaited<ReturnType<typeof startNats>>
  let nats: NatsConnection

  before(async function () {
    this.timeout(60_000)
    server = await startNats()
    nats = await connectNats(server.url, 'forger')
  })
  after(async () => {
    await nats?.close()
    await server?.stop()
  })
  afterEach(async () => {
    const { streams } = await jetstreamManager(nats)
    for (const stream of STREAMS) await streams.delete(stream)
  })

  /** Two rounds of random trading. */
  async function forge(tamper: Tamper = ({ text }) => text): Promise<ForgedMesh> {
    const mesh = await ForgedMesh.create(nats, SHAPE)
    mesh.tamper = tamper
    let id = 1_000_000
    const trading = new Trading({ seed: 7, members: 6, accountSlots: 2, nextId: () => ++id })
    for (const { slot, command } of trading.opening()) await mesh.append(slot, [command])
    await mesh.settle()
    for (let round = 0; round < 8; round++) {
      const bySlot = new Map<number, object[]>()
      for (let count = 0; count < 40; count++) {
        const { slot, command } = trading.next()
        bySlot.set(slot, [...(bySlot.get(slot) ?? []), command])
      }
      for (const [slot, commands] of bySlot) await mesh.append(slot, commands)
      await mesh.settle()
    }
    return mesh
  }

  const audit = (): Promise<AuditResult> => auditMesh({ natsUrl: server.url, rate: 0, waitMs: 700 })

  async function found(check: string, slot: string, position: RegExp): Promise<string> {
    const { difference } = await audit()
    assert(difference !== undefined, 'the audit finds nothing')
    assert.deepEqual([difference.check, difference.slot], [check, slot], difference.message)
    assert.match(difference.position, position, difference.message)
    return difference.message
  }

  /** In place of the text of the so-many-th message of a subject. */
  const at =
    (subject: string, count: number, change: (text: string) => string): Tamper =>
    (stored) => {
      if (stored.subject !== subject || stored.count !== count) return stored.text
      const changed = change(stored.text)
      assert.notEqual(changed, stored.text, 'the tampering changes something')
      return changed
    }

  it('finds nothing where nothing was done', async () => {
    await forge()
    const { difference, logs, assets } = await audit()
    assert.equal(difference, undefined)
    // 6 definitions; an account and three deposits for each of 6 members; 8 rounds of 40.
    assert.equal(logs.commands, 6 + 6 * 4 + 8 * 40)
    assert.equal(logs.underWay, 0)
    assert(logs.outcomes > 150, `${logs.outcomes} outcomes`)
    assert(logs.pairItems > 500, `${logs.pairItems} items between slots`)
    assert.deepEqual(
      assets.map(({ asset }) => asset),
      ['BTC', 'ETH', 'USDT'],
    )
    for (const { depositedMinor, membersMinor, feesMinor } of assets) {
      assert(feesMinor > 0n, 'there was trade')
      assert.equal(depositedMinor, membersMinor + feesMinor)
    }
  })

  it('finds a wrong hash in a frame', async () => {
    await forge(at('events.accounts.1', 9, (text) => text.replace(/"hash":[0-9]+/, '"hash":4711')))
    assert.match(await found('hash_differs', 'accounts-1', /^[0-9]+-[0-9]+$/), /4711/)
  })

  it('finds an event that says something else', async () => {
    await forge(at('events.accounts.0', 9, (text) => text.replace(/"available":"|"feeMinor":"/, '$&9')))
    await found('event_differs', 'accounts-0', /^[0-9]+-[0-9]+-[0-9]+$/)
  })

  it('finds an event that is missing at the end of a frame', async () => {
    await forge(at('events.markets.0', 5, (text) => text.slice(0, text.lastIndexOf('\n'))))
    await found('event_differs', 'markets-0', /^[0-9]+-[0-9]+-[0-9]+$/)
  })

  it('finds a frame whose time is wrong', async () => {
    await forge(at('events.accounts.1', 9, (text) => text.replace(/"timeUs":[0-9]+/, '"timeUs":1')))
    await found('header_differs', 'accounts-1', /^[0-9]+-[0-9]+$/)
  })

  it('finds a command that was altered', async () => {
    await forge(at('accounts.0.cmd', 20, (text) => text.replace(/"amountLots":/, '"amountLots":1')))
    await found('event_differs', 'accounts-0', /^[0-9]+-[0-9]+-[0-9]+$/)
  })

  it('finds a command that was dropped from its message', async () => {
    await forge(at('accounts.1.cmd', 15, (text) => text.slice(0, text.lastIndexOf('\n'))))
    assert.match(await found('event_differs', 'accounts-1', /^[0-9]+-[0-9]+-[0-9]+$/), /the replay says nothing/)
  })

  it('finds an item between slots that was altered, and names both ends', async () => {
    await forge(at('markets.0.from.accounts-1', 3, (text) => text.replace(PRICE, (before) => `${before}1`)))
    const message = await found('pair_item_differs', 'markets-0', /^[0-9]+-[0-9]+$/)
    assert.match(message, /the replay of accounts-1 at [0-9]+-[0-9]+ sends .* the log of markets-0 has/)
  })

  it('finds an outcome that pays more than the engine said', async () => {
    await forge(at('accounts.0.from.markets-0', 4, (text) => text.replace(QUOTE, (before) => `${before}1`)))
    await found('pair_item_differs', 'accounts-0', /^[0-9]+-[0-9]+$/)
  })

  it('finds an item that was dropped', async () => {
    await forge(at('accounts.1.from.markets-0', 3, (text) => text.replace(/\n.*/, '')))
    const { difference } = await audit()
    assert.equal(difference?.slot, 'accounts-1')
    assert.match(difference.check, /^pair_/, difference.message)
  })

  it('finds a count that skips items', async () => {
    await forge(
      at('accounts.1.from.markets-1', 2, (text) =>
        text.replace(/"first":([0-9]+)/, (_, first) => `"first":${Number(first) + 1}`),
      ),
    )
    await found('pair_gap', 'accounts-1', /^[0-9]+-0$/)
  })

  it('finds a chain that is broken', async () => {
    await forge(at('accounts.1.from.markets-1', 2, (text) => text.replace(/"before":[0-9]+/, '"before":1')))
    await found('pair_chain_differs', 'accounts-1', /^[0-9]+-0$/)
  })

  it('finds a frame that is missing', async () => {
    await forge()
    const { streams } = await jetstreamManager(nats)
    const sequence = await sequenceOf('EVENTS', 'events.accounts.0', 6)
    await streams.deleteMessage(EVENTS_STREAM, sequence)
    assert.match(await found('frame_missing', 'accounts-0', /^[0-9]+-0$/), new RegExp(`after frame ${sequence}`))
  })

  it('finds that the last frame is missing', async () => {
    await forge()
    const { streams } = await jetstreamManager(nats)
    const last = await streams.getMessage(EVENTS_STREAM, { last_by_subj: 'events.markets.1' })
    assert(last !== null)
    await streams.deleteMessage(EVENTS_STREAM, last.seq)
    await found('not_applied', 'markets-1', /^[0-9]+-0$/)
  })

  it('finds a frame that is there twice', async () => {
    await forge()
    const { streams } = await jetstreamManager(nats)
    const last = await streams.getMessage(EVENTS_STREAM, { last_by_subj: 'events.accounts.1' })
    assert(last !== null)
    await createStore(nats).append('events.accounts.1', last.string(), last.seq)
    await found('frame_overlaps', 'accounts-1', /^[0-9]+-0$/)
  })

  it('finds a message of a log that is gone', async () => {
    await forge()
    const { streams } = await jetstreamManager(nats)
    const sequence = await sequenceOf('ACCOUNTS', 'accounts.0.cmd', 20)
    await streams.deleteMessage('ACCOUNTS', sequence)
    await found('input_missing', 'accounts-0', new RegExp(`^${sequence}-0$`))
  })

  it('finds that the tail of a log is gone', async () => {
    await forge()
    const { streams } = await jetstreamManager(nats)
    const { state } = await streams.info('MARKETS')
    const last = await streams.getMessage('MARKETS', { seq: state.last_seq })
    await streams.deleteMessage('MARKETS', state.last_seq)
    await found('input_missing', `markets-${last?.subject.split('.')[1]}`, new RegExp(`^${state.last_seq}-[0-9]+$`))
  })

  it('finds a command that nobody applies', async () => {
    const mesh = await forge()
    const sequence = await mesh.append(1, [{ type: 'CreateAccount', commandId: 5, memberId: 5, replyTo: '' }])
    await found('not_applied', 'accounts-1', new RegExp(`^${sequence}-0$`))
  })

  it('finds an item that was applied and that nobody sent', async () => {
    for (const source of ['definitions-7', 'definitions-0']) {
      const mesh = await forge()
      const { streams } = await jetstreamManager(nats)
      const subject = `accounts.0.from.${source}`
      const last = source === 'definitions-0' ? await streams.getMessage('ACCOUNTS', { last_by_subj: subject }) : null
      const { count, hash } = last === null ? pairStart() : pairEndOf(last.string())
      const item = '{"type":"AssetKnown","asset":{"asset":"XXX","scale":2}}'
      const sequence = await mesh.say(subject, encodePairMessage({ first: count + 1, before: hash }, [item]))
      await mesh.settle()
      await found('pair_item_unsent', 'accounts-0', new RegExp(`^${sequence}-0$`))
      for (const stream of STREAMS) await streams.delete(stream)
      await ensureStreams(nats, SHAPE)
    }
  })

  async function sequenceOf(stream: string, subject: string, count: number): Promise<number> {
    const { streams } = await jetstreamManager(nats)
    let sequence = 0
    for (let left = count; left > 0; ) {
      const message = await streams.getMessage(stream, { seq: ++sequence })
      assert(message !== null)
      if (message.subject === subject) left--
    }
    return sequence
  }
})
