import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { openBucket } from '#mesh/buckets.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Bucket } from '#mesh/subjects.ts'
import { startWebhook } from '#services/alerts/testing.ts'
import { type Outcome, runCommandLine } from '../exchange/cli.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'

const USDT_SCALE = 8n
const MAIN = join(import.meta.dirname, '../exchange/main.ts')

describe("the operator's command line, on a running mesh", function () {
  this.timeout(60_000)
  const directory = mkdtempSync(join(tmpdir(), 'exchange-operator-'))
  let mesh: TestMesh
  let webhook: Awaited<ReturnType<typeof startWebhook>>
  let anyone: Client
  let memberId: string
  const EMAIL = 'trader@example.com'
  const PASSWORD = 'correct horse battery'

  before(async function () {
    this.timeout(120_000)
    webhook = await startWebhook()
    mesh = await startMesh({
      scale: { accounts: 2 },
      env: { PASSWORD_COST_LOG2: '10', SNAPSHOT_DIR: join(directory, 'snapshots') },
    })
    await mesh.add('alerts', { ALERT_WEBHOOK_URL: webhook.url })
    anyone = new Client(mesh.urls)
    const admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
    memberId = (await anyone.ok('POST', '/members', { email: EMAIL, password: PASSWORD })).id
    await admin.ok('POST', '/admin/deposits', {
      reference: 'peatio-opening-1-usdt',
      memberId,
      asset: 'USDT',
      amount: '9000',
    })
    await admin.ok('POST', '/admin/deposits', { reference: 'later', memberId, asset: 'USDT', amount: '1000' })
    const member = anyone.as((await anyone.ok('POST', '/sessions', { email: EMAIL, password: PASSWORD })).accessToken)
    const order = { instrument: 'BTC-USDT', side: 'buy', type: 'limit', price: '60000', amount: '0.01' }
    for (let count = 0; count < 3; count++) await member.ok('POST', '/order', order)
    const [first] = (await member.ok('GET', '/orders?status=open')).orders
    await member.ok('DELETE', `/order/${first.id}`)
  })
  after(async () => {
    await mesh?.stop()
    webhook?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const environment = () => ({
    PATH: process.env.PATH,
    NATS_URL: mesh.natsUrl,
    EXCHANGE_URL: mesh.urls[0],
    EXCHANGE_ADMIN_EMAIL: mesh.admin.email,
    EXCHANGE_ADMIN_PASSWORD: mesh.admin.password,
  })
  const exchange = (...args: string[]): Promise<Outcome> => runCommandLine(args, environment())
  // biome-ignore lint/suspicious/noExplicitAny: asserted field by field
  const asked = async (...args: string[]): Promise<any> => {
    const { exitCode, output } = await exchange(...args, '--json')
    assert.equal(exitCode, 0, output)
    return JSON.parse(output)
  }

  it('shows instances, slots with owner and epoch, and lags', async () => {
    const status = await eventually(async () => {
      const now = await asked('status')
      // While slots move to the second instance, both may say that they follow.
      for (const { log, followers } of now.slots) assert.equal(followers.length, log === 'markets' ? 0 : 1)
      return now
    })
    assert.equal(status.isWell, true)
    const names = status.instances.map((one: { instance: string }) => one.instance)
    assert.deepEqual(names, [
      'accounts-1',
      'accounts-2',
      'alerts-1',
      'auth-1',
      'engine-1',
      'gateway-1',
      'guid-1',
      'orders-1',
    ])
    assert(status.instances.every((one: { version: string }) => /^\d+\.\d+\.\d+$/.test(one.version)))
    assert.equal(status.slots.length, 9)
    for (const slot of status.slots) {
      assert.match(slot.owner, slot.log === 'markets' ? /^engine-1$/ : /^accounts-[12]$/)
      assert(slot.epoch >= 1)
      assert.equal(slot.halted, null)
      assert.equal(slot.appliedSequence, slot.storedSequence)
    }
    const { output } = await exchange('status')
    assert.match(output, /^gateway-1 +\d+\.\d+\.\d+ +\d+ (s|min) .*ready$/m)
    assert.match(output, /^orders +0 +\d+ ms +orders-1$/m)
  })

  it('shows markets, members, balances, open orders and history', async () => {
    const { markets } = await asked('markets')
    assert(markets.some((one: { instrument: string }) => one.instrument === 'BTC-USDT'))
    const { members } = await asked('members', EMAIL)
    assert.equal(members[0].id, memberId)
    for (const member of [memberId, EMAIL]) {
      const { accounts } = await asked('balances', member)
      assert.deepEqual(accounts, [{ asset: 'USDT', available: '8800', held: '1200' }])
    }
    const open = await asked('orders', EMAIL, '--instrument', 'BTC-USDT')
    assert.deepEqual(
      open.orders.map((one: { status: string }) => one.status),
      ['new', 'new'],
    )
    assert.deepEqual((await asked('orders', EMAIL, '--instrument', 'ETH-USDT')).orders, [])
    const page = await asked('history', memberId, '--limit', '2')
    assert.equal(page.orders.length, 2)
    const rest = await asked('history', memberId, '--limit', '2', '--cursor', page.cursor)
    assert.deepEqual([...page.orders, ...rest.orders].map((one: { status: string }) => one.status).sort(), [
      'cancelled',
      'new',
      'new',
    ])
  })

  it('blocks a member on the gateways, and lets him in again', async () => {
    const session = () => anyone.call('POST', '/sessions', { email: EMAIL, password: PASSWORD })
    await asked('block', EMAIL, '--reason', 'a test')
    assert.equal((await session()).status, 403)
    await asked('unblock', EMAIL)
    await eventually(async () => assert.equal((await session()).status, 201))
  })

  it('takes snapshots', async function () {
    // Their helper is the last to get the processor.
    this.timeout(120_000)
    const slot = accountSlotOf(Number(memberId), 4)
    const { snapshots } = await asked('snapshot', 'accounts', String(slot))
    assert.match(snapshots[0].name, new RegExp(`^accounts-${slot}\\.s`))
    const again = await asked('snapshot', 'accounts', String(slot))
    assert.equal(again.snapshots[0].code, 'snapshot_nothing_new')
  })

  it('finds what a way back to Peatio has to book, as TRANSITION.md says', async () => {
    const text = readFileSync(join(import.meta.dirname, '../TRANSITION.md'), 'utf8')
    const sql = /```sql\n([^`]*difference_minor[^`]*)```/.exec(text)?.[1]
    assert(sql !== undefined)
    const connection = await createConnection(mesh.mysqlUrl)
    try {
      await eventually(async () => {
        const [rows] = await connection.query<RowDataPacket[]>(sql)
        const found = rows.map((row) => [String(row.member_id), row.asset, BigInt(row.difference_minor)])
        // 10 000 now, held or not, 9 000 of them from the opening.
        assert.deepEqual(found, [[memberId, 'USDT', 1_000n * 10n ** USDT_SCALE]])
      })
    } finally {
      await connection.end()
    }
  })

  it('sends a test alert the whole way', async () => {
    const { deliveredTo } = await asked('alerts', 'test')
    assert.deepEqual(deliveredTo, [`webhook at ${new URL(webhook.url).host}`])
    assert.equal(webhook.received.at(-1)?.message, 'This is a test of the alerts')
  })

  it('says which slot is halted, exits with 1, and clears it', async () => {
    const nats = await connectTo(mesh)
    const bucket = await openBucket(nats, Bucket.slots)
    const entry = { state: 'halted', code: 'rules_failed', reason: 'a test', sequence: 7, instance: 'x' }
    await bucket.put('markets.3', JSON.stringify({ ...entry, at: new Date().toISOString() }))
    await nats.close()
    const { exitCode, output } = await exchange('status')
    assert.match(output, /^markets 3 .*HALTED rules_failed at 7: a test/m)
    assert.equal(exitCode, 1)
    await asked('clear-slot', 'engine', '3')
    const refused = await exchange('clear-slot', 'engine', '3')
    assert.deepEqual([refused.exitCode, refused.output], [1, '✖ engine 3 is not halted. (slot_not_halted)'])
  })

  it('refuses what does not exist, with the code of the exchange', async () => {
    const refusals: [args: string[], exitCode: number, output: string][] = [
      [['block', 'nobody@example.com'], 1, '✖ There is no member nobody@example.com. (member_unknown)'],
      [
        ['balances', 'nobody'],
        2,
        `✖ MEMBER must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, not "nobody".`,
      ],
      [['history', '1', '--limit', '0'], 2, '✖ --limit must be a whole number from 1 to 500, not "0".'],
      [['snapshot', 'orders'], 2, '✖ orders has no slots; accounts, engine, definitions have.'],
      [['clear-slot', 'engine', '9'], 2, '✖ SLOT must be a whole number from 0 to 3, not "9".'],
    ]
    for (const [args, exitCode, output] of refusals) {
      assert.deepEqual(await exchange(...args), { exitCode, output, isError: true })
    }
    const stranger = await runCommandLine(['markets'], { ...environment(), EXCHANGE_ADMIN_PASSWORD: 'a guess of mine' })
    assert.deepEqual([stranger.exitCode, stranger.output.includes('(credentials_invalid)')], [1, true])
    const nowhere = await runCommandLine(['markets'], { ...environment(), EXCHANGE_URL: 'http://127.0.0.1:9' })
    assert.match(
      nowhere.output,
      /No gateway answers at http:\/\/127\.0\.0\.1:9\/api\/v3; set EXCHANGE_URL.*\(gateway_unreachable\)/,
    )
  })

  it('runs as a program', async () => {
    const child = spawn(process.execPath, [MAIN, 'markets', '--json'], { env: environment() })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    const exitCode = await new Promise((resolve) => child.on('close', resolve))
    assert.equal(exitCode, 0)
    assert(JSON.parse(Buffer.concat(chunks).toString()).markets.length > 0)
  })
})
