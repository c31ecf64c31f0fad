import type { NatsConnection } from '@nats-io/transport-node'
import { openBucket } from '#mesh/buckets.ts'
import { streamsOf } from '#mesh/bus.ts'
import { type HaltedSlot, haltedSlots } from '#mesh/machine/halts.ts'
import { askPresence, type Presence } from '#mesh/presence.ts'
import { ALL_OWNERS, Bucket, DEFINITIONS_SLOT, Log, STREAM_OF_LOG, slotFilter } from '#mesh/subjects.ts'
import type { Answer, Command } from '../command.ts'
import type { Connections } from '../connections.ts'
import { duration, table } from '../table.ts'

/** Owners tell that they live every 300 ms. */
const LISTEN_MS = 1_000

export const statusCommand: Command = {
  name: 'status',
  arguments: [],
  options: {},
  summary: 'Which instances run, who owns which slot, what lags, what is halted.',
  help: `Instances: with version, uptime, and what they wait for where they are not ready. Slots: the owner, the number of its
ownership (epoch: it grows with every owner), how far it has applied its log and where that ends. Exits with 1 where something
is not well: an instance that is not ready, a slot that is halted or has no owner.`,
  example: 'status --json',
  run: status,
}

interface Owner {
  readonly instance: string
  readonly epoch: number
  readonly sequence: number
}

interface Slot {
  readonly log: Log
  readonly slot: number
  readonly owner: string | null
  readonly epoch: number | null
  readonly appliedSequence: number | null
  readonly storedSequence: number
  readonly followers: readonly string[]
  readonly halted: HaltedSlot | null
}

async function status(connections: Connections): Promise<Answer> {
  const nats = await connections.bus()
  const shape = await connections.shape()
  const wanted = [
    ...slotsOf(Log.definitions, DEFINITIONS_SLOT + 1),
    ...slotsOf(Log.accounts, shape.accountSlots),
    ...slotsOf(Log.markets, shape.marketSlots),
  ]
  // Before the owners are heard: what they tell then has had a moment to be applied.
  const stored = await Promise.all(wanted.map(({ log, slot }) => lastStored(nats, log, slot)))
  const [instances, owners, halted, leases] = await Promise.all([
    askPresence(nats, LISTEN_MS),
    hearOwners(nats),
    haltedSlots(nats),
    readLeases(nats),
  ])
  const slots = wanted.map(({ log, slot }, index): Slot => {
    const key = `${log}.${slot}`
    const owner = owners.get(key)
    return {
      log,
      slot,
      owner: owner?.instance ?? null,
      epoch: owner?.epoch ?? leases.get(key)?.epoch ?? null,
      appliedSequence: owner?.sequence ?? null,
      storedSequence: stored[index] ?? 0,
      followers: instances.filter((one) => detailOf(one, log, slot) === 'following').map(({ instance }) => instance),
      halted: halted.find((one) => one.log === log && one.slot === slot) ?? null,
    }
  })
  const isWell =
    instances.length > 0 &&
    instances.every(({ health }) => health.ready) &&
    slots.every((slot) => slot.owner !== null && slot.halted === null)
  return { json: { isWell, instances, slots }, text: textOf(instances, slots), isWell }
}

const slotsOf = (log: Log, count: number) => Array.from({ length: count }, (_, slot) => ({ log, slot }))

async function lastStored(nats: NatsConnection, log: Log, slot: number): Promise<number> {
  return (await streamsOf(nats).last(STREAM_OF_LOG[log], slotFilter(log, slot)))?.seq ?? 0
}

async function hearOwners(nats: NatsConnection): Promise<Map<string, Owner>> {
  const owners = new Map<string, Owner>()
  const hearing = nats.subscribe(ALL_OWNERS, {
    callback: (error, message) => {
      if (error === null) owners.set(message.subject.slice(ALL_OWNERS.length - 1), message.json<Owner>())
    },
  })
  await new Promise((resolve) => setTimeout(resolve, LISTEN_MS))
  hearing.unsubscribe()
  return owners
}

/** Who had it last, where nobody has it now. */
async function readLeases(nats: NatsConnection): Promise<Map<string, { readonly epoch: number }>> {
  const bucket = await openBucket(nats, Bucket.leases)
  const keys: string[] = []
  for await (const key of await bucket.keys()) keys.push(key)
  const leases = new Map<string, { readonly epoch: number }>()
  for (const key of keys) {
    const entry = await bucket.get(key)
    if (entry?.operation === 'PUT') leases.set(key, entry.json())
  }
  return leases
}

const detailOf = ({ health }: Presence, log: Log, slot: number): unknown => health.checks[`slot ${log}-${slot}`]?.detail

function textOf(instances: readonly Presence[], slots: readonly Slot[]): string {
  const now = Date.now()
  const instanceRows = instances.map(({ instance, version, host, pid, startedAt, health }) => [
    instance,
    version,
    duration((now - Date.parse(startedAt)) / 1000),
    `${host}:${pid}`,
    health.ready ? 'ready' : `waits for ${unready(health).join(', ')}`,
  ])
  const slotRows = slots.map((slot) => [
    `${slot.log} ${slot.slot}`,
    slot.owner ?? '-',
    slot.epoch,
    slot.appliedSequence,
    slot.storedSequence,
    stateOf(slot),
    slot.followers.join(' '),
  ])
  const lagRows = instances.flatMap(({ instance, health }) => projectionRows(instance, health))
  return [
    table(['INSTANCE', 'VERSION', 'UPTIME', 'HOST:PID', 'STATE'], instanceRows, 'No instance answers.'),
    table(['SLOT', 'OWNER', 'EPOCH', 'APPLIED', 'STORED', 'STATE', 'FOLLOWED BY'], slotRows),
    ...(lagRows.length === 0 ? [] : [table(['PROJECTION', 'SLOT', 'LAG', 'WRITTEN BY', ''], lagRows)]),
  ].join('\n\n')
}

const unready = ({ checks }: Presence['health']): string[] =>
  Object.entries(checks).flatMap(([name, { ok }]) => (ok ? [] : [name]))

function stateOf({ halted, owner, appliedSequence, storedSequence }: Slot): string {
  if (halted !== null) return `HALTED ${halted.code} at ${halted.sequence}: ${halted.reason}`
  if (owner === null) return 'NO OWNER'
  return (appliedSequence ?? 0) < storedSequence ? 'behind' : 'ok'
}

function projectionRows(instance: string, { checks }: Presence['health']): (string | number)[][] {
  return Object.entries(checks).flatMap(([name, { detail }]) => {
    if (!name.startsWith('projection ')) return []
    const { slots = {} } = detail as { slots?: Record<string, { lagMs: number; error?: string }> }
    return Object.entries(slots).map(([slot, { lagMs, error = '' }]) => [
      name.slice('projection '.length),
      slot,
      `${lagMs} ms`,
      instance,
      error,
    ])
  })
}
