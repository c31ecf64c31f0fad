import { wholeNumber } from '#mesh/config.ts'
import { clearSlot } from '#mesh/machine/halts.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import { DEFINITIONS_SLOT, LOG_OF_SERVICE, type Log, slotSnapshotSubject } from '#mesh/subjects.ts'
import type { Command } from '../command.ts'
import type { Connections } from '../connections.ts'
import { UsageError } from '../errors.ts'
import { table } from '../table.ts'

/** A snapshot of a large state takes a while. */
const SNAPSHOT_MS_MAX = 300_000

interface Taken {
  readonly name: string
  readonly itemsCount: number
  readonly bytes: number
  readonly ms: number
}

export const slotCommands: readonly Command[] = [
  {
    name: 'clear-slot',
    arguments: ['SERVICE', 'SLOT'],
    options: {},
    summary: 'Let a halted slot go on: accounts, engine or definitions, and its number.',
    help: `A slot halts where an assertion fails or its log went backwards; \`status\` shows why. Clear it when the cause is gone (a fixed
version runs, the log is restored): it is recovered from its log. If the cause is still there, it halts again.`,
    example: 'clear-slot engine 2',
    run: async (connections, { positionals: [service = '', slot = ''] }) => {
      const place = await placeOf(connections, service, slot)
      const cleared = await clearSlot(await connections.bus(), place.log, place.slot)
      if (cleared === undefined) throw new RpcError('slot_not_halted', `${service} ${slot} is not halted.`)
      return { json: { cleared }, text: `✔ Cleared: ${service} ${slot}, which had halted with ${cleared.code}.` }
    },
  },
  {
    name: 'snapshot',
    arguments: ['[SERVICE]', '[SLOT]'],
    options: {},
    summary: 'Take snapshots now: of every slot, of those of a service, or of one.',
    help: `A recovery begins with the newest snapshot and replays what came after. They are taken by themselves too (SNAPSHOT_ITEMS,
SNAPSHOT_SECONDS). A slot without anything new since the last one says so. The services must run with SNAPSHOT_DIR.`,
    example: 'snapshot accounts 0',
    run: async (connections, { positionals: [service, slot] }) => {
      const places = await placesOf(connections, service, slot)
      const nats = await connections.bus()
      const taken: ({ service: string; slot: number } & (Taken | { code: string; message: string }))[] = []
      for (const place of places) {
        const name = { service: place.service, slot: place.slot }
        try {
          const subject = slotSnapshotSubject(place.log, place.slot)
          taken.push({ ...name, ...(await callRpc<Taken>(nats, subject, {}, SNAPSHOT_MS_MAX)) })
        } catch (error) {
          if (!(error instanceof RpcError)) throw error
          taken.push({ ...name, code: error.code, message: error.message })
        }
      }
      const rows = taken.map((one) =>
        'code' in one
          ? [`${one.service} ${one.slot}`, `${one.code}: ${one.message}`, '', '', '']
          : [`${one.service} ${one.slot}`, one.name, one.itemsCount, `${one.bytes} B`, `${one.ms} ms`],
      )
      return {
        json: { snapshots: taken },
        text: table(['SLOT', 'SNAPSHOT', 'ITEMS', 'SIZE', 'TOOK'], rows),
        isWell: taken.every((one) => !('code' in one) || one.code === 'snapshot_nothing_new'),
      }
    },
  },
]

interface Place {
  readonly service: string
  readonly log: Log
  readonly slot: number
}

async function placesOf(
  connections: Connections,
  service: string | undefined,
  slot: string | undefined,
): Promise<readonly Place[]> {
  if (service !== undefined && slot !== undefined) return [await placeOf(connections, service, slot)]
  const names = service === undefined ? [...LOG_OF_SERVICE.keys()] : [service]
  const all = await Promise.all(
    names.map(async (name) => {
      const log = logOf(name)
      const count = await slotsCount(connections, log)
      return Array.from({ length: count }, (_, index): Place => ({ service: name, log, slot: index }))
    }),
  )
  return all.flat()
}

async function placeOf(connections: Connections, service: string, slot: string): Promise<Place> {
  const log = logOf(service)
  return { service, log, slot: wholeNumber('SLOT', slot, 0, (await slotsCount(connections, log)) - 1) }
}

/** @throws UsageError */
function logOf(service: string): Log {
  const log = LOG_OF_SERVICE.get(service)
  if (log !== undefined) return log
  throw new UsageError(`${service} has no slots; ${[...LOG_OF_SERVICE.keys()].join(', ')} have.`)
}

async function slotsCount(connections: Connections, log: Log): Promise<number> {
  const { accountSlots, marketSlots } = await connections.shape()
  return { accounts: accountSlots, markets: marketSlots, definitions: DEFINITIONS_SLOT + 1 }[log]
}
