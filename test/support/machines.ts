import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type OwnedProcess, startProcess } from '#launcher/servers/child-process.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import { type CommandPublisher, createCommandPublisher } from '#mesh/commands.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { EVENTS_STREAM, Log, STREAM_OF_LOG, slotReadSubject } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { Trading } from '#services/audit/testing/trading.ts'

/** Commands that travel as one message. */
const TOGETHER = 8

export const SHAPE = { accountSlots: 2, marketSlots: 2 } as const

export interface HealthReport {
  readonly ready: boolean
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail?: unknown }>>
}

/** The two services that have a log, as processes on a real bus, without edges and without MySQL. */
export class TestMachines implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'exchange-machines-'))
  readonly snapshotDirectory = join(this.directory, 'snapshots')
  readonly bus: Awaited<ReturnType<typeof startNats>>
  readonly nats: NatsConnection
  readonly trading: Trading
  readonly #publisher: CommandPublisher
  readonly #env: Readonly<Record<string, string>>
  readonly #processes = new Map<string, { readonly owned: OwnedProcess; readonly url: string; readonly log: string }>()
  readonly #orders: { readonly slot: number; readonly memberId: number; readonly orderId: number }[] = []
  #nextId = 2 ** 51

  private constructor(
    bus: Awaited<ReturnType<typeof startNats>>,
    nats: NatsConnection,
    env: Readonly<Record<string, string>>,
  ) {
    this.bus = bus
    this.nats = nats
    this.#publisher = createCommandPublisher(nats)
    this.#env = env
    const nextId = (): number => this.#nextId++
    this.trading = new Trading({ seed: 7, members: 12, accountSlots: SHAPE.accountSlots, nextId })
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<TestMachines> {
    const bus = await startNats()
    const machines = new TestMachines(bus, await connectNats(bus.url, 'test'), env)
    try {
      await Promise.all([machines.add('accounts'), machines.add('engine')])
      await machines.settled()
      await machines.append(machines.trading.opening())
      return machines
    } catch (error) {
      await machines[Symbol.asyncDispose]()
      throw error
    }
  }

  async add(
    service: 'accounts' | 'engine' | 'orders' | 'archive',
    name: string = service,
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const url = `http://${loopback}:${await freePort()}`
    const log = join(this.directory, `${name}.log`)
    const owned = await startProcess({
      name,
      command: process.execPath,
      args: [join(import.meta.dirname, '..', '..', 'services', service, 'main.ts')],
      env: {
        ...process.env,
        NATS_URL: this.bus.url,
        ACCOUNT_SLOTS: String(SHAPE.accountSlots),
        MARKET_SLOTS: String(SHAPE.marketSlots),
        SNAPSHOT_DIR: this.snapshotDirectory,
        INSTANCE_ID: name,
        HEALTH_PORT: new URL(url).port,
        LOG_LEVEL: 'info',
        ...this.#env,
        ...env,
      },
      output: { file: log },
      isReady: async () => (await this.#health(url).catch(() => undefined))?.ready === true,
      readyTimeoutMs: 60_000,
      stopTimeoutMs: 10_000,
    })
    this.#processes.set(name, { owned, url, log })
  }

  process(name: string): OwnedProcess {
    return this.#of(name).owned
  }

  /** kill -9, and a new start. */
  async restart(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.process(name).kill()))
    await Promise.all(names.map((name) => this.process(name).start()))
  }

  health(name: string): Promise<HealthReport> {
    return this.#health(this.#of(name).url)
  }

  /** Lines that the process has logged, all its runs together. */
  logged(name: string): Record<string, unknown>[] {
    const lines = readFileSync(this.#of(name).log, 'utf8').split('\n')
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  async append(commands: ReturnType<Trading['opening']>): Promise<void> {
    for (const { slot, command } of commands) {
      const { type, memberId, commandId: orderId } = command
      if (type === 'PlaceOrder') this.#orders.push({ slot, memberId, orderId })
    }
    for (let from = 0; from < commands.length; from += TOGETHER) {
      const together = commands.slice(from, from + TOGETHER)
      await Promise.all(together.map(({ slot, command }) => this.#publisher.append(Log.accounts, slot, command)))
    }
    await this.settled()
  }

  trade(count: number): Promise<void> {
    return this.append(Array.from({ length: count }, () => this.trading.next()))
  }

  /** Until nothing has been stored anywhere for a while. */
  async settled(): Promise<void> {
    const { streams } = await jetstreamManager(this.nats)
    const ends = async (): Promise<string> => {
      const infos = [...Object.values(STREAM_OF_LOG), EVENTS_STREAM].map((name) => streams.info(name))
      return (await Promise.all(infos)).map(({ state }) => state.last_seq).join()
    }
    for (let last = ''; ; ) {
      const now = await ends()
      if (now === last) return
      last = now
      await sleep(400)
    }
  }

  /** Everything that the owners answer from memory. */
  async reads(): Promise<unknown> {
    const answers: unknown[] = []
    for (const memberId of this.trading.memberIds) {
      const slot = accountSlotOf(memberId, SHAPE.accountSlots)
      for (const read of ['balances', 'openOrders'])
        answers.push(await this.read(Log.accounts, slot, { read, memberId }))
    }
    for (const { slot, memberId, orderId } of this.#orders) {
      answers.push(await this.read(Log.accounts, slot, { read: 'order', memberId, orderId }))
    }
    for (const [slot, instruments] of [['BTC-USDT', 'ETH-BTC'], ['ETH-USDT']].entries()) {
      for (const instrument of instruments) {
        answers.push(await this.read(Log.markets, slot, { read: 'orderbook', instrument, levelsMax: 100 }))
        answers.push(await this.read(Log.markets, slot, { read: 'trades', instrument, tradesMax: 1000 }))
      }
    }
    return answers
  }

  /** Asks until the slot has an owner. */
  async read(log: Log, slot: number, request: object): Promise<unknown> {
    for (;;) {
      try {
        return await callRpc(this.nats, slotReadSubject(log, slot), request, 5_000)
      } catch (error) {
        if (!(error instanceof RpcError) || error.code !== 'service_unavailable') throw error
        await sleep(50)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#processes.values()].map(({ owned }) => owned.kill()))
    await this.nats.close()
    await this.bus.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #health(url: string): Promise<HealthReport> {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2_000) })
    return (await response.json()) as HealthReport
  }

  #of(name: string) {
    const found = this.#processes.get(name)
    if (found === undefined) throw new Error(`There is no process ${name}.`)
    return found
  }
}
