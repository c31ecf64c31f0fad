import type { Instance, SimulatedMesh } from './mesh.ts'
import type { Random } from './random.ts'

/** Something that goes wrong, at a time that is counted from when the members begin. Times in milliseconds. */
export type Fault =
  | { readonly kind: 'crash' | 'stop'; readonly atMs: number; readonly instance: string }
  /** It dies at what it sends next but so many, before or after that has left. */
  | {
      readonly kind: 'crash at sending'
      readonly atMs: number
      readonly instance: string
      readonly sends: number
      readonly when: 'before' | 'after'
    }
  | {
      readonly kind: 'pause' | 'cut off' | 'stall' | 'read slowly'
      readonly atMs: number
      readonly instance: string
      readonly forMs: number
    }
  | { readonly kind: 'restart the server' | 'database away'; readonly atMs: number; readonly forMs: number }
  | {
      readonly kind: 'lose acks' | 'lose database answers'
      readonly atMs: number
      readonly forMs: number
      readonly share: number
    }
  | { readonly kind: 'repeat commands'; readonly atMs: number; readonly forMs: number; readonly share: number }
  | { readonly kind: 'set the clock'; readonly atMs: number; readonly instance: string; readonly byMs: number }
  | {
      readonly kind: 'lose tails'
      readonly atMs: number
      readonly forMs: number
      readonly tails: Readonly<Record<string, number>>
    }

const STREAMS = ['ACCOUNTS', 'MARKETS', 'DEFINITIONS', 'EVENTS', 'KV_leases']

/** The faults of a run. `tails`: whether a power cut may take what was stored last. */
export function drawFaults(random: Random, instances: readonly string[], spanMs: number, tails = false): Fault[] {
  const faults: Fault[] = []
  const count = random.int(1, 7)
  for (let index = 0; index < count; index++) faults.push(drawFault(random, instances, random.next() * spanMs))
  if (tails) {
    const lost = STREAMS.map((stream) => [stream, random.chance(0.5) ? random.int(1, 6) : 0] as const)
    faults.push({
      kind: 'lose tails',
      atMs: spanMs * random.next(),
      forMs: random.int(50, 1_000),
      tails: Object.fromEntries(lost.filter(([, messages]) => messages > 0)),
    })
  }
  return faults.sort((a, b) => a.atMs - b.atMs)
}

function drawFault(random: Random, instances: readonly string[], atMs: number): Fault {
  const instance = random.pick(instances)
  // Short ones are frequent; long ones take an owner its slots.
  const forMs = Math.round(10 + random.next() ** 3 * 4_000)
  const kind = random.pick(KINDS)
  switch (kind) {
    case 'crash':
    case 'stop':
      return { kind, atMs, instance }
    case 'crash at sending':
      return { kind, atMs, instance, sends: random.int(0, 30), when: random.pick(['before', 'after'] as const) }
    case 'pause':
    case 'cut off':
    case 'stall':
    case 'read slowly':
      return { kind, atMs, instance, forMs }
    case 'restart the server':
    case 'database away':
      return { kind, atMs, forMs: Math.min(forMs, 2_000) }
    case 'lose acks':
    case 'lose database answers':
    case 'repeat commands':
      return { kind, atMs, forMs, share: 0.05 + random.next() * 0.4 }
    case 'set the clock':
      return { kind, atMs, instance: random.chance(0.5) ? SERVER : instance, byMs: random.int(-10_000, 10_000) }
  }
}

const KINDS = [
  'crash',
  'crash',
  'crash at sending',
  'crash at sending',
  'crash at sending',
  'stop',
  'pause',
  'pause',
  'cut off',
  'stall',
  'read slowly',
  'restart the server',
  'database away',
  'lose acks',
  'lose database answers',
  'repeat commands',
  'set the clock',
] as const

/** The server, where an instance is named. */
const SERVER = 'server'

/** Brings the faults about, each at its time. Resolves when the last has passed. */
export async function bringAbout(faults: readonly Fault[], mesh: SimulatedMesh): Promise<void> {
  await Promise.all(
    faults.map(async (fault) => {
      await mesh.world.sleep(fault.atMs)
      mesh.world.tell(`fault: ${describeFault(fault)}`)
      await befall(fault, mesh)
    }),
  )
}

async function befall(fault: Fault, mesh: SimulatedMesh): Promise<void> {
  const { server, database, world } = mesh
  switch (fault.kind) {
    case 'crash':
      return instanceOf(mesh, fault.instance).process.kill()
    case 'stop': {
      const { process } = instanceOf(mesh, fault.instance)
      return process.run(() => process.stop())
    }
    case 'crash at sending': {
      let left = fault.sends
      const { bus } = instanceOf(mesh, fault.instance).process
      bus.onSend = () => (left-- === 0 ? fault.when : undefined)
      return
    }
    case 'pause': {
      const { process } = instanceOf(mesh, fault.instance)
      process.pause()
      await world.sleep(fault.forMs)
      return process.wake()
    }
    case 'cut off':
      return instanceOf(mesh, fault.instance).process.bus.disconnect(fault.forMs)
    case 'stall': {
      instanceOf(mesh, fault.instance).process.bus.stall(fault.forMs)
      return world.sleep(fault.forMs)
    }
    case 'read slowly': {
      const { bus } = instanceOf(mesh, fault.instance).process
      bus.readLagMs = fault.forMs / 4
      await world.sleep(fault.forMs)
      bus.readLagMs = 0
      return
    }
    case 'restart the server':
      return restart(mesh, fault.forMs, {})
    case 'lose tails':
      return restart(mesh, fault.forMs, fault.tails)
    case 'database away':
      database.isUp = false
      await world.sleep(fault.forMs)
      database.isUp = true
      return
    case 'lose acks':
      server.lostAcks = fault.share
      await world.sleep(fault.forMs)
      server.lostAcks = 0
      return
    case 'lose database answers':
      database.lostAnswers = fault.share
      await world.sleep(fault.forMs)
      database.lostAnswers = 0
      return
    case 'repeat commands':
      server.repeatedCommands = fault.share
      await world.sleep(fault.forMs)
      server.repeatedCommands = 0
      return
    case 'set the clock':
      if (fault.instance === SERVER) server.skewMs += fault.byMs
      else instanceOf(mesh, fault.instance).process.skewMs += fault.byMs
  }
}

async function restart(mesh: SimulatedMesh, forMs: number, tails: Readonly<Record<string, number>>): Promise<void> {
  if (!mesh.server.isUp) return
  mesh.server.crash(new Map(Object.entries(tails)))
  await mesh.world.sleep(forMs)
  mesh.server.restart()
}

function instanceOf(mesh: SimulatedMesh, name: string): Instance {
  const owned = mesh.ownerOf(name)
  const instance = owned ?? mesh.instances.find((each) => each.name === name) ?? mesh.instances[0]
  if (instance === undefined) throw new Error(`There is no instance ${name}.`)
  return instance
}

export const describeFault = ({ kind, atMs, ...details }: Fault): string =>
  `at ${atMs.toFixed(1)} ms ${kind} ${JSON.stringify(details)}`
