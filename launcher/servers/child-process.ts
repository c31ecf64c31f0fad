import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export type ProcessSpec = {
  name: string
  command: string
  args: readonly string[]
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Where stdout and stderr go: appended to this file, or handed over line by line. */
  output: { file: string } | { onLine: (line: string) => void }
  /** Asked again and again until it says yes. */
  isReady: () => Promise<boolean>
  readyTimeoutMs: number
  /** How long SIGTERM may take before SIGKILL follows. */
  stopTimeoutMs: number
}

const readyPollMs = 25

export type Exit = { code: number | null; signal: NodeJS.Signals | null }

type Running = { name: string; pid: number }

const alive = new Map<ChildProcess, Running>()
let onChange: (running: readonly Running[]) => void = () => {}

/** Told all the running processes whenever one starts or ends. There is one listener: the launcher. */
export function onProcessesChange(listener: (running: readonly Running[]) => void): void {
  onChange = listener
}

// A parent that ends without stopping its children, by a bug or a failed test, leaves none behind.
process.once('exit', () => {
  for (const child of alive.keys()) child.kill('SIGKILL')
})

/** One process that this one started: a server or a service. It can be stopped, killed and started again. */
export class OwnedProcess implements AsyncDisposable {
  readonly spec: ProcessSpec
  #child: ChildProcess | undefined
  #exit: Promise<Exit> | undefined
  #logBytesAtStart = 0

  constructor(spec: ProcessSpec) {
    this.spec = spec
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  get isRunning(): boolean {
    return this.#child !== undefined && alive.has(this.#child)
  }

  /** Settles when the current run ends. */
  get exited(): Promise<Exit> {
    if (this.#exit === undefined) throw new Error(`${this.spec.name} was never started`)
    return this.#exit
  }

  /** Starts it and waits until it is ready. One that never gets ready is killed. */
  async start(): Promise<void> {
    this.spawn()
    const { name, readyTimeoutMs } = this.spec
    if (await this.untilReady(performance.now() + readyTimeoutMs)) return
    if (!this.isRunning)
      throw new Error(`${name} ended at its start, ${describeExit(await this.exited)}${this.#logTail()}`)
    await this.kill()
    throw new Error(`${name} is not ready after ${readyTimeoutMs / 1000} s${this.#logTail()}`)
  }

  /** Starts it without waiting. */
  spawn(): void {
    if (this.isRunning) throw new Error(`${this.spec.name} runs already`)
    const child = this.#spawn()
    this.#child = child
    alive.set(child, { name: this.spec.name, pid: child.pid ?? 0 })
    this.#exit = new Promise((resolve) => {
      const end = (exit: Exit) => {
        alive.delete(child)
        onChange([...alive.values()])
        resolve(exit)
      }
      child.once('error', () => end({ code: 127, signal: null }))
      child.once('exit', (code, signal) => end({ code, signal }))
    })
    onChange([...alive.values()])
  }

  /** Waits until it is ready, and says whether it is: it may end first. */
  async untilReady(deadlineMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    const child = this.#child
    while (child === this.#child && this.isRunning && performance.now() < deadlineMs) {
      if (await this.spec.isReady()) return true
      await sleep(readyPollMs)
    }
    return false
  }

  /** SIGTERM, then SIGKILL when it takes too long. */
  async stop(timeoutMs: number = this.spec.stopTimeoutMs): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.isRunning) return
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    await this.exited
    clearTimeout(late)
  }

  /** SIGKILL, as if the power went. */
  async kill(): Promise<void> {
    if (!this.isRunning) return
    this.#child?.kill('SIGKILL')
    await this.exited
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #spawn(): ChildProcess {
    const { spec } = this
    const [command, args] = tiedToParent(spec.command, spec.args)
    // A process group of its own: Ctrl-C on the terminal reaches the launcher alone, which ends the rest in order.
    const options = { cwd: spec.cwd, env: spec.env ?? process.env, detached: true }
    if ('file' in spec.output) {
      mkdirSync(dirname(spec.output.file), { recursive: true })
      const log = openSync(spec.output.file, 'a')
      this.#logBytesAtStart = statSync(spec.output.file).size
      try {
        return spawn(command, args, { ...options, stdio: ['ignore', log, log] })
      } finally {
        closeSync(log)
      }
    }
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    const { onLine } = spec.output
    for (const stream of [child.stdout, child.stderr]) eachLine(stream, onLine)
    return child
  }

  #logTail(): string {
    if (!('file' in this.spec.output)) return ''
    const written = readFileSync(this.spec.output.file).subarray(this.#logBytesAtStart).toString()
    const tail = written.trimEnd().split('\n').slice(-5).join('\n  ')
    return `; the end of ${this.spec.output.file}:\n  ${tail}`
  }
}

/** Starts a process and resolves with it once it is ready. */
export async function startProcess(spec: ProcessSpec): Promise<OwnedProcess> {
  const owned = new OwnedProcess(spec)
  await owned.start()
  return owned
}

export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : signal
}

/** A command that ended with another exit code than 0. Its message has the end of what it printed. */
export class RunError extends Error {
  override readonly name = 'RunError'
  readonly code = 'command_failed'
  readonly output: string

  constructor(message: string, output: string) {
    super(message)
    this.output = output
  }
}

/** Runs a command to its end, and gives what it printed. @throws RunError */
export async function run(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  child.stderr.on('data', (data) => {
    output += data
  })
  const [code] = await once(child, 'close')
  if (code === 0) return output
  const end = output.trimEnd().split('\n').slice(-3).join(' | ')
  throw new RunError(`${command} failed (exit code ${code}): ${end}`, output)
}

const setpriv = '/usr/bin/setpriv'

/** On Linux the kernel ends the child when this process dies, by SIGKILL too. Elsewhere the next start cleans up. */
function tiedToParent(command: string, args: readonly string[]): [string, string[]] {
  if (process.platform !== 'linux' || !existsSync(setpriv)) return [command, [...args]]
  return [setpriv, ['--pdeathsig', 'TERM', '--', command, ...args]]
}

function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  })
  stream.on('end', () => {
    if (rest !== '') onLine(rest)
  })
}
