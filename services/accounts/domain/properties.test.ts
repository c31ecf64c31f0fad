import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { AccountEdgeCommand, AccountEvent, AccountItem } from '#mesh/protocol/accounts.ts'
import { Log, sourceName } from '#mesh/subjects.ts'
import { type Action, actions, MEMBERS, openExchange, Player } from '../testing/commands.ts'
import { imbalances, replay, TestMesh } from '../testing/mesh.ts'
import { NaiveAccounts } from '../testing/naive-accounts.ts'
import { createNaiveEngine, heldByMarkets, type NaiveEngineState } from '../testing/naive-engine.ts'
import { createAccountsRules } from './accounts-rules.ts'
import { type AccountsState, marketAt } from './accounts-state.ts'
import { createDefinitionsRules } from './definitions-rules.ts'
import { referenceSlotOf } from './references.ts'
import { NONE } from './row-index.ts'

const RUNS = Number(process.env.PROPERTY_RUNS ?? 150)
const SHAPE = { accountSlots: 3, marketSlots: 2 } as const
const SETTINGS = { ...SHAPE, openOrdersMax: 4 } as const

describe('account slots, under any commands in any interleaving', function () {
  this.timeout(120_000)

  it('keep their books: sums zero, nothing negative, holds as the markets have them', () => {
    // Few remembered ids, so that ids of open orders are forgotten as well.
    const settings = { ...SETTINGS, rememberedIdsMax: 12 }
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = newMesh(settings)
        mesh.onAccountsRead = (state) => assert.deepEqual(imbalances(state), [])
        playAll(mesh, sequence, { settled: false })
        assert.deepEqual(clearingSums(mesh), [])
        for (const state of mesh.accounts) {
          assert.deepEqual(holdsOf(state), marketsHoldsOf(mesh, state.slot))
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('say and are the same when their logs are read again', () => {
    const settings = { ...SETTINGS, rememberedIdsMax: 12 }
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = newMesh(settings)
        playAll(mesh, sequence, { settled: false })
        for (const { slot } of mesh.accounts) {
          assertSameAfterReplay(mesh, sourceName(Log.accounts, slot), (log) =>
            replay(createAccountsRules(settings), slot, log),
          )
        }
        assertSameAfterReplay(mesh, sourceName(Log.definitions, 0), (log) =>
          replay(createDefinitionsRules(SHAPE), 0, log),
        )
      }),
      { numRuns: RUNS },
    )
  })

  it('have the balances that a naive twin has, after every item', () => {
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = newMesh(SETTINGS, (fresh) => {
          const twins = fresh.accounts.map(({ slot }) => {
            const twin = new NaiveAccounts(slot, SHAPE.accountSlots, SETTINGS.openOrdersMax)
            twin.isHome = (reference) => referenceSlotOf(reference, SHAPE.accountSlots) === slot
            return twin
          })
          fresh.onAccountsRead = (state, read) => {
            const twin = twins[state.slot]
            assert(twin !== undefined)
            twin.apply(JSON.parse(read.text) as AccountItem)
            assert.deepEqual(balancesOf(state), twinBalances(twin), read.text)
          }
        })
        playAll(mesh, sequence, { settled: false })
      }),
      { numRuns: RUNS },
    )
  })

  it('say what came of each command of a broker, once', () => {
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = newMesh(SETTINGS)
        playAll(
          mesh,
          sequence.filter((action) => action.do !== 'again'),
          { settled: false },
        )
        assert.deepEqual(answersOf(mesh.accountEvents), brokersCommands(mesh))
      }),
      { numRuns: RUNS },
    )
  })

  it('come to the same end when commands of the edge come twice', () => {
    fc.assert(
      fc.property(actions, (sequence) => {
        const once = newMesh(SETTINGS)
        playAll(
          once,
          sequence.filter((action) => action.do !== 'again' && action.do !== 'redelivered'),
          { settled: true },
        )
        const twice = newMesh(SETTINGS)
        playAll(twice, sequence, { settled: true })
        for (const state of once.accounts) {
          const other = twice.accounts[state.slot]
          assert(other !== undefined)
          assert.deepEqual(balancesOf(other), balancesOf(state))
          assert.deepEqual(openOrders(other), openOrders(state))
        }
      }),
      { numRuns: RUNS },
    )
  })
})

type Mesh = TestMesh<NaiveEngineState>

/** Ids of the brokers' commands that an event answers, each as often as it is answered. */
function answersOf(events: readonly AccountEvent[]): number[] {
  const answered: number[] = []
  for (const event of events) {
    switch (event.type) {
      case 'OrderRejected':
        if (event.order.origin !== undefined) answered.push(event.order.orderId)
        break
      case 'OrderChanged':
        if (event.cause === 'placed' ? event.order.origin !== undefined : event.origin !== undefined) {
          answered.push(event.commandId)
        }
        break
      case 'OrderCommandRefused':
        if (event.origin !== undefined) answered.push(event.commandId)
        break
      case 'RequestAnswered':
        answered.push(event.commandId)
        break
    }
  }
  return answered.sort((a, b) => a - b)
}

function brokersCommands(mesh: Mesh): number[] {
  const ids = new Set<number>()
  for (const machine of mesh.machines.values()) {
    for (const { source, text } of machine.log) {
      if (source !== 'cmd') continue
      const { origin, commandId } = JSON.parse(text) as AccountEdgeCommand
      if (origin !== undefined) ids.add(commandId)
    }
  }
  return [...ids].sort((a, b) => a - b)
}

function newMesh(settings: ConstructorParameters<typeof TestMesh>[0], prepare: (mesh: Mesh) => void = () => {}): Mesh {
  const mesh = new TestMesh(settings, createNaiveEngine())
  prepare(mesh)
  openExchange(mesh)
  return mesh
}

function playAll(mesh: Mesh, sequence: readonly Action[], options: { readonly settled: boolean }): void {
  const player = new Player(mesh, options)
  for (const action of sequence) player.play(action)
  mesh.run()
}

function assertSameAfterReplay(mesh: Mesh, name: string, again: (log: Replayable['log']) => Replayable): void {
  const machine = mesh.machines.get(name)
  assert(machine !== undefined)
  const copy = again(machine.log)
  assert.deepEqual(copy.said, machine.said)
  assert.equal(copy.stateHash(), machine.stateHash())
}
type Replayable = Pick<ReturnType<typeof replay>, 'log' | 'said' | 'stateHash'>

function balancesOf(state: AccountsState): string[] {
  const found: string[] = []
  for (const memberId of MEMBERS) {
    const member = state.members.find(memberId)
    if (member === NONE) continue
    for (let row = state.members.firstBalanceOf(member); row !== NONE; row = state.books.nextOf(row)) {
      const [asset, available, held] = state.books.after(row)
      if (available !== '0' || held !== '0') found.push(`${memberId}/${asset} ${available} ${held}`)
    }
  }
  return found.sort()
}

const twinBalances = (twin: NaiveAccounts): string[] =>
  [...twin.balances]
    .filter(([, { available, held }]) => available !== 0n || held !== 0n)
    .map(([key, { available, held }]) => `${key} ${available} ${held}`)
    .sort()

function ordersOf(state: AccountsState): number[] {
  const rows: number[] = []
  for (const memberId of MEMBERS) {
    const member = state.members.find(memberId)
    if (member === NONE) continue
    for (let row = state.members.firstOrderOf(member); row !== NONE; row = state.orders.nextOf(row)) rows.push(row)
  }
  return rows
}

const openOrders = (state: AccountsState): object[] =>
  ordersOf(state)
    .map((row) => state.orders.stateOf(row, marketAt(state, state.orders.marketOf(row)).instrument))
    .map((order) => ({ ...order, receivedAtUs: 0, updatedAtUs: 0 }))
    .sort((a, b) => a.orderId - b.orderId)

/** Per asset: what the open orders hold, which is what the members' balances say. */
function holdsOf(state: AccountsState): Map<string, bigint> {
  const held = new Map<string, bigint>()
  for (const row of ordersOf(state)) {
    const market = marketAt(state, state.orders.marketOf(row))
    const { asset } = state.books.ofAsset(state.orders.sideOf(row) === 'buy' ? market.quote : market.base)
    held.set(asset, (held.get(asset) ?? 0n) + state.orders.holdOf(row))
  }
  for (const books of state.books.assetBooks()) assert.equal(books.heldMinor, held.get(books.asset) ?? 0n)
  return new Map([...held].sort())
}

function marketsHoldsOf(mesh: Mesh, slot: number): Map<string, bigint> {
  const held = new Map<string, bigint>()
  for (const engine of mesh.engines) {
    for (const [asset, minor] of heldByMarkets(engine, slot)) held.set(asset, (held.get(asset) ?? 0n) + minor)
  }
  return new Map([...held].sort())
}

/** At rest all clearing accounts of all slots sum to zero, per asset. */
function clearingSums(mesh: Mesh): string[] {
  const sums = new Map<string, bigint>()
  for (const state of mesh.accounts) {
    for (const { asset, marketsMinor, transfersMinor } of state.books.assetBooks()) {
      for (const minor of [...marketsMinor.values(), ...transfersMinor.values()]) {
        sums.set(asset, (sums.get(asset) ?? 0n) + minor)
      }
    }
  }
  return [...sums].filter(([, minor]) => minor !== 0n).map(([asset, minor]) => `${asset}: ${minor}`)
}
