import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TakenSnapshot } from './take.ts'
import type { SnapshotTask } from './worker.ts'

export type HelperResult = { readonly cpuMs: number } & (
  | { readonly taken: TakenSnapshot }
  | {
      readonly failed: {
        readonly message: string
        readonly stack: string | undefined
        readonly code: string | undefined
      }
    }
)

/** A task that takes longer hangs. */
const TASK_MS_MAX = 3_600_000

/**
 * The process beside a service that takes its snapshots. Not a thread: V8's spare pages and its collecting threads are a process's, so
 * the owner unmapped what the other's heap had left, and waited behind its collections. And it is there from the beginning: to
 * fork a process stops it for as long as its page tables take to copy.
 */
export class SnapshotHelper {
  readonly #module: URL
  readonly #stopped: AbortSignal
  #child: ChildProcess | undefined
  /** One task at a time, so that no more than one state is held twice. */
  #last: Promise<unknown> = Promise.resolve()

  /** `module`: a `SnapshotWorker`. */
  constructor(module: URL, stopped: AbortSignal) {
    this.#module = module
    this.#stopped = stopped
    stopped.addEventListener('abort', () => this.#child?.kill('SIGKILL'))
    this.#running()
  }

  /** `used`: told what a task has used of a core, in milliseconds. @throws what the worker does, by message and code */
  take(task: SnapshotTask, used: (cpuMs: number) => void): Promise<TakenSnapshot> {
    const result = this.#last.then(() => this.#work(task, used))
    this.#last = result.catch(() => {})
    return result
  }

  async #work(task: SnapshotTask, used: (cpuMs: number) => void): Promise<TakenSnapshot> {
    const child = this.#running()
    const { promise, resolve, reject } = Promise.withResolvers<HelperResult>()
    const onEnd = (code: number | null, signal: string | null): void => {
      reject(new Error(`The helper has ended with ${code ?? signal}, without a snapshot.`))
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), TASK_MS_MAX)
    child.once('message', resolve).once('error', reject).once('exit', onEnd)
    try {
      child.send(task, (error) => {
        if (error !== null) reject(error)
      })
      const result = await promise
      used(result.cpuMs)
      if ('taken' in result) return result.taken
      const { message, code, stack } = result.failed
      throw Object.assign(new Error(message), { code, stack })
    } finally {
      clearTimeout(timer)
      child.off('message', resolve).off('error', reject).off('exit', onEnd)
    }
  }

  #running(): ChildProcess {
    if (this.#stopped.aborted) throw new Error('This process stops.')
    if (this.#child !== undefined && isAlive(this.#child)) return this.#child
    const program = fileURLToPath(new URL('helper-main.ts', import.meta.url))
    const child = fork(program, [this.#module.href], { execArgv: ['--expose-gc'] })
    // Whoever waits for it hears that too.
    child.on('error', () => {})
    child.unref()
    child.channel?.unref()
    this.#child = child
    return child
  }
}

const isAlive = ({ connected, exitCode, signalCode }: ChildProcess): boolean =>
  connected && exitCode === null && signalCode === null
