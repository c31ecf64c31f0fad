import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type OwnedProcess, startProcess } from '#launcher/servers/child-process.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import { encodeLine } from '#mesh/protocol/compact.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { createStore } from '#mesh/store.ts'
import { commandSubject, EVENTS_STREAM, Log, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'

/** Messages that are on their way at once. */
const AT_ONCE = 64
const SLOT_RECOVERED = 'slot recovered from its log'
const SLOT_ACQUIRED = 'slot acquired'
const LOOK_MS = 20

export type ServiceName = 'accounts' | 'engine'

interface Running {
  readonly service: ServiceName
  readonly owned: OwnedProcess
  readonly path: string
}

type LogLine = Record<string, unknown>

/** A nats-server and some instances of accounts and engine, with logs that can be read. */
export class RecoveryMesh implements AsyncDisposable {
  readonly nats: NatsConnection
  readonly #server: Awaited<ReturnType<typeof startNats>>
  readonly #slots: number
  readonly #directory = mkdtempSync(join(tmpdir(), 'exchange-bench-'))
  readonly #running = new Map<string, Running>()

  private constructor(server: Awaited<ReturnType<typeof startNats>>, nats: NatsConnection, slots: number) {
    this.#server = server
    this.nats = nats
    this.#slots = slots
  }

  /** `slots`: of accounts and of engine each. */
  static async start(slots: number): Promise<RecoveryMesh> {
    const server = await startNats()
    return new RecoveryMesh(server, await connectNats(server.url, 'bench'), slots)
  }

  /** Instances are called `accounts-1`, `accounts-2`, …; resolves when they are ready. */
  async add(service: ServiceName, instances: number): Promise<void> {
    for (let number = 1; number <= instances; number++) {
      const name = `${service}-${number}`
      this.#running.set(name, await this.#spawn(service, name))
    }
  }

  async #spawn(service: ServiceName, name: string): Promise<Running> {
    const port = await freePort()
    const path = join(this.#directory, `${name}.log`)
    const here = import.meta.dirname
    const owned = await startProcess({
      name,
      command: process.execPath,
      args: ['--import', join(here, 'loop-delay.ts'), join(here, '..', '..', 'services', service, 'main.ts')],
      env: {
        ...process.env,
        NATS_URL: this.#server.url,
        ACCOUNT_SLOTS: String(this.#slots),
        MARKET_SLOTS: String(this.#slots),
        SNAPSHOT_DIR: join(this.#directory, 'snapshots', name),
        // Only those that are asked for.
        SNAPSHOT_ITEMS: '1000000000',
        SNAPSHOT_SECONDS: '31536000',
        INSTANCE_ID: name,
        HEALTH_PORT: String(port),
        LOG_LEVEL: 'info',
      },
      output: { file: path },
      isReady: async () => {
        const response = await fetch(`http://${loopback}:${port}/health/ready`).catch(() => undefined)
        return response?.ok === true
      },
      readyTimeoutMs: 600_000,
      stopTimeoutMs: 10_000,
    })
    return { service, owned, path }
  }

  /** Gives the account slots these commands, through the bus, and waits until all of it is done. Returns seconds. */
  async load(messages: Iterable<readonly AccountEdgeCommand[]>): Promise<number> {
    const beganMs = performance.now()
    const store = createStore(this.nats, 60_000)
    await this.#settled(1)
    const underWay = new Set<Promise<unknown>>()
    for (const commands of messages) {
      for (const [slot, ofSlot] of Map.groupBy(commands, ({ memberId }) => accountSlotOf(memberId, this.#slots))) {
        const text = ofSlot.map(encodeLine).join('\n')
        const stored = store.append(commandSubject(Log.accounts, slot), text).finally(() => underWay.delete(stored))
        underWay.add(stored)
        if (underWay.size >= AT_ONCE) await Promise.race(underWay)
      }
    }
    await Promise.all(underWay)
    await this.#settled(3)
    return (performance.now() - beganMs) / 1000
  }

  /** Until nothing was stored for so many looks. */
  async #settled(looks: number): Promise<void> {
    const { streams } = await jetstreamManager(this.nats)
    let last = ''
    for (let same = 0; same < looks; ) {
      await sleep(500)
      const infos = [...Object.values(STREAM_OF_LOG), EVENTS_STREAM].map((stream) => streams.info(stream))
      const now = (await Promise.all(infos)).map(({ state }) => state.last_seq).join()
      same = now === last ? same + 1 : 0
      last = now
    }
  }

  /**
   * Kills all instances of the service and starts them again, together. Returns the milliseconds from the beginning of the first
   * recovery until every slot of its log has an owner again.
   */
  async recover(service: ServiceName): Promise<number> {
    const log = service === 'engine' ? Log.markets : Log.accounts
    const instances = [...this.#running.values()].filter((each) => each.service === service)
    await Promise.all(instances.map(({ owned }) => owned.kill()))
    const from = new Map(instances.map(({ path }) => [path, statSync(path).size]))
    await Promise.all(instances.map(({ owned }) => owned.start()))
    const isOfLog = ({ slot }: LogLine): boolean => String(slot).startsWith(`${log}-`)
    const lines = instances.flatMap(({ path }) => linesOf(path, from.get(path) ?? 0)).filter(isOfLog)
    const begun = lines.filter(({ msg }) => msg === SLOT_RECOVERED).map(({ time, ms }) => Number(time) - Number(ms))
    const acquired = Map.groupBy(
      lines.filter(({ msg }) => msg === SLOT_ACQUIRED),
      ({ slot }) => slot,
    )
    if (acquired.size !== this.#slots) throw new Error(`${acquired.size} of ${this.#slots} slots have an owner again.`)
    const owned = [...acquired.values()].map((ofSlot) => Math.min(...ofSlot.map(({ time }) => Number(time))))
    return Math.max(...owned) - Math.min(...begun)
  }

  /** The longest time that the event loop of the service's only instance stands still meanwhile, in milliseconds. */
  async longestPause(service: ServiceName, meanwhile: () => Promise<unknown>): Promise<number> {
    const [running] = [...this.#running.values()].filter((each) => each.service === service)
    if (running === undefined) throw new Error(`${service} does not run.`)
    const { owned, path } = running
    const ask = async (): Promise<number> => {
      const from = statSync(path).size
      if (owned.pid !== undefined) process.kill(owned.pid, 'SIGUSR2')
      for (;;) {
        const line = linesOf(path, from).find((each) => 'loopDelay' in each)
        if (line !== undefined) return (line.loopDelay as { maxMs: number }).maxMs
        await sleep(LOOK_MS)
      }
    }
    await ask()
    await meanwhile()
    return await ask()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ owned }) => owned.kill()))
    await this.nats.close()
    await this.#server.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function linesOf(path: string, from: number): LogLine[] {
  const lines = readFileSync(path).subarray(from).toString('utf8').split('\n')
  return lines.filter((line) => line.startsWith('{') && line.endsWith('}')).map((line) => JSON.parse(line) as LogLine)
}
