import { createBests } from '#gateway/mesh/bests.ts'
import { createCommander } from '#gateway/mesh/commander.ts'
import { createReads } from '#gateway/mesh/reads.ts'
import { watchSlots } from '#gateway/mesh/slots.ts'
import { createOrderReads, type OrderReads } from '#gateway/orders/reading.ts'
import { createTrading, type Trading } from '#gateway/orders/trading.ts'
import { createCommandPublisher } from '#mesh/commands.ts'
import { type Definitions, followDefinitions } from '#mesh/edge/definitions.ts'
import { type RunningSlots, runSlots } from '#mesh/machine/runtime.ts'
import { SlotWriter } from '#mesh/projection/slot.ts'
import type { AccountEdgeCommand, AccountEvent } from '#mesh/protocol/accounts.ts'
import type { DefinitionCommand } from '#mesh/protocol/definitions.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { createReplyListener } from '#mesh/replies.ts'
import { DEFINITIONS_SLOT, Log } from '#mesh/subjects.ts'
import { createMachines } from '#services/accounts/machines.ts'
import { createMachine } from '#services/engine/machine.ts'
import { OrderRows } from '#services/orders/domain/rows.ts'
import type { SimulatedDatabase } from './database.ts'
import type { ProcessHost, Program } from './process.ts'
import type { SimulatedSnapshots } from './snapshots.ts'

/** Small, so that a run meets every limit. */
export const SHAPE = { accountSlots: 2, marketSlots: 2 } as const
const RECENT_ORDERS_MAX = 10_000
const RESULT_MS_MAX = 3_000
export const PROJECTION = 'orders'

const slotsOf = (count: number): number[] => Array.from({ length: count }, (_, slot) => slot)

export const accountMachines = () => createMachines({ shape: SHAPE, recentOrdersMax: RECENT_ORDERS_MAX })
export const engineMachine = createMachine

/** What services/accounts/main.ts runs. */
export function accounts(snapshots: SimulatedSnapshots): Program<RunningSlots> {
  return async (service) => {
    const { accounts: ofMembers, definitions: ofDefinitions, reads } = accountMachines()
    const [definitions, members] = await Promise.all([
      runSlots({
        service,
        shape: SHAPE,
        ...ofDefinitions,
        slots: [DEFINITIONS_SLOT],
        snapshots: snapshots.of(service, ofDefinitions),
      }),
      runSlots({
        service,
        shape: SHAPE,
        ...ofMembers,
        slots: slotsOf(SHAPE.accountSlots),
        answerRead: reads.answer,
        readBarrier: true,
        snapshots: snapshots.of(service, ofMembers),
      }),
    ])
    return { status: () => [...definitions.status(), ...members.status()] }
  }
}

/** What services/engine/main.ts runs. */
export function engine(snapshots: SimulatedSnapshots): Program<RunningSlots> {
  return (service) => {
    const { machine, reads } = engineMachine()
    return runSlots({
      service,
      shape: SHAPE,
      ...machine,
      slots: slotsOf(SHAPE.marketSlots),
      answerRead: reads.answer,
      snapshots: snapshots.of(service, machine),
    })
  }
}

/**
 * What services/orders/main.ts writes, without the sharing of slots: every instance writes all of them all the time, which is
 * the worst that leases could do.
 */
export function orders(database: SimulatedDatabase): Program<undefined> {
  return async (host) => {
    await host.nats.streams.ensure(SHAPE)
    const definitions = await followDefinitions(host.nats, () => {}, host.fail)
    const termsOf = (instrument: string) => {
      const market = definitions.market(instrument)?.definition
      return market && { base: market.base, quote: market.quote, baseMinorPerLot: BigInt(market.baseMinorPerLot) }
    }
    for (const slot of slotsOf(SHAPE.accountSlots)) {
      const writer = new SlotWriter<AccountEvent>({
        nats: host.nats,
        log: host.log,
        pool: database.pool(host.process),
        connect: () => database.connect(host.process),
        projection: PROJECTION,
        source: Log.accounts,
        slot,
        newBatch: () => new OrderRows(slot, termsOf),
        limits: { rowsMax: 40, spacingMs: 50, hurriedSpacingMs: 5 },
        onWritten: () => {},
      })
      recheckAtReconnect(host, writer)
      host.onStop(() => writer.stop())
    }
    return undefined
  }
}

function recheckAtReconnect(host: ProcessHost, writer: SlotWriter<AccountEvent>): void {
  void (async () => {
    for await (const { type } of host.nats.status()) if (type === 'reconnect') writer.recheck()
  })()
}

/** What a gateway does for a member who is let in. */
export interface Edge {
  readonly instanceId: string
  readonly trading: Trading
  readonly reads: OrderReads
  readonly definitions: Definitions
  readonly ask: (log: Log, slot: number, command: AccountEdgeCommand | DefinitionCommand) => Promise<Reply>
}

/** What gateway/main.ts makes of its connection, without HTTP. */
export function gateway(nextId: () => number): Program<Edge> {
  return async ({ instanceId, nats, log, process, fail }) => {
    await nats.streams.ensure(SHAPE)
    const slots = watchSlots(nats, log)
    const definitions = await followDefinitions(nats, () => {}, fail)
    const publisher = createCommandPublisher(nats)
    const replies = createReplyListener(nats, instanceId)
    const commander = createCommander(publisher, replies, RESULT_MS_MAX)
    const reads = createReads(nats, slots)
    const orderReads = createOrderReads(reads)
    const trading = createTrading({
      instanceId,
      nextId,
      nowUs: () => Math.floor(process.time.wallMs() * 1000),
      commander,
      publisher,
      replies,
      slots,
      bests: createBests(reads, nats.time),
      reads: orderReads,
      resultMsMax: RESULT_MS_MAX,
      time: nats.time,
    })
    await slots.loaded()
    return {
      instanceId,
      trading,
      reads: orderReads,
      definitions,
      ask: commander.ask,
    }
  }
}
