/**
 * How fast slots are back: states into a file and back; the folds alone; a replay of the whole log through the bus; a recovery from snapshots. And what taking
 * a snapshot does to the owner of the slot meanwhile.
 *
 *     npm run bench:recovery [-- --quick] [--resting N] [--trading N]
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type OwnedProcess, startProcess } from '#launcher/servers/child-process.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import type { TakenSnapshot } from '#mesh/machine/snapshots/take.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { createStore } from '#mesh/store.ts'
import { commandSubject, EVENTS_STREAM, Log, STREAM_OF_LOG, slotSnapshotSubject } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { measureFolds } from './folds.ts'
import { orderMessages } from './orders.ts'
import { measureStates } from './states.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    resting: { type: 'string' },
    trading: { type: 'string' },
  },
})
const resting = Number(values.resting ?? (values.quick ? 20_000 : 1_000_000))
const trading = Number(values.trading ?? (values.quick ? 20_000 : 200_000))

/** Messages that are on their way at once. */
const AT_ONCE = 64
const SLOT_RECOVERED = 'slot recovered from its log'
const CALM_MS = values.quick ? 1_000 : 5_000
const SERVICES = [
  { name: 'accounts', log: Log.accounts },
  { name: 'engine', log: Log.markets },
] as const

interface Running {
  readonly owned: OwnedProcess
  readonly path: string
}

const directory = mkdtempSync(join(tmpdir(), 'exchange-bench-'))
const server = await startNats()
const nats = await connectNats(server.url, 'bench')
const running = new Map<string, Running>()
try {
  const states = await measureStates(resting)
  console.log('One slot of each kind with so many resting orders, in milliseconds of the thread that does it:')
  console.table(states)
  const folds = measureFolds(values.quick ? 20_000 : 100_000, values.quick ? 2 : 4)
  for (const { name } of SERVICES) running.set(name, await start(name))
  const loadSeconds = await load()
  const result: Record<string, Record<string, number>> = {}
  for (const { name, log } of SERVICES) {
    const replay = await recover(name)
    const calm = await loopDelay(name, () => sleep(CALM_MS))
    let taken: TakenSnapshot | undefined
    const busy = await loopDelay(name, async () => {
      taken = await callRpc<TakenSnapshot>(nats, slotSnapshotSubject(log, 0), {}, 600_000)
    })
    const snapshot = await recover(name)
    result[name] = {
      ...states[name],
      foldOrdersPerSecond: Math.round(folds[log]),
      replayOrdersPerSecond: Math.round(((resting + trading) * 1000) / replay),
      replayMs: replay,
      snapshotTakenMs: taken?.ms ?? 0,
      snapshotMb: Math.round((taken?.bytes ?? 0) / 1e5) / 10,
      recoveryFromSnapshotMs: snapshot,
      longestPauseMsCalm: round(calm.maxMs),
      longestPauseMsWhileTaken: round(busy.maxMs),
    }
  }
  console.table(result)
  const settings = { resting, trading, loadSeconds: round(loadSeconds), node: process.version }
  console.log(JSON.stringify({ bench: 'recovery', cores: availableParallelism(), settings, result }))
} finally {
  await Promise.all([...running.values()].map(({ owned }) => owned.kill()))
  await nats.close()
  await server.stop()
  rmSync(directory, { recursive: true, force: true })
}

async function start(name: string): Promise<Running> {
  const port = await freePort()
  const path = join(directory, `${name}.log`)
  const here = import.meta.dirname
  const owned = await startProcess({
    name,
    command: process.execPath,
    args: ['--import', join(here, 'loop-delay.ts'), join(here, '..', '..', 'services', name, 'main.ts')],
    env: {
      ...process.env,
      NATS_URL: server.url,
      ACCOUNT_SLOTS: '1',
      MARKET_SLOTS: '1',
      SNAPSHOT_DIR: join(directory, 'snapshots'),
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
  return { owned, path }
}

/** Gives the slots their orders, through the bus, and waits until all of it is done. Returns seconds. */
async function load(): Promise<number> {
  const beganMs = performance.now()
  const store = createStore(nats, 60_000)
  await settled(nats, 1)
  const underWay = new Set<Promise<unknown>>()
  for (const commands of orderMessages({ resting, trading })) {
    const text = commands.map((command) => JSON.stringify(command)).join('\n')
    const stored = store.append(commandSubject(Log.accounts, 0), text).finally(() => underWay.delete(stored))
    underWay.add(stored)
    if (underWay.size >= AT_ONCE) await Promise.race(underWay)
  }
  await Promise.all(underWay)
  await settled(nats, 3)
  return (performance.now() - beganMs) / 1000
}

/** Until nothing was stored for so many looks. */
async function settled(connection: NatsConnection, looks: number): Promise<void> {
  const { streams } = await jetstreamManager(connection)
  let last = ''
  for (let same = 0; same < looks; ) {
    await sleep(500)
    const infos = [...Object.values(STREAM_OF_LOG), EVENTS_STREAM].map((stream) => streams.info(stream))
    const now = (await Promise.all(infos)).map(({ state }) => state.last_seq).join()
    same = now === last ? same + 1 : 0
    last = now
  }
}

/** Kills the service and starts it again. Returns how long its slot has taken to be as it was, in milliseconds. */
async function recover(name: string): Promise<number> {
  const { owned, path } = of(name)
  await owned.kill()
  const from = statSync(path).size
  await owned.start()
  const line = linesOf(path, from).find(
    ({ msg, slot }) => msg === SLOT_RECOVERED && String(slot).endsWith('-0') && !String(slot).startsWith('definitions'),
  )
  return Number(line?.ms)
}

async function loopDelay(name: string, meanwhile: () => Promise<unknown>): Promise<{ readonly maxMs: number }> {
  const { owned, path } = of(name)
  const ask = async (): Promise<{ readonly maxMs: number }> => {
    const from = statSync(path).size
    if (owned.pid !== undefined) process.kill(owned.pid, 'SIGUSR2')
    for (;;) {
      const line = linesOf(path, from).find((each) => 'loopDelay' in each)
      if (line !== undefined) return line.loopDelay as { readonly maxMs: number }
      await sleep(20)
    }
  }
  await ask()
  await meanwhile()
  return await ask()
}

function linesOf(path: string, from: number): Record<string, unknown>[] {
  const lines = readFileSync(path).subarray(from).toString('utf8').split('\n')
  return lines
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

function of(name: string): Running {
  const found = running.get(name)
  if (found === undefined) throw new Error(`${name} does not run`)
  return found
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
