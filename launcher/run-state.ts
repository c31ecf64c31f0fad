import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PreflightError } from './errors.ts'

const stopMsMax = 20_000

/** A process that cannot be taken for a later one with the same id. */
type Mark = { name: string; pid: number; identity: string }

/** What the running launcher tells other commands: `npm run migrate` needs the database's address, `npm run seed` the bus's. */
export type RunningMesh = {
  mysqlUrl: string
  natsUrl: string
  nkeyDirectory: string | undefined
  publicUrl: string
  archiveDirectory: string | undefined
}

/** Knows, over the launcher's own death, which processes it started: `run/` in the data directory. */
export class RunState implements Disposable {
  readonly #lockPath: string
  readonly #processesPath: string
  readonly #meshPath: string
  readonly #metricsPath: string

  /** @throws PreflightError when another launcher uses this data directory. */
  constructor(dataDirectory: string) {
    const directory = join(dataDirectory, 'run')
    mkdirSync(directory, { recursive: true })
    this.#lockPath = join(directory, 'launcher.json')
    this.#processesPath = join(directory, 'processes.json')
    this.#meshPath = join(directory, 'mesh.json')
    this.#metricsPath = join(directory, 'prometheus.json')
    this.#lock(dataDirectory)
  }

  /** Ends what an earlier launcher left behind when it was killed, and nothing else. */
  async endLeftovers(say: (name: string) => void): Promise<void> {
    const left = readMarks(this.#processesPath).filter(isSame)
    for (const { name, pid } of left) {
      say(name)
      signal(pid, 'SIGTERM')
    }
    const deadlineMs = performance.now() + stopMsMax
    while (left.some(isSame)) {
      if (performance.now() > deadlineMs) for (const one of left.filter(isSame)) signal(one.pid, 'SIGKILL')
      await sleep(50)
    }
  }

  keepProcesses(running: readonly { name: string; pid: number }[]): void {
    writeWhole(this.#processesPath, running.map(mark))
  }

  keepMesh(mesh: RunningMesh): void {
    writeWhole(this.#meshPath, mesh)
  }

  /** For Prometheus' file_sd. */
  keepMetrics(instances: readonly { service: string; instance: string; address: string }[]): void {
    const targets = instances.map(({ address, ...labels }) => ({ targets: [address], labels }))
    writeWhole(this.#metricsPath, targets)
  }

  [Symbol.dispose](): void {
    for (const path of [this.#processesPath, this.#meshPath, this.#metricsPath, this.#lockPath])
      rmSync(path, { force: true })
  }

  #lock(dataDirectory: string): void {
    const own = JSON.stringify([mark({ name: 'launcher', pid: process.pid })])
    try {
      writeFileSync(this.#lockPath, own, { flag: 'wx' })
    } catch {
      const [other] = readMarks(this.#lockPath).filter(isSame)
      if (other !== undefined) {
        throw new PreflightError(
          `It runs already (process ${other.pid}, data in ${dataDirectory}). End that one with Ctrl-C, or set EXCHANGE_DATA_DIR and PUBLIC_PORT for a second one`,
        )
      }
      writeFileSync(this.#lockPath, own)
    }
  }
}

/** The mesh that runs on this data directory, if one does. */
export function runningMesh(dataDirectory: string): RunningMesh | undefined {
  const directory = join(dataDirectory, 'run')
  const path = join(directory, 'mesh.json')
  if (!readMarks(join(directory, 'launcher.json')).some(isSame) || !existsSync(path)) return undefined
  return JSON.parse(readFileSync(path, 'utf8'))
}

function mark({ name, pid }: { name: string; pid: number }): Mark {
  return { name, pid, identity: processIdentity(pid) ?? '' }
}

function isSame({ pid, identity }: Mark): boolean {
  return identity !== '' && processIdentity(pid) === identity
}

/** When the process began, so that its id is not mistaken once it is used again. Undefined when it has ended. */
export function processIdentity(pid: number): string | undefined {
  if (process.platform !== 'linux') return identityByPs(pid)
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startTicks] = [fields[0], fields[19]]
    if (state === 'Z' || state === 'X') return undefined
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${startTicks}`
  } catch {
    return undefined
  }
}

function identityByPs(pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', `${pid}`], { encoding: 'utf8' }).trim() || undefined
  } catch {
    return undefined
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended by itself in between.
  }
}

function readMarks(path: string): Mark[] {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return []
  }
}

function writeWhole(path: string, content: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(content))
  renameSync(`${path}.new`, path)
}
