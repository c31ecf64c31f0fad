import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { eventually } from '../test/support/eventually.ts'
import { Launched, privateEnv } from './fixtures/launched.ts'
import { processIdentity } from './run-state.ts'
import { freePort } from './servers/ports.ts'

type Answer = { instance: string; pid: number; mode: string }
type Marked = { name: string; pid: number }

describe('launcher', function () {
  this.timeout(300_000)
  let directory: string
  let env: NodeJS.ProcessEnv

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'exchange-launcher-'))
    env = await privateEnv(directory)
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  it('starts everything, says what to do next, and ends everything on Ctrl-C', async () => {
    await using mesh = await start(['--scale', 'gateway=3', 'worker=2'])
    const output = mesh.output()
    for (const title of ['nats', 'mariadb', 'redis', 'migrations', 'worker-2', 'owner-1', 'gateway-3', 'traefik']) {
      assert.match(output, new RegExp(`✔ ${title} `), title)
    }
    assert.match(output, /started in [0-9.]+ s/)
    assert.match(output, /\/admin\/deposits/)
    assert.match(output, /a warning to see/)
    assert.doesNotMatch(output, /an ordinary line/)
    assert.match(readFileSync(join(directory, 'log/worker-1.log'), 'utf8'), /an ordinary line/)

    const answers = await Promise.all(Array.from({ length: 30 }, ask))
    assert.deepEqual([...new Set(answers.map(({ instance }) => instance))].sort(), [
      'gateway-1',
      'gateway-2',
      'gateway-3',
    ])
    const started = processes()
    assert.equal(started.length, 3 + 3 + 3 + 1)
    assert.equal(await mesh.end('SIGINT'), 0)
    for (const { name, pid } of started) assert.equal(isAlive(pid), false, name)
  })

  it('makes up the admin password once, in a file that only its owner reads', () => {
    assert.equal(statSync(join(directory, 'admin-password')).mode & 0o777, 0o600)
  })

  it('starts a dead service again within a second, and a dead server too', async () => {
    await using mesh = await start()
    assert.doesNotMatch(mesh.output(), /The admin is/, 'the password is shown at the first start only')
    for (const name of ['worker-1', 'redis', 'traefik']) {
      const { pid } = processNamed(name)
      process.kill(pid, 'SIGKILL')
      await mesh.until(new RegExp(`${name} +ended \\(SIGKILL\\)`), 1000)
      await mesh.until(new RegExp(`${name} +ready again`), 3000)
      assert.notEqual(processNamed(name).pid, pid)
    }
    const { pid } = await ask()
    await fetch(`http://127.0.0.1:${env.PUBLIC_PORT}/crash`, { method: 'POST' })
    await mesh.until(/gateway-1 +ended \(exit code 3\)/, 1000)
    await mesh.until(/gateway-1 +ready again/, 3000)
    await eventually(async () => assert.notEqual((await ask()).pid, pid))
  })

  it('keeps all data over starts, and tells npm run migrate where the database is', async () => {
    await using mesh = await start()
    const { mysqlUrl } = JSON.parse(readFileSync(join(directory, 'run/mesh.json'), 'utf8'))
    const connection = await createConnection(mysqlUrl)
    const [[row]] = await connection.query<RowDataPacket[]>('SELECT count(*) AS n FROM starts')
    await connection.end()
    assert.equal(row?.n, 3)
    assert.equal(await mesh.end('SIGTERM'), 0)
  })

  it('refuses a second start with one line while the first runs, which goes on', async () => {
    await using mesh = await start()
    const second = await startAndFail()
    assert.match(second, /✖ +It runs already \(process \d+/)
    assert.equal(second.trim().split('\n').length, 1)
    assert.equal((await ask()).instance, 'gateway-1')
    assert.equal(await mesh.end('SIGINT'), 0)
  })

  it('after a SIGKILL of the launcher nothing of it goes on, and the next start works', async () => {
    const stranger = spawn('sleep', ['100'])
    const killed = await start()
    const started = processes()
    const launcher = JSON.parse(readFileSync(join(directory, 'run/launcher.json'), 'utf8'))[0].pid
    process.kill(launcher, 'SIGKILL')
    await using mesh = await start()
    for (const { name, pid } of started) assert.equal(isAlive(pid), false, name)
    assert.equal((await ask()).instance, 'gateway-1')
    assert(isAlive(stranger.pid ?? 0))
    stranger.kill()
    await killed.end('SIGKILL')
    await mesh.end('SIGINT')
  })

  it('ends everything when its first stage is killed', async () => {
    await using mesh = await start()
    const started = processes()
    await mesh.end('SIGKILL')
    await eventually(() => {
      for (const { name, pid } of started) assert.equal(isAlive(pid), false, name)
    })
    await eventually(() => assert.throws(() => statSync(join(directory, 'run/launcher.json'))))
  })

  it('says which port is taken and by whom', async () => {
    const { server, port } = await listen()
    const output = await startAndFail([], { PUBLIC_PORT: `${port}` })
    assert.match(output, new RegExp(`✖ +Port ${port} is taken by .+ \\(process ${process.pid}\\)`))
    server.close()
  })

  it('refuses an outside server that is too old or not there', async () => {
    const { server, port } = await listen('INFO {"version":"2.9.10","jetstream":true,"max_payload":8388608}\r\n')
    assert.match(
      await startAndFail([], { NATS_URL: `nats://127.0.0.1:${port}` }),
      /✖ +NATS_URL: nats-server 2.9.10 is too old/,
    )
    server.close()
    const nowhere = `127.0.0.1:${await freePort()}`
    assert.match(
      await startAndFail([], { MYSQL_URL: `mysql://root@${nowhere}/exchange` }),
      new RegExp(`✖ +MYSQL_URL: nothing answers at ${nowhere}`),
    )
  })

  it('gives up on a service that dies again and again at its first start', async () => {
    const output = await startAndFail([], {}, 'launcher/fixtures/broken.ts')
    assert.match(output, /✖ +gateway-1 ended 5 times at its start \(exit code 1\)/)
    assert.match(output, /Cannot find module/)
  })

  const refusals: [string, string[], NodeJS.ProcessEnv, RegExp][] = [
    ['an unknown argument', ['--fast'], {}, /Unknown argument "--fast"/],
    ['an unknown service', ['--scale', 'gatway=2'], {}, /no service "gatway"; there are worker, owner, gateway/],
    ['a scale of 0', ['--scale', 'worker=0'], {}, /1 to 64 times, not 0/],
    ['a port that is none', [], { PUBLIC_PORT: '80a' }, /PUBLIC_PORT must be a whole number/],
    ['an unknown mode', [], { EXCHANGE_MODE: 'prod' }, /development or production, not "prod"/],
    ['production without a password', [], { EXCHANGE_MODE: 'production' }, /EXCHANGE_ADMIN_PASSWORD must be set/],
    ['a data directory that it cannot write', [], { EXCHANGE_DATA_DIR: '/dev/null/x' }, /Cannot write to \/dev\/null/],
    ['a sync interval that is none', [], { NATS_SYNC_INTERVAL: 'often' }, /"always" or a time like 2m/],
  ]
  for (const [what, args, extra, message] of refusals) {
    it(`refuses ${what}`, async () => {
      const output = await startAndFail(args, extra)
      assert.match(output, message)
      assert.equal(output.trim().split('\n').length, 1)
    })
  }

  it('explains itself', async () => {
    const help = launch(['--help'])
    assert.equal(await help.ended, 0)
    assert.match(help.output(), /--scale gateway=3 engine=2 orders=2/)
  })

  function launch(args: string[] = [], extra: NodeJS.ProcessEnv = {}, main = 'launcher/fixtures/main.ts'): Launched {
    return new Launched([main, ...args], { ...env, ...extra })
  }

  async function start(args: string[] = []): Promise<Launched> {
    const launched = launch(args)
    await launched.started()
    return launched
  }

  async function startAndFail(args: string[] = [], extra: NodeJS.ProcessEnv = {}, main?: string): Promise<string> {
    const launched = launch(args, extra, main)
    assert.equal(await launched.ended, 1, launched.output())
    return launched.output()
  }

  async function ask(): Promise<Answer> {
    return (await (await fetch(`http://127.0.0.1:${env.PUBLIC_PORT}/`)).json()) as Answer
  }

  function processes(): Marked[] {
    return JSON.parse(readFileSync(join(directory, 'run/processes.json'), 'utf8'))
  }

  function processNamed(name: string): Marked {
    const found = processes().find((one) => one.name === name)
    assert(found, name)
    return found
  }
})

function isAlive(pid: number): boolean {
  return processIdentity(pid) !== undefined
}

async function listen(greeting = ''): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.end(greeting))
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return { server, port }
}
