import { setTimeout as sleep } from 'node:timers/promises'
import type { OwnedProcess } from '#launcher/servers/child-process.ts'
import { startTraefik } from '#mesh/testing/servers.ts'
import { startMesh, type TestMesh, type TestMeshOptions } from './mesh.ts'

/** A whole mesh behind Traefik whose processes and servers are started again when they die, as `npm start` does it. */
export interface SupervisedMesh extends AsyncDisposable {
  readonly mesh: TestMesh
  /** Traefik's. */
  readonly url: string
  /** Services and servers by name: `accounts`, `accounts-2`, `nats`. */
  readonly processes: ReadonlyMap<string, OwnedProcess>
  process(name: string): OwnedProcess
  /** From here on nobody starts it again. */
  leaveAlone(name: string): void
  /** And from here on it is started again when it dies. */
  lookAfter(name: string): void
  /** A process of the test's own, which ends with the mesh. */
  adopt(name: string, owned: OwnedProcess): void
  /** How often each was started again. */
  readonly restarts: ReadonlyMap<string, number>
}

export interface SupervisedOptions extends TestMeshOptions {
  /** Instances by service. */
  readonly scale: Readonly<Record<string, number>>
}

const SERVERS = ['nats', 'mariadb', 'redis'] as const
const READY_MS_MAX = 30_000
const QUICK_DEATH_MS = 5_000
const BACKOFF_MS = 250

export async function startSupervised(options: SupervisedOptions): Promise<SupervisedMesh> {
  const mesh = await startMesh(options)
  const traefik = await startTraefik(mesh.urls).catch(async (error: unknown) => {
    await mesh.stop()
    throw error
  })
  const processes = new Map<string, OwnedProcess>([['traefik', traefik]])
  for (const name of SERVERS) processes.set(name, mesh.servers[name])
  for (const [service, count] of Object.entries(options.scale)) {
    for (let number = 1; number <= count; number++) {
      const name = number === 1 ? service : `${service}-${number}`
      processes.set(name, mesh.process(name))
    }
  }
  const adopted: OwnedProcess[] = []
  const watched = new Map<string, AbortController>()
  const restarts = new Map<string, number>()
  const processNamed = (name: string): OwnedProcess => {
    const owned = processes.get(name) ?? mesh.process(name)
    processes.set(name, owned)
    return owned
  }
  const leaveAlone = (name: string): void => watched.get(name)?.abort()
  const lookAfter = (name: string): void => {
    const over = new AbortController()
    watched.set(name, over)
    void keepRunning(processNamed(name), over.signal, () => restarts.set(name, (restarts.get(name) ?? 0) + 1))
  }
  for (const name of processes.keys()) lookAfter(name)
  const stop = async (): Promise<void> => {
    for (const [name, owned] of processes) {
      leaveAlone(name)
      signal(owned, 'SIGCONT')
    }
    for (const owned of adopted) await owned.kill()
    await traefik.stop()
    await mesh.stop()
  }
  await untilAnswers(`${traefik.url}/health/ready`)
  return {
    mesh,
    url: traefik.url,
    processes,
    process: processNamed,
    leaveAlone,
    lookAfter,
    adopt: (name, owned) => {
      adopted.push(owned)
      processes.set(name, owned)
    },
    restarts,
    [Symbol.asyncDispose]: stop,
  }
}

export function signal(owned: OwnedProcess, name: NodeJS.Signals): void {
  if (owned.pid !== undefined) process.kill(owned.pid, name)
}

async function untilAnswers(url: string): Promise<void> {
  const deadlineMs = performance.now() + READY_MS_MAX
  for (;;) {
    const isOk = await fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isOk) return
    if (performance.now() > deadlineMs) throw new Error(`${url} does not answer.`)
    await sleep(50)
  }
}

/** Starts it again when it dies: at once, and more slowly when it dies at its start again and again. */
async function keepRunning(owned: OwnedProcess, over: AbortSignal, onRestart: () => void): Promise<void> {
  for (let quickDeaths = 0; ; ) {
    const startedMs = performance.now()
    await owned.exited
    quickDeaths = performance.now() - startedMs < QUICK_DEATH_MS ? quickDeaths + 1 : 0
    if (quickDeaths > 1) await sleep(BACKOFF_MS * quickDeaths, undefined, { signal: over }).catch(() => {})
    if (over.aborted) return
    onRestart()
    owned.spawn()
  }
}
