import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { createPool, type Pool } from '#mesh/mysql.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import type { RegisterReply, SessionReply } from '#mesh/protocol/auth.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { Rpc, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { startMariadb, startNats } from '#mesh/testing/servers.ts'
import { createTokenVerifier, type TokenVerifier } from '#mesh/tokens.ts'

/** guid and auth as processes of their own on private servers, and a gateway's view of them. */
export interface AuthMesh {
  readonly nats: NatsConnection
  readonly pool: Pool
  readonly verifier: TokenVerifier
  readonly natsServer: Awaited<ReturnType<typeof startNats>>
  readonly mariadb: Awaited<ReturnType<typeof startMariadb>>
  readonly mysqlUrl: string
  /** What the service's process wrote. */
  readonly output: string[]
  start(name: 'guid' | 'auth', env?: Record<string, string>): ChildProcess
  ask<Reply>(subject: string, request: object, timeoutMs?: number): Promise<Reply>
  /** What a member's account was sent. */
  commands(memberId: number): Promise<AccountEdgeCommand[]>
  stop(): Promise<void>
}

export const ADMIN = { email: 'boss@example.com', password: 'a long password' }
/** The least that is allowed, for speed. */
const QUICK_HASHES = { PASSWORD_COST_LOG2: '10' }

export async function startAuthMesh(authInstances: number, env: Record<string, string> = {}): Promise<AuthMesh> {
  const [natsServer, mariadb] = await Promise.all([startNats(), startMariadb()])
  const nats = await connectNats(natsServer.url, 'test')
  const pool = createPool(mariadb.url)
  const verifier = createTokenVerifier({ nats, log: pino({ level: 'silent' }) })
  const children: ChildProcess[] = []
  const output: string[] = []
  const mesh: AuthMesh = {
    nats,
    pool,
    verifier,
    natsServer,
    mariadb,
    mysqlUrl: mariadb.url,
    output,
    start(name, more = {}) {
      const main = new URL(`../${name}/main.ts`, import.meta.url).pathname
      const child = spawn(process.execPath, [main], {
        env: {
          ...process.env,
          NATS_URL: natsServer.url,
          MYSQL_URL: mariadb.url,
          LOG_LEVEL: 'error',
          EXCHANGE_ADMIN_EMAIL: ADMIN.email,
          EXCHANGE_ADMIN_PASSWORD: ADMIN.password,
          ...QUICK_HASHES,
          ...env,
          ...more,
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      child.stdout?.setEncoding('utf8').on('data', (text: string) => output.push(text))
      children.push(child)
      return child
    },
    ask: (subject, request, timeoutMs = 10_000) => callRpc(nats, subject, request, timeoutMs),
    async commands(memberId) {
      const all = await readStream(nats, STREAM_OF_LOG.accounts)
      return all
        .flatMap((text) => text.split('\n'))
        .map((line) => JSON.parse(line) as AccountEdgeCommand)
        .filter((command) => command.memberId === memberId)
    },
    async stop() {
      for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
      verifier.close()
      await pool.end()
      await nats.close()
      await Promise.all([natsServer.stop(), mariadb.stop()])
    },
  }
  mesh.start('guid')
  for (let index = 0; index < authInstances; index++) mesh.start('auth')
  if (authInstances > 0) await ready(mesh)
  return mesh
}

/** When the tokens that auth gives out are good at the edge. */
export async function ready(mesh: AuthMesh): Promise<void> {
  await eventually(async () => {
    const { accessToken } = await mesh.ask<SessionReply>(Rpc.authLogin, ADMIN)
    return !('code' in mesh.verifier.verify(accessToken))
  }, 30_000)
}

export async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'exit')
  return child.exitCode
}

export type NewMember = SessionReply & { readonly login: { readonly email: string; readonly password: string } }

let people = 0
/** Somebody new, registered and logged in. */
export async function newMember(mesh: AuthMesh): Promise<NewMember> {
  people += 1
  const login = { email: `member${people}@example.com`, password: `password of ${people}` }
  await mesh.ask<RegisterReply>(Rpc.authRegister, login)
  return { login, ...(await mesh.ask<SessionReply>(Rpc.authLogin, login)) }
}

export async function eventually(condition: () => Promise<boolean> | boolean, msMax = 5_000): Promise<void> {
  const deadlineMs = performance.now() + msMax
  for (;;) {
    let last: unknown = 'false'
    try {
      if (await condition()) return
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      last = error
    }
    if (performance.now() > deadlineMs) throw new Error(`Not within ${msMax} ms: ${String(last)}`)
    await sleep(20)
  }
}

async function readStream(nats: NatsConnection, stream: string): Promise<string[]> {
  const js = jetstream(nats)
  const manager = await js.jetstreamManager()
  const { state } = await manager.streams.info(stream)
  const texts: string[] = []
  for (let sequence = state.first_seq; sequence <= state.last_seq && state.messages > 0; sequence++) {
    const message = await manager.streams.getMessage(stream, { seq: sequence })
    if (message !== null) texts.push(message.string())
  }
  return texts
}
