import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { NatsConnection } from '@nats-io/transport-node'
import { slotsFromEnv } from '#mesh/config.ts'
import { createPool, type Pool } from '#mesh/mysql.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { connectNats } from '#mesh/service.ts'
import { startMesh, type TestMesh } from '../../test/support/mesh.ts'
import { cpuUs } from '../support/cpu.ts'
import { fundMembers } from '../support/fund.ts'
import type { Report, Result, Task } from './generator.ts'
import { GIFT } from './workload.ts'

/** By the environment. One account slot where that says nothing: on two cores each further one only splits the batches. */
const SLOTS_ENV = { ACCOUNT_SLOTS: process.env.ACCOUNT_SLOTS ?? '1', MARKET_SLOTS: process.env.MARKET_SLOTS ?? '4' }
export const SLOTS = slotsFromEnv(SLOTS_ENV)
export const MEMBERS = 1_000

/** Orders that a member may send at once. */
const BURST_MIN = 10

export interface Address {
  readonly host: string
  readonly port: number
}

export const addressOf = (url: string): Address => {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}

/** The generator, and what the processes behind it use while it counts. */
export class Load implements AsyncDisposable {
  readonly #child: ChildProcess

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'generator.ts'), { serialization: 'advanced' })
  }

  /** Runs one task. `pids` names the processes whose CPU time is of interest. */
  async run(
    task: Task,
    pids: Readonly<Record<string, number>>,
    onCounting: () => void = () => {},
  ): Promise<Result & { readonly cpuUs: Record<string, number> }> {
    const all = { ...pids, generator: this.#child.pid ?? 0 }
    const read = (): [string, number][] => Object.entries(all).map(([name, pid]) => [name, cpuUs(pid)])
    let before = new Map<string, number>()
    let used: Record<string, number> = {}
    this.#child.send(task)
    for (;;) {
      const [report] = (await once(this.#child, 'message')) as [Report]
      switch (report.kind) {
        case 'counting':
          before = new Map(read())
          onCounting()
          break
        case 'counted':
          used = Object.fromEntries(read().map(([name, us]) => [name, us - (before.get(name) ?? 0)]))
          break
        case 'failed':
          throw new Error(`The load generator failed: ${report.message}`)
        case 'done':
          return { ...report.result, cpuUs: used }
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child)
  }
}

/** A bare Hapi server in a process of its own. */
export class Reference implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly address: Address

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.address = { host: '127.0.0.1', port }
  }

  static async start(bodyBytes: number): Promise<Reference> {
    const child = fork(join(import.meta.dirname, 'reference.ts'), [String(bodyBytes)])
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return new Reference(child, port)
  }

  get pids(): Record<string, number> {
    return { reference: this.#child.pid ?? 0 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill()
  await exited
}

/** The whole mesh on private servers, with members who have money. */
export class Exchange implements AsyncDisposable {
  /** For the services and servers that a benchmark adds. */
  readonly mesh: TestMesh
  readonly nats: NatsConnection
  readonly pool: Pool
  readonly tokens: readonly string[]
  /** The one who asks for more than he may. */
  readonly greedyToken: string
  readonly membersCount: number

  private constructor(mesh: TestMesh, nats: NatsConnection, pool: Pool, tokens: readonly string[]) {
    this.mesh = mesh
    this.nats = nats
    this.pool = pool
    this.tokens = tokens.slice(1)
    this.greedyToken = tokens[0] ?? ''
    this.membersCount = tokens.length
  }

  /** `more`: gateways, 2 by default, and settings of every process. */
  static async start(
    syncInterval: 'always' | '2m',
    more: { readonly gateways?: number; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<Exchange> {
    const mesh = await startMesh({
      syncInterval,
      scale: { gateway: more.gateways ?? 2 },
      env: { ...SLOTS_ENV, LOG_LEVEL: 'warn', RATE_TRADE: '100000:100000', ...more.env },
    })
    const nats = await connectNats(mesh.natsUrl, 'bench')
    const pool = createPool(mesh.mysqlUrl, { connectionsMax: 2 })
    // As large as the launcher makes them.
    await pool.query('SET GLOBAL innodb_log_file_size = 100663296')
    await pool.query('SET GLOBAL innodb_buffer_pool_size = 268435456')
    const members = await seedMembers(nats, { count: MEMBERS + 1, lifetimeS: 86_400 })
    const memberIds = members.map(({ memberId }) => memberId)
    await fundMembers(nats, { accountSlots: SLOTS.accountSlots, memberIds, gift: GIFT })
    return new Exchange(
      mesh,
      nats,
      pool,
      members.map(({ accessToken }) => accessToken),
    )
  }

  get mysqlUrl(): string {
    return this.mesh.mysqlUrl
  }

  readonly accountSlots = SLOTS.accountSlots

  addresses(gateways: number): Address[] {
    return this.mesh.urls.slice(0, gateways).map(addressOf)
  }

  /** Gateways that let a member send so many orders per second. */
  async limitRate(perSecond: number): Promise<void> {
    for (const name of ['gateway', 'gateway-2']) {
      const { env } = this.mesh.process(name).spec
      if (env !== undefined) env.RATE_TRADE = `${perSecond}:${Math.max(perSecond, BURST_MIN)}`
      await this.mesh.restart(name)
    }
  }

  pids(gateways: 1 | 2): Record<string, number> {
    const { nats, mariadb, redis } = this.mesh.servers
    const pidOf = (name: string): number => this.mesh.process(name).pid ?? 0
    return {
      gateway: pidOf('gateway'),
      ...(gateways === 2 ? { 'gateway-2': pidOf('gateway-2') } : {}),
      accounts: pidOf('accounts'),
      engine: pidOf('engine'),
      orders: pidOf('orders'),
      guid: pidOf('guid'),
      auth: pidOf('auth'),
      'nats-server': nats.pid ?? 0,
      mariadb: mariadb.pid ?? 0,
      redis: redis.pid ?? 0,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end()
    await this.nats.close()
    await this.mesh.stop()
  }
}
