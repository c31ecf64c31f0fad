import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { startNatsServers, type TestNatsCluster } from '#mesh/testing/servers.ts'
import { Client } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from '../support/mesh.ts'
import { SteadyLoad } from '../support/steady-load.ts'

/** How long after a fault the flow has to go on, on the slowest machine. */
const FLOWS_MS_MAX = 60_000

/** The whole mesh on three nats-servers of its own, under load; the server that leads is killed or cut off. */
export class ClusterScenario implements AsyncDisposable {
  readonly #cluster: TestNatsCluster
  readonly #mesh: TestMesh
  readonly #nats: NatsConnection
  readonly #load: SteadyLoad
  readonly #perSecond: number

  private constructor(
    cluster: TestNatsCluster,
    mesh: TestMesh,
    nats: NatsConnection,
    load: SteadyLoad,
    perSecond: number,
  ) {
    this.#cluster = cluster
    this.#mesh = mesh
    this.#nats = nats
    this.#load = load
    this.#perSecond = perSecond
  }

  static async start(options: { readonly perSecond: number; readonly syncInterval: 'always' | '2m' }) {
    await using stack = new AsyncDisposableStack()
    const { syncInterval, perSecond } = options
    const cluster = await startNatsServers({ syncInterval })
    stack.defer(() => cluster.stop())
    const env = { NATS_REPLICAS: '3', PASSWORD_COST_LOG2: '10', RATE_TRADE: '1000:1000', RATE_READ: '1000:1000' }
    const mesh = stack.use(await startMesh({ natsUrl: cluster.url, env }))
    const nats = await connectTo(mesh)
    stack.defer(() => nats.close())
    const load = await SteadyLoad.start(nats, new Client(mesh.urls), mesh.admin, perSecond)
    await sleep(1_000)
    stack.move()
    return new ClusterScenario(cluster, mesh, nats, load, perSecond)
  }

  /** The names of all streams, buckets among them, with the number of their copies. */
  async copies(): Promise<ReadonlyMap<string, number>> {
    const { streams } = await jetstreamManager(this.#nats)
    const copies = new Map<string, number>()
    for await (const { config } of streams.list()) copies.set(config.name, config.num_replicas)
    return copies
  }

  /** SIGKILL, and back when the flow goes on. @returns the longest time without a new order, in milliseconds. */
  async kill(): Promise<number> {
    const server = await this.#leader()
    return await this.#during(
      () => server.kill(),
      () => server.start(),
    )
  }

  /** Nothing goes in or out, and nobody is told; then it is there again, and takes itself for the leader. */
  async cutOff(): Promise<number> {
    const server = await this.#leader()
    const pid = server.pid ?? 0
    return await this.#during(
      async () => void process.kill(pid, 'SIGSTOP'),
      async () => void process.kill(pid, 'SIGCONT'),
    )
  }

  /** Ends the load and holds what was answered against MySQL and the logs. @returns how many orders were accepted. */
  async audit(): Promise<number> {
    await this.#load.stop()
    return (await this.#load.check(this.#mesh)).accepted
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load.stop()
    await this.#nats.close()
    await this.#mesh.stop()
    await this.#cluster.stop()
  }

  async #during(begin: () => Promise<void>, end: () => Promise<void>): Promise<number> {
    const fromMs = performance.now()
    await begin()
    try {
      await this.#untilItFlows(fromMs + 500)
    } finally {
      await end()
    }
    await this.#untilAllAreCurrent()
    await this.#untilItFlows(performance.now())
    return this.#load.longestPauseMs(fromMs, performance.now())
  }

  async #leader() {
    const { streams } = await jetstreamManager(this.#nats)
    const leader = (await streams.info('ACCOUNTS')).cluster?.leader
    const server = this.#cluster.servers.find(({ spec }) => spec.name === leader)
    assert(server, `${leader} leads`)
    return server
  }

  /** Until about a second's worth of orders that were sent since is accepted. */
  async #untilItFlows(sinceMs: number): Promise<void> {
    await eventually(() => {
      const { length } = this.#load.answered.filter(
        ({ what, status, sentAtMs }) => what === 'order' && status === 201 && sentAtMs > sinceMs,
      )
      assert(length > this.#perSecond / 2, `${length} orders; ${this.#load.failures().join('; ')}`)
    }, FLOWS_MS_MAX)
  }

  async #untilAllAreCurrent(): Promise<void> {
    await eventually(async () => {
      const { streams } = await jetstreamManager(this.#nats, { timeout: 1_000 })
      for await (const { config, cluster } of streams.list()) {
        assert.equal(cluster?.replicas?.length, 2, config.name)
        for (const { name, current } of cluster?.replicas ?? []) assert(current, `${config.name} on ${name}`)
      }
    }, FLOWS_MS_MAX)
  }
}
