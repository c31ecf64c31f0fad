import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { run } from '#launcher/servers/child-process.ts'
import { projectDirectory } from '#launcher/servers/directories.ts'
import { natsProgram } from '#launcher/servers/programs.ts'
import { services } from '#launcher/services.ts'
import { busAccess, makeBusUsers } from '#mesh/bus-users.ts'
import { busUsers, permissionsOf } from '#mesh/permissions.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { commandSubject, EVENTS_STREAM, framesSubject, Log, pairSubject, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { runCommandLine } from '../exchange/cli.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { startMesh, type TestMesh } from './support/mesh.ts'

const SHAPE = { accountSlots: 4, marketSlots: 4 } as const

describe('users of the bus', function () {
  this.timeout(60_000)
  const directory = mkdtempSync(join(tmpdir(), 'exchange-users-'))
  const seeds = join(directory, 'seeds')
  const natsLog = join(directory, 'nats.log')
  let bus: Awaited<ReturnType<typeof startNats>>
  let mesh: TestMesh

  before(async function () {
    this.timeout(180_000)
    bus = await startNats({ extraConfig: `${makeBusUsers(seeds, SHAPE)}\nlog_file: ${JSON.stringify(natsLog)}` })
    mesh = await startMesh({
      natsUrl: bus.url,
      scale: { gateway: 2, engine: 2 },
      env: { NATS_NKEY_DIR: seeds, PASSWORD_COST_LOG2: '10', SNAPSHOT_DIR: join(directory, 'snapshots') },
    })
    await mesh.add('alerts')
    await mesh.add('stats')
  })
  after(async () => {
    await mesh?.stop()
    await bus?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  /** A connection of that user, and what the server refused him. */
  const as = async (user: string) => {
    const nats = await connect({ servers: bus.url, ...busAccess(user, { NATS_NKEY_DIR: seeds }) })
    const refused: string[] = []
    void (async () => {
      for await (const status of nats.status()) if (status.type === 'error') refused.push(status.error.message)
    })()
    const isRefused = async (subject: string): Promise<boolean> => {
      refused.length = 0
      nats.publish(subject, 'forged')
      // No service may publish this: once it is refused, everything before it was judged.
      nats.publish('nothing.of.ours', '')
      const of = (what: string) => refused.some((text) => text.includes(`Violation for Publish to "${what}"`))
      await eventually(() => assert(of('nothing.of.ours')))
      return of(subject)
    }
    return { nats, refused, isRefused }
  }
  const lengths = async (nats: NatsConnection): Promise<number[]> => {
    const manager = await jetstreamManager(nats, { checkAPI: false })
    const infos = [EVENTS_STREAM, ...Object.values(STREAM_OF_LOG)].map((stream) => manager.streams.info(stream))
    return (await Promise.all(infos)).map(({ state }) => state.messages)
  }

  it('may do all that the exchange needs: members trade, slots move, snapshots are taken, operators look, statistics are kept', async () => {
    const anyone = new Client(mesh.urls)
    const admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
    const member = async (email: string, asset: string, amount: string) => {
      const { id } = await anyone.ok('POST', '/members', { email, password: 'correct horse' })
      await admin.ok('POST', '/admin/deposits', { reference: `d-${id}`, memberId: id, asset, amount })
      const { accessToken } = await anyone.ok('POST', '/sessions', { email, password: 'correct horse' })
      return { id: id as string, client: anyone.as(accessToken) }
    }
    const seller = await member('seller@example.com', 'BTC', '1')
    const buyer = await member('buyer@example.com', 'USDT', '10000')
    const order = { instrument: 'BTC-USDT', type: 'limit', price: '60000', amount: '0.1' }
    await seller.client.ok('POST', '/order', { ...order, side: 'sell' })
    const bought = await buyer.client.ok('POST', '/order', { ...order, side: 'buy' })
    assert.equal(bought.status, 'executed')
    assert.equal((await buyer.client.ok('GET', '/orders')).orders.length, 1)
    const transfer = { reference: 't', fromMemberId: buyer.id, toMemberId: seller.id, asset: 'USDT', amount: '1' }
    await admin.ok('POST', '/admin/transfers', transfer)
    await admin.ok('POST', `/admin/members/${buyer.id}/block`, {})
    await admin.ok('POST', '/admin/assets', { asset: 'XYZ', scale: 6 })
    await admin.ok('POST', '/admin/markets', { base: 'XYZ', quote: 'USDT', tick: '0.01', lot: '0.001' })

    const violations = () => readFileSync(natsLog, 'utf8').match(/.*Violation.*/g) ?? []
    assert.deepEqual(violations(), [])
    const env = { NATS_URL: bus.url, NATS_NKEY_DIR: seeds, EXCHANGE_URL: mesh.urls[0] }
    const rebuilt = await runCommandLine(['stats', 'rebuild'], env)
    assert.equal(rebuilt.exitCode, 0, rebuilt.output)
    const { candles } = await anyone.ok('GET', '/markets/BTC-USDT/candles?interval=1d')
    assert.equal(candles[0]?.trades, 1)
    assert.equal((await seller.client.ok('GET', '/accounts/statistics')).days.length, 1)
    assert.equal((await anyone.ok('GET', '/markets/BTC-USDT/ticker')).tradesCount, 1)
    const slot = accountSlotOf(Number(buyer.id), SHAPE.accountSlots)
    await eventually(async () => {
      const snapshot = await runCommandLine(['snapshot', 'accounts', String(slot)], env)
      assert.equal(snapshot.exitCode, 0, snapshot.output)
    }, 20_000)
    await mesh.process('engine').kill()
    await eventually(() => seller.client.ok('POST', '/order', { ...order, side: 'sell' }), 20_000)
    await mesh.process('engine').start()
    await eventually(async () => {
      const status = await runCommandLine(['status'], env)
      assert.equal(status.exitCode, 0, status.output)
    }, 20_000)

    assert.deepEqual(violations(), [])
  })

  it('a gateway cannot publish an event, a fill, a sign of life of an owner, nor a revocation', async () => {
    const { nats, isRefused } = await as('gateway')
    const before = await lengths(nats)
    assert(await isRefused(framesSubject(Log.accounts, 0)))
    assert(await isRefused(framesSubject(Log.markets, 0)))
    assert(await isRefused(pairSubject(Log.accounts, 0, 'markets-0')))
    assert(await isRefused(pairSubject(Log.markets, 0, 'accounts-0')))
    assert(await isRefused('owner.accounts.0'))
    assert(await isRefused('reply.gateway-2'))
    assert(await isRefused('$KV.keys.mine'))
    assert(await isRefused('$KV.denied.member.1'))
    assert(await isRefused('$JS.API.STREAM.DELETE.EVENTS'))
    assert(await isRefused('$JS.API.STREAM.PURGE.ACCOUNTS'))
    assert(await isRefused('$JS.API.STREAM.UPDATE.EVENTS'))
    assert.deepEqual(await lengths(nats), before)
    // What is his he may, so the refusals above are no accident.
    assert.equal(await isRefused('alive.gateway'), false)
    await nats.close()
  })

  it('a projection cannot publish an order, an engine cannot forge what another kind of slot says', async () => {
    const projection = await as('orders')
    assert(await projection.isRefused(commandSubject(Log.accounts, 0)))
    assert(await projection.isRefused(commandSubject(Log.definitions, 0)))
    assert(await projection.isRefused(framesSubject(Log.accounts, 0)))
    await projection.nats.close()
    const engine = await as('engine')
    assert(await engine.isRefused(commandSubject(Log.accounts, 0)))
    assert(await engine.isRefused(pairSubject(Log.accounts, 0, 'accounts-1')))
    assert(await engine.isRefused(framesSubject(Log.accounts, 0)))
    await engine.nats.close()
    const alerts = await as('alerts')
    assert(await alerts.isRefused(commandSubject(Log.accounts, 0)))
    await alerts.nats.close()
  })

  it('nobody listens where others get their answers, or where members log in', async () => {
    const { nats, refused } = await as('orders')
    for (const subject of ['_INBOX.>', '_INBOX.gateway.>', 'rpc.auth.login', 'reply.gateway-1', '>']) {
      refused.length = 0
      nats.subscribe(subject, { callback: () => {} })
      await eventually(() =>
        assert(
          refused.some((text) => text.includes('Violation')),
          subject,
        ),
      )
    }
    await nats.close()
  })

  it('who is no user does not come in', async () => {
    await assert.rejects(connect({ servers: bus.url, reconnect: false }), /Authorization/)
    assert.throws(() => busAccess('gateway', { NATS_NKEY_DIR: directory }), /there is no .*gateway\.nk/)
  })

  it('keeps a key per service that only its owner reads, and the same ones at the next start', () => {
    const before = readdirSync(seeds).map((name) => readFileSync(join(seeds, name), 'utf8'))
    const config = makeBusUsers(seeds, SHAPE)
    assert.deepEqual(
      readdirSync(seeds).map((name) => readFileSync(join(seeds, name), 'utf8')),
      before,
    )
    assert.equal(new Set(before).size, busUsers().length)
    for (const name of readdirSync(seeds)) assert.equal(statSync(join(seeds, name)).mode & 0o777, 0o600)
    for (const seed of before) assert(!config.includes(seed.trim()))
  })

  it('has permissions for every service that npm start runs', () => {
    for (const { name } of services) assert(permissionsOf(name, SHAPE), `mesh/permissions.ts says nothing of ${name}`)
  })

  it('come into compose with an override that gives each service its own key alone', async () => {
    const compose = readFileSync(join(projectDirectory, 'docker-compose.bus-users.yml'), 'utf8')
    const base = readFileSync(join(projectDirectory, 'docker-compose.yml'), 'utf8')
    const names = [...base.matchAll(/^ {2}([a-z-]+):\n {4}<<: \*service$/gm)].map(([, name = '']) => name)
    assert(names.length >= 7)
    for (const name of names.filter((one) => one !== 'migrate')) {
      const section = new RegExp(
        `^  ${name}:\n.*\n    volumes: \\["[^"]*/${name}\\.nk:/run/nkeys/${name}\\.nk:ro"\\]$`,
        'm',
      )
      assert.match(compose, section, name)
    }
    // As the container has them, read by a real server.
    const folder = mkdtempSync(join(directory, 'etc-'))
    copyFileSync(join(projectDirectory, 'launcher/compose-nats.conf'), join(folder, 'exchange.conf'))
    copyFileSync(join(projectDirectory, 'launcher/compose-nats-bus-users.conf'), join(folder, 'bus-users.conf'))
    const made = await runCommandLine(['bus-users', folder], {})
    assert.equal(made.exitCode, 0, made.output)
    await run(await natsProgram(), ['-t', '--config', join(folder, 'bus-users.conf')], { NATS_SYNC_INTERVAL: 'always' })
  })

  it('come over TLS where the server asks for it, and trust no server that they do not know', async () => {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ]
    await run('openssl', [...request, '-keyout', key, '-out', cert, ...subject])
    const tls = `tls { cert_file: ${JSON.stringify(cert)}, key_file: ${JSON.stringify(key)} }`
    const server = await startNats({ extraConfig: `${makeBusUsers(seeds, SHAPE)}\n${tls}` })
    try {
      const env = { NATS_NKEY_DIR: seeds }
      const nats = await connectNats(server.url, 'test', 'orders', { ...env, NATS_CA_FILE: cert })
      assert.equal(nats.info?.tls_required, true)
      await nats.flush()
      await nats.close()
      await assert.rejects(
        connect({ servers: server.url, reconnect: false, ...busAccess('orders', env) }),
        /self-signed certificate/,
      )
      assert.throws(() => busAccess('orders', { ...env, NATS_CERT_FILE: cert }), /go together/)
    } finally {
      await server.stop()
    }
  })
})
