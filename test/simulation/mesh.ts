import { parseFrameHeader } from '#mesh/frames.ts'
import type { RunningSlots } from '#mesh/machine/runtime.ts'
import { SlotHalt } from '#mesh/machine/slot.ts'
import { Bucket, EVENTS_STREAM, framesSubject, Log, STREAM_OF_LOG, slotFilter, sourceName } from '#mesh/subjects.ts'
import { SimulatedDatabase } from './database.ts'
import { type Program, SimulatedProcess } from './process.ts'
import {
  accountMachines,
  accounts,
  type Edge,
  engine,
  engineMachine,
  gateway,
  orders,
  PROJECTION,
  SHAPE,
} from './programs.ts'
import { SimulatedServer } from './server.ts'
import { SimulatedSnapshots } from './snapshots.ts'
import type { World } from './world.ts'

/** Every slot that has a log. */
export const ALL_SLOTS: readonly (readonly [log: Log, slot: number])[] = [
  [Log.definitions, 0],
  ...Array.from({ length: SHAPE.accountSlots }, (_, slot) => [Log.accounts, slot] as const),
  ...Array.from({ length: SHAPE.marketSlots }, (_, slot) => [Log.markets, slot] as const),
]

const INSTANCES = ['a', 'b'] as const
/** How long a supervisor waits before it starts a process again. */
const RESTART_MS = { min: 50, max: 800 }

/** A place for one process after the other. */
export interface Instance {
  readonly name: string
  process: SimulatedProcess
}

export interface MachineInstance extends Instance {
  parts: RunningSlots | undefined
}

export interface GatewayInstance extends Instance {
  parts: Edge | undefined
}

/** All processes of the mesh with their server and database, each started again when it ends. */
export class SimulatedMesh {
  readonly world: World
  readonly server: SimulatedServer
  readonly database: SimulatedDatabase
  readonly snapshots: SimulatedSnapshots
  readonly machines: MachineInstance[] = []
  readonly gateways: GatewayInstance[] = []
  readonly projections: Instance[] = []
  readonly failures: { readonly process: string; readonly error: Error }[] = []
  readonly errors: string[] = []
  /** Called for every new life of a process. */
  onStart: (process: SimulatedProcess) => void = () => {}
  #lastId = 1_000

  constructor(world: World) {
    this.world = world
    this.server = new SimulatedServer(world, world.random.fork())
    this.database = new SimulatedDatabase(world, world.random.fork())
    this.snapshots = new SimulatedSnapshots(this.server, world.random.fork())
    this.database.createPositions(PROJECTION, SHAPE.accountSlots)
  }

  get instances(): readonly Instance[] {
    return [...this.machines, ...this.gateways, ...this.projections]
  }

  nextId = (): number => ++this.#lastId

  start(): void {
    for (const letter of INSTANCES) {
      this.machines.push(this.#keep<RunningSlots>(`accounts-${letter}`, accounts(this.snapshots)))
      this.machines.push(this.#keep<RunningSlots>(`engine-${letter}`, engine(this.snapshots)))
      this.gateways.push(this.#keep<Edge>(`gateway-${letter}`, gateway(this.nextId)))
      this.projections.push(this.#keep(`orders-${letter}`, orders(this.database)))
    }
  }

  /** Takes snapshots of slots in turn, for good. */
  async takeSnapshots(pauseMs: number): Promise<void> {
    const { accounts: ofMembers, definitions } = accountMachines()
    const ofMarkets = engineMachine().machine
    for (;;) {
      for (const [log, slot] of ALL_SLOTS) {
        await this.world.sleep(pauseMs)
        try {
          if (log === Log.accounts) this.snapshots.take(ofMembers, slot)
          else if (log === Log.markets) this.snapshots.take(ofMarkets, slot)
          else this.snapshots.take(definitions, slot)
        } catch (error) {
          if (!this.snapshots.isLossy || !(error instanceof SlotHalt)) throw error
        }
      }
    }
  }

  /** Whether everything that is in a log was read, told in frames, and written to the database. */
  isComplete(): boolean {
    if (!this.instances.every(({ process }) => process.state === 'running')) return false
    return ALL_SLOTS.every(([log, slot]) => this.#isTold(log, slot) && this.#isFollowed(log, slot)) && this.#isWritten()
  }

  /** Who owns a slot now, by the slot's name: `markets-0`. */
  ownerOf(name: string): MachineInstance | undefined {
    return this.machines.find(({ parts }) =>
      parts?.status().some(({ log, slot, state }) => state === 'running' && sourceName(log, slot) === name),
    )
  }

  /** `accounts.0`, …: those that nobody runs until an operator has looked. */
  haltedSlots(): ReadonlySet<string> {
    const { messages } = this.server.ensureBucket(Bucket.slots)
    return new Set(messages.map(({ subject }) => subject.split('.').slice(2).join('.')))
  }

  /** Every process, the last of each place. */
  processes(): SimulatedProcess[] {
    return this.instances.map(({ process }) => process)
  }

  #isTold(log: Log, slot: number): boolean {
    const last = this.server.stream(STREAM_OF_LOG[log]).last(slotFilter(log, slot))
    const frame = this.server.stream(EVENTS_STREAM).last(framesSubject(log, slot))
    if (last === undefined) return true
    if (frame === undefined) return false
    const { inTo, complete } = parseFrameHeader(frame.data)
    return inTo[0] === last.seq && complete
  }

  #isFollowed(log: Log, slot: number): boolean {
    const last = this.server.stream(STREAM_OF_LOG[log]).last(slotFilter(log, slot))
    const statuses = this.machines.flatMap(({ parts }) => parts?.status() ?? [])
    const ofSlot = statuses.filter((status) => status.log === log && status.slot === slot)
    const owners = ofSlot.filter(({ state }) => state === 'running')
    if (ofSlot.length !== INSTANCES.length || owners.length !== 1) return false
    return ofSlot.every(({ appliedSequence }) => appliedSequence === (last?.seq ?? 0))
  }

  #isWritten(): boolean {
    return this.database.rows('positions').every(({ slot, frame_sequence }) => {
      const last = this.server.stream(EVENTS_STREAM).last(framesSubject(Log.accounts, Number(slot)))
      return Number(frame_sequence) === (last?.seq ?? 0)
    })
  }

  #keep<Parts>(name: string, program: Program<Parts>): Instance & { parts: Parts | undefined } {
    const launch = (isRestarted: boolean): SimulatedProcess => {
      const process = new SimulatedProcess(this.world, this.server, name, this.world.random.fork())
      process.bus.isRestarted = isRestarted
      process.onDeath.push(() => {
        this.world.tell(`${name} has ended`)
        instance.parts = undefined
        for (const error of process.failures) this.failures.push({ process: name, error })
        this.errors.push(...process.errors)
        this.world.after(this.world.random.int(RESTART_MS.min, RESTART_MS.max), () => {
          this.world.tell(`${name} starts again`)
          instance.process = launch(true)
        })
      })
      this.onStart(process)
      process.start(program, (parts) => {
        instance.parts = parts
      })
      return process
    }
    const instance: { name: string; process: SimulatedProcess; parts: Parts | undefined } = {
      name,
      parts: undefined,
      process: launch(false),
    }
    return instance
  }
}
