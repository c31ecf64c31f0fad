import pino, { type Logger } from 'pino'
import type { MachineHost } from '#mesh/machine/runtime.ts'
import type { Time } from '#mesh/time.ts'
import { SimulatedBus } from './bus.ts'
import type { Random } from './random.ts'
import type { SimulatedServer } from './server.ts'
import type { World } from './world.ts'

/** What a process runs; whatever it gives back is what others may ask it for. */
export type Program<Parts> = (host: ProcessHost) => Promise<Parts>

export interface ProcessHost extends MachineHost {
  readonly nats: SimulatedBus
  readonly process: SimulatedProcess
  readonly shutdown: AbortSignal
}

/** One life of a process. Dead, it has no effect on anything any more, whatever of its code still runs. */
export class SimulatedProcess {
  readonly name: string
  readonly world: World
  readonly time: Time
  readonly bus: SimulatedBus
  readonly onDeath: (() => void)[] = []
  state: 'running' | 'paused' | 'dead' = 'running'
  /** Why it gave up. */
  readonly failures: Error[] = []
  /** Lines of its log that tell of something that must not be. */
  readonly errors: string[] = []
  readonly #random: Random
  readonly #stops: (() => Promise<void> | void)[] = []
  readonly #shutdown = new AbortController()
  #deferred: (() => void)[] = []
  #stopping = false
  /** The wall clock's error, in milliseconds. */
  skewMs = 0

  constructor(world: World, server: SimulatedServer, name: string, random: Random) {
    this.world = world
    this.name = name
    this.#random = random
    this.time = timeOf(this)
    this.bus = new SimulatedBus(world, server, this, random)
  }

  get isAlive(): boolean {
    return this.state !== 'dead'
  }

  /** Runs code of this process: now, when it wakes up, or never. */
  run(code: () => void): void {
    if (this.state === 'dead') return
    if (this.state === 'paused' || this.#deferred.length > 0) return void this.#deferred.push(code)
    this.world.current = this
    code()
  }

  /** As `run`, but ahead of what piled up in a pause: the end of each turn of the event loop. */
  runAtTurnsEnd(code: () => void): void {
    if (this.state === 'running') {
      this.world.current = this
      code()
    } else this.run(code)
  }

  start<Parts>(program: Program<Parts>, onParts: (parts: Parts) => void): void {
    const log = logOf(this)
    const host: ProcessHost = {
      instanceId: this.name,
      nats: this.bus,
      log,
      process: this,
      shutdown: this.#shutdown.signal,
      onStop: (fn) => this.#stops.push(fn),
      ready: () => {},
      fail: (error) => this.fail(error),
    }
    this.run(() => {
      program(host).then(
        (parts) => {
          if (this.isAlive) onParts(parts)
        },
        (error) => this.fail(error),
      )
    })
  }

  /** As `Service.fail`: an orderly stop, and then the end. */
  fail(error: unknown): void {
    if (!this.isAlive || this.#stopping) return
    const cause = error instanceof Error ? error : new Error(String(error))
    this.failures.push(cause)
    this.world.tell(`${this.name} gives up: ${cause.name} ${cause.message.slice(0, 200)}`)
    this.stop()
  }

  stop(): void {
    if (!this.isAlive || this.#stopping) return
    this.#stopping = true
    this.#shutdown.abort()
    // A process that does not come to its end leaves anyway.
    this.time.after(STOP_MS_MAX, () => this.kill())
    void (async () => {
      for (const stop of this.#stops.reverse()) {
        try {
          await stop()
        } catch {
          // A part that does not stop cleanly changes nothing.
        }
      }
      this.kill()
    })()
  }

  kill(): void {
    if (!this.isAlive) return
    this.state = 'dead'
    this.#deferred = []
    this.bus.cut()
    for (const tell of this.onDeath) tell()
  }

  pause(): void {
    if (this.state === 'running') this.state = 'paused'
  }

  wake(): void {
    if (this.state !== 'paused') return
    this.state = 'running'
    this.#catchUp()
  }

  /** What came meanwhile is done in its order, in many turns; what comes now waits behind it. */
  #catchUp(): void {
    this.world.after(this.#random.next() * TURN_MS_MAX, () => {
      if (this.state !== 'running') return
      const code = this.#deferred[0]
      if (code === undefined) return
      this.world.current = this
      code()
      this.#deferred.shift()
      this.#catchUp()
    })
  }
}

/** What a turn of the event loop takes at most after a pause. */
const TURN_MS_MAX = 0.5
const STOP_MS_MAX = 9_000

function timeOf(process: SimulatedProcess): Time {
  const { world } = process
  const startedUs = world.nowUs
  const later = (ms: number, code: () => void): (() => void) => {
    let cancelled = false
    const cancel = world.after(Math.max(ms, 0), () => process.run(() => cancelled || code()))
    return () => {
      cancelled = true
      cancel()
    }
  }
  return {
    nowMs: () => (world.nowUs - startedUs) / 1000,
    wallMs: () => world.nowUs / 1000 + process.skewMs,
    after: later,
    every: (ms, code) => {
      let cancel = () => {}
      const again = (): void => {
        if (!process.isAlive) return
        cancel = later(ms, () => {
          again()
          code()
        })
      }
      again()
      return () => cancel()
    },
    soon: (code) => void world.after(SOON_MS, () => process.runAtTurnsEnd(code)),
  }
}

/** What a turn of the event loop takes. */
const SOON_MS = 0.02

/** Keeps what is logged as an error; the rest is told only in a run that is watched. */
function logOf(process: SimulatedProcess): Logger {
  const write = (line: string): void => {
    const { level, msg, code, err, entry, slot } = JSON.parse(line)
    const detail = [slot, code, entry?.code, err?.message ?? ''].filter(Boolean).join(' ').slice(0, 300)
    process.world.tell(`${process.name} ${pino.levels.labels[level]}: ${msg} ${detail}`)
    if (level >= ERROR_LEVEL) process.errors.push(`${process.name}: ${msg} ${detail}`)
  }
  return pino({ level: process.world.isWatched ? 'debug' : 'error', base: null, timestamp: false }, { write })
}

const ERROR_LEVEL = 50
