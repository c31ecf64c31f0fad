import { setTimeout as sleep } from 'node:timers/promises'
import type { Screen } from './screen.ts'
import { describeExit, type OwnedProcess } from './servers/child-process.ts'

const quickDeathMs = 5_000
const backoffMsMin = 250
const backoffMsMax = 10_000
const deathsAtFirstStartMax = 5

/** Keeps one process running: started again at once when it dies, more slowly when it dies at its start. */
export class Supervisor {
  readonly process: OwnedProcess
  readonly #screen: Screen
  #stopping = new AbortController()
  #wasReady = false
  #watching: Promise<void> | undefined

  constructor(process: OwnedProcess, screen: Screen) {
    this.process = process
    this.#screen = screen
  }

  /** Watches a process that runs and is ready. */
  watch(): void {
    this.#wasReady = true
    this.#watching = this.#watch()
  }

  /** Starts the process, watches it, and resolves when it is ready for the first time. */
  async start(): Promise<void> {
    this.process.spawn()
    const watching = this.#watch()
    this.#watching = watching.catch(() => {})
    await Promise.race([watching, this.#untilReady()])
  }

  async stop(timeoutMs?: number): Promise<void> {
    this.#stopping.abort()
    await this.process.stop(timeoutMs)
    await this.#watching
  }

  /** Ends when it is told to stop. Throws when the process cannot be started a single time. */
  async #watch(): Promise<void> {
    const { signal } = this.#stopping
    const { name } = this.process.spec
    for (let quickDeaths = 0; ; ) {
      const startedMs = performance.now()
      const exit = await this.process.exited
      if (signal.aborted) return
      const aliveMs = performance.now() - startedMs
      quickDeaths = aliveMs < quickDeathMs ? quickDeaths + 1 : 0
      if (!this.#wasReady && quickDeaths >= deathsAtFirstStartMax) {
        throw new Error(`${name} ended ${quickDeaths} times at its start (${describeExit(exit)})`)
      }
      const delayMs = quickDeaths <= 1 ? 0 : Math.min(backoffMsMin * 2 ** (quickDeaths - 2), backoffMsMax)
      const when = delayMs === 0 ? 'now' : `in ${delayMs / 1000} s`
      this.#screen.failure(name, `ended (${describeExit(exit)}); it starts again ${when}`)
      await sleep(delayMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      this.process.spawn()
      if (this.#wasReady) void this.#sayReadyAgain()
    }
  }

  /** Over any number of deaths: the watch decides when it is too much. */
  async #untilReady(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      if (await this.process.untilReady()) {
        this.#wasReady = true
        return
      }
      await sleep(20)
    }
  }

  async #sayReadyAgain(): Promise<void> {
    const startedMs = performance.now()
    if (!(await this.process.untilReady())) return
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    this.#screen.done(this.process.spec.name, `ready again after ${seconds} s`)
  }
}
