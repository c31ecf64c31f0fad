import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { createCommandPublisher } from '#mesh/commands.ts'
import { createPool, type Pool, type ResultSetHeader, type Row } from '#mesh/mysql.ts'
import type { AccountReadResult } from '#mesh/protocol/accounts.ts'
import type { MarketReadResult } from '#mesh/protocol/engine.ts'
import { callRpc } from '#mesh/rpc.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, slotReadSubject } from '#mesh/subjects.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import { Trading } from '#services/audit/testing/trading.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'

const ACCOUNT_SLOTS = 4

describe('npm run audit and npm run replay, on a mesh that runs', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  let nats: NatsConnection
  let pool: Pool
  let trading: Trading
  let publisher: ReturnType<typeof createCommandPublisher>
  let sent = 0

  before(async function () {
    this.timeout(120_000)
    mesh = await startMesh()
    nats = await connectTo(mesh)
    pool = createPool(mesh.mysqlUrl)
    publisher = createCommandPublisher(nats)
    let id = 1_000_000
    trading = new Trading({ seed: 11, members: 12, accountSlots: ACCOUNT_SLOTS, nextId: () => ++id })
    for (const { slot, command } of trading.opening()) {
      await publisher.append(Log.accounts, slot, command)
      sent++
    }
    await trade(300)
  })
  after(async () => {
    await pool?.end()
    await nats?.close()
    await mesh?.stop()
  })

  async function trade(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 10) {
      const commands = Array.from({ length: Math.min(left, 10) }, () => trading.next())
      await Promise.all(commands.map(({ slot, command }) => publisher.append(Log.accounts, slot, command)))
      sent += commands.length
    }
  }

  /** A command of npm's, in a process of its own. */
  async function command(
    script: string,
    args: readonly string[],
  ): Promise<{ code: number | null; output: string; json: Json }> {
    const child = spawn(process.execPath, [`services/audit/${script}.ts`, ...args], {
      env: { ...process.env, NATS_URL: mesh.natsUrl, MYSQL_URL: mesh.mysqlUrl },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let errors = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    child.stderr.on('data', (data) => {
      errors += data
    })
    const [code] = await once(child, 'close')
    const lastLine = output.trimEnd().split('\n').at(-1) ?? ''
    assert(lastLine.startsWith('{'), `${script} says:\n${output}${errors}`)
    return { code, output, json: JSON.parse(lastLine) }
  }
  // biome-ignore lint/suspicious/noExplicitAny: what is printed is asserted field by field
  type Json = any

  it('proves a quiet mesh', async () => {
    const { code, output, json } = await command('audit', [])
    assert.equal(code, 0, output)
    assert.equal(json.audit, 'ok')
    assert.match(output, /All of it agrees/)
    const { result, settings } = json
    assert.deepEqual(settings, { rate: 20_000, mysql: true, accountSlots: 4, marketSlots: 4 })
    // The first definitions, and an account of the admin's own.
    assert(result.commands >= sent + 6, `${result.commands} of ${sent} commands`)
    assert(result.rows.orders > 150 && result.rows.fills > 50, JSON.stringify(result.rows))
    const [[count]] = await pool.query<Row[]>('SELECT COUNT(*) AS count FROM fills')
    assert.equal(result.rows.fills, Number(count?.count))
    for (const { depositedMinor, membersMinor, feesMinor, underWayMinor } of Object.values<Json>(result.assets)) {
      assert.equal(BigInt(depositedMinor), BigInt(membersMinor) + BigInt(feesMinor) + BigInt(underWayMinor))
    }
  })

  it('proves a mesh in full flow, again and again', async () => {
    let flows = true
    const flow = (async () => {
      while (flows) {
        await trade(10)
        await sleep(3)
      }
    })()
    try {
      for (let round = 0; round < 3; round++) {
        const { difference, logs } = await auditMesh({
          natsUrl: mesh.natsUrl,
          mysqlUrl: mesh.mysqlUrl,
          rate: 0,
          waitMs: 10_000,
        })
        assert.equal(difference, undefined, `${difference?.check} ${difference?.slot} ${difference?.message}`)
        assert(logs.items > 500)
      }
    } finally {
      flows = false
      await flow
    }
  })

  it('keeps to its rate', async () => {
    const began = performance.now()
    const { logs } = await auditMesh({ natsUrl: mesh.natsUrl, rate: 3_000, waitMs: 10_000 })
    const seconds = (performance.now() - began) / 1000
    assert(seconds > (logs.items / 3_000) * 0.8, `${logs.items} items in ${seconds} s`)
  })

  describe('replay', () => {
    it('shows a member as of any position, and as of now what his slot says', async () => {
      const [memberId = 0] = trading.memberIds
      const slot = accountSlotOf(memberId, ACCOUNT_SLOTS)
      const now = () =>
        callRpc<AccountReadResult>(nats, slotReadSubject(Log.accounts, slot), { read: 'balances', memberId }, 5_000)
      await sleep(500)
      const [[then]] = await pool.query<Row[]>(
        `SELECT sequence, item, available_minor, held_minor FROM movements
         WHERE member_id = ${memberId} AND asset = 'ETH' ORDER BY sequence, item LIMIT 1`,
      )
      assert(then !== undefined)
      const past = await command('replay', [
        '--until',
        `${then.sequence}-${then.item}`,
        '--member',
        String(memberId),
        '--json',
      ])
      assert.equal(past.code, 0)
      assert.deepEqual(
        past.json.balances.find(([asset]: [string]) => asset === 'ETH'),
        ['ETH', String(then.available_minor), String(then.held_minor)],
      )
      assert.deepEqual(past.json.appliedTo, [Number(then.sequence), then.item])
      assert.deepEqual(past.json.orders, [])

      const present = await command('replay', [
        '--until',
        '999999999',
        '--log',
        'accounts',
        '--member',
        String(memberId),
        '--json',
      ])
      const read = await now()
      assert(read.read === 'balances')
      assert.deepEqual(present.json.balances, read.balances)
      assert.equal(present.json.status, 'active')
      const [[open]] = await pool.query<Row[]>(
        `SELECT COUNT(*) AS count FROM orders WHERE member_id = ${memberId} AND status IN ('new', 'partially_filled')`,
      )
      assert.equal(present.json.orders.length, Number(open?.count))
    })

    it('shows a book as the engine has it, and an empty one before the first order', async () => {
      const read = { read: 'orderbook', instrument: 'ETH-USDT', levelsMax: 20 }
      const book = await callRpc<MarketReadResult>(nats, slotReadSubject(Log.markets, 1), read, 5_000)
      assert(book.read === 'orderbook' && book.bids.length + book.asks.length > 0)
      const { json } = await command('replay', ['--until', '999999999', '--instrument', 'ETH-USDT', '--json'])
      assert.equal(json.slot, 'markets-1')
      assert.deepEqual([json.bids, json.asks, json.sequence], [book.bids, book.asks, book.sequence])
      const before = await command('replay', ['--until', '0', '--instrument', 'ETH-USDT', '--json'])
      assert.equal(before.json.status, 'not_open')
    })

    it('shows a whole slot with the hash of its state', async () => {
      for (const log of ['accounts', 'markets']) {
        const { json } = await command('replay', ['--until', '999999999', '--log', log, '--slot', '1', '--json'])
        assert.equal(json.slot, `${log}-1`)
        assert.match(json.stateHash, /^[0-9a-f]+$/)
      }
    })
  })

  describe('finds what was changed in MySQL:', () => {
    const A_FILL = 'ORDER BY member_id, sequence LIMIT 1'

    /** Changes, audits, and puts it back. */
    async function tampered(
      change: string,
      undo: (sql: string) => Promise<unknown>,
      expect: [string, RegExp],
    ): Promise<void> {
      const [result] = await pool.query<ResultSetHeader>(change)
      assert.equal(result.affectedRows, 1, change)
      try {
        const { difference } = await auditMesh({
          natsUrl: mesh.natsUrl,
          mysqlUrl: mesh.mysqlUrl,
          rate: 0,
          waitMs: 5_000,
        })
        assert(difference !== undefined, `nothing is found after ${change}`)
        assert.equal(difference.check, expect[0], difference.message)
        assert.match(`${difference.slot} ${difference.position} ${difference.message}`, expect[1])
      } finally {
        await undo(change)
      }
    }
    const again = (sql: string) => () => pool.query(sql)
    const first = async (sql: string): Promise<Row> => {
      const [[row]] = await pool.query<Row[]>(sql)
      assert(row !== undefined, sql)
      return row
    }
    const slotOf = (row: Row): string => `accounts-${accountSlotOf(Number(row.member_id), ACCOUNT_SLOTS)}`
    const literals = (row: Row): string =>
      Object.values(row)
        .map((value) => pool.escape(value))
        .join(',')

    before(() => sleep(500))

    it('an order', async () => {
      const row = await first(`SELECT member_id, order_id, sequence FROM orders WHERE executed_lots > 0 LIMIT 1`)
      const where = `WHERE member_id = ${row.member_id} AND order_id = ${row.order_id}`
      await tampered(
        `UPDATE orders SET executed_lots = executed_lots + 1 ${where}`,
        again(`UPDATE orders SET executed_lots = executed_lots - 1 ${where}`),
        [
          'row_differs',
          new RegExp(
            `^${slotOf(row)} ${row.sequence}-[0-9]+-[0-9]+ orders .*order_id ${row.order_id}\\): executed_lots is`,
          ),
        ],
      )
    })

    it('a balance', async () => {
      const row = await first(`SELECT member_id, asset FROM balances WHERE asset = 'USDT' LIMIT 1`)
      const where = `WHERE member_id = ${row.member_id} AND asset = 'USDT'`
      await tampered(
        `UPDATE balances SET available_minor = available_minor + 1 ${where}`,
        again(`UPDATE balances SET available_minor = available_minor - 1 ${where}`),
        ['row_differs', new RegExp(`^${slotOf(row)} [0-9-]+ balances .*available_minor is`)],
      )
    })

    it('a fill that is missing', async () => {
      const row = await first(`SELECT * FROM fills ${A_FILL}`)
      await tampered(`DELETE FROM fills ${A_FILL}`, again(`INSERT INTO fills VALUES (${literals(row)})`), [
        'row_missing',
        new RegExp(`^${slotOf(row)} ${row.sequence}-${row.item}-${row.event} .*fills`),
      ])
    })

    it('a fill that is there twice', async () => {
      const row = await first(`SELECT * FROM fills ${A_FILL}`)
      await tampered(
        `INSERT INTO fills VALUES (${literals({ ...row, fill: 7 } as unknown as Row)})`,
        again('DELETE FROM fills WHERE fill = 7'),
        ['row_unknown', new RegExp(`^${slotOf(row)} ${row.sequence}-${row.item}-${row.event} .*fill 7`)],
      )
    })

    it("a member's movement, and one that nobody made", async () => {
      const row = await first(`SELECT * FROM movements WHERE cause = 'withdrawal' LIMIT 1`)
      const where = `WHERE member_id = ${row.member_id} AND sequence = ${row.sequence} AND item = ${row.item}`
      await tampered(
        `UPDATE movements SET reference = 'other' ${where}`,
        again(`UPDATE movements SET reference = ${pool.escape(row.reference)} ${where}`),
        ['row_differs', new RegExp(`^${slotOf(row)} ${row.sequence}-${row.item}-${row.event} .*reference is other`)],
      )
      const stranger = { ...row, member_id: 77, sequence: 1_000_000 } as unknown as Row
      await tampered(
        `INSERT INTO movements VALUES (${literals(stranger)})`,
        again('DELETE FROM movements WHERE member_id = 77'),
        ['row_unknown', new RegExp(`^${slotOf(stranger)} 1000000-`)],
      )
    })

    it('a total', async () => {
      await tampered(
        "UPDATE market_totals SET orders = orders + 1 WHERE instrument = 'ETH-BTC' AND slot = 2",
        again("UPDATE market_totals SET orders = orders - 1 WHERE instrument = 'ETH-BTC' AND slot = 2"),
        ['totals_differ', /^accounts-2 {2}market_totals has ETH-BTC/],
      )
    })

    it('and nothing when all is put back', async () => {
      const { json } = await command('audit', ['--rate', '0'])
      assert.equal(json.audit, 'ok', JSON.stringify(json.result.difference))
    })
  })

  describe('finds what is gone from the streams:', () => {
    it('a frame, and exits with 1', async () => {
      const { streams } = await jetstreamManager(nats)
      const last = await streams.getMessage('EVENTS', { last_by_subj: 'events.accounts.3' })
      await streams.deleteMessage('EVENTS', last?.seq ?? 0)
      const { code, output, json } = await command('audit', ['--wait', '2', '--rate', '0'])
      assert.equal(code, 1)
      assert.deepEqual(
        [json.audit, json.result.difference.check, json.result.difference.slot],
        ['failed', 'not_applied', 'accounts-3'],
      )
      assert.match(output, /✖ The first difference: not_applied, accounts-3 at [0-9]+-[0-9]+/)
    })
  })
})
