import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Context } from '#mesh/machine/rules.ts'
import { SlotFold } from '#mesh/machine/slot.ts'
import { readSnapshotFile, type SnapshotHeader, writeSnapshotFile } from '#mesh/machine/snapshots/file.ts'
import { packFold, restoreFold } from '#mesh/machine/snapshots/fold.ts'
import type { Machine } from '#mesh/machine/snapshots/machine.ts'
import type { AccountItem } from '#mesh/protocol/accounts.ts'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'
import { createMachines } from '#services/accounts/machines.ts'
import { createMachine } from '#services/engine/machine.ts'
import { ASSETS, MARKET, orderMessages } from './orders.ts'

export interface StateCost {
  /** Of the thread that does it, in milliseconds; others may use the processor as well. */
  readonly writeMs: number
  readonly readMs: number
  readonly restoreMs: number
  readonly fileMb: number
}

/** What writing, reading and restoring take for one slot of each kind with so many resting orders, by the real rules and files. */
export async function measureStates(resting: number): Promise<Record<'accounts' | 'engine', StateCost>> {
  const { accounts, engine } = machinesWith(resting)
  return { accounts: await measure(accounts), engine: await measure(engine) }
}

interface Filled<State, Item, Event> {
  readonly machine: Machine<State, Item, Event>
  readonly state: State
}

function machinesWith(resting: number) {
  const { accounts } = createMachines({ shape: { accountSlots: 1, marketSlots: 1 }, recentOrdersMax: 10_000 })
  const { machine: engine } = createMachine()
  const states = { accounts: accounts.rules.initialState(0), engine: engine.rules.initialState(0) }
  const waiting: { readonly item: object; readonly source: string; readonly log: Log }[] = []
  let timeUs = 1_700_000_000_000_000
  const contextOf = <Event>(log: Log, source: string, { observe }: Machine<never, never, Event>): Context<Event> => ({
    slot: 0,
    get timeUs() {
      return timeUs++
    },
    source,
    emit: (event) => observe?.(0, event, [1, 0, 0], timeUs),
    send: (to, _slot, item) => waiting.push({ item, source: `${log}-0`, log: to }),
    reply: () => {},
  })
  const apply = (log: Log, source: string, item: object): void => {
    if (log === Log.accounts) {
      accounts.rules.apply(states.accounts, item as AccountItem, contextOf(log, source, accounts as never))
    } else if (log === Log.markets) {
      engine.rules.apply(states.engine, item as MarketItem, contextOf(log, source, engine as never))
    }
  }
  const say = (log: Log, source: string, item: object): void => {
    apply(log, source, item)
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) apply(next.log, next.source, next.item)
  }
  for (const asset of ASSETS) say(Log.accounts, 'definitions-0', { type: 'AssetKnown', asset: { asset, scale: 8 } })
  say(Log.accounts, 'definitions-0', { type: 'MarketKnown', market: MARKET })
  say(Log.markets, 'definitions-0', { type: 'OpenMarket', commandId: 1, replyTo: '', market: MARKET })
  for (const commands of orderMessages({ resting, trading: 0 })) {
    for (const command of commands) say(Log.accounts, 'cmd', command)
  }
  return {
    accounts: { machine: accounts, state: states.accounts },
    engine: { machine: engine, state: states.engine },
  }
}

async function measure<State, Item, Event>({ machine, state }: Filled<State, Item, Event>): Promise<StateCost> {
  const directory = mkdtempSync(join(tmpdir(), 'exchange-bench-'))
  try {
    const path = join(directory, 'one.snapshot')
    const point = { applied: [1, 0] as const, itemsCount: 1, hash: 1, timeUs: 1, pairsIn: [], pairsOut: [] }
    const fold = new SlotFold(machine.rules, 0, new Map(), undefined, { point, state })
    const stateHash = machine.rules.stateHash(state)
    const header: SnapshotHeader = {
      log: machine.rules.log,
      slot: 0,
      stateVersion: 1,
      memoryVersion: 1,
      point,
      stateHash,
      messageHash: '',
      takenAt: '',
      instance: '',
    }
    const [writeMs] = await timed(() => writeSnapshotFile(path, header, packFold(machine, fold)))
    const [readMs, read] = await timed(() => readSnapshotFile(path))
    const [restoreMs, restored] = await timed(() => restoreFold(machine, 0, { name: path, ...read }))
    if (machine.rules.stateHash(restored.state) !== stateHash)
      throw new Error('what was restored is not what was written')
    return { writeMs, readMs, restoreMs, fileMb: Math.round(statSync(path).size / 1e5) / 10 }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function timed<Result>(work: () => Result | Promise<Result>): Promise<[number, Result]> {
  const before = process.threadCpuUsage()
  const result = await work()
  const { user, system } = process.threadCpuUsage(before)
  return [Math.round((user + system) / 1000), result]
}
