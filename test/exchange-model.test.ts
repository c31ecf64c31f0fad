import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import { sourceName } from '#mesh/subjects.ts'
import { type Action, ASSETS, actions, openExchange, Player } from '#services/accounts/testing/commands.ts'
import { TestMesh } from '#services/accounts/testing/mesh.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import type { EngineState } from '#services/engine/domain/state.ts'
import { differences, type Observed } from './support/compare-with-naive.ts'
import { createNaiveExchange, type NaiveExchange } from './support/naive-exchange.ts'

const SETTINGS = { accountSlots: 3, marketSlots: 2 } as const

type Mesh = TestMesh<EngineState>

/** Whatever members do, and in whatever order the slots come to read what they send to each other. */
function played(sequence: readonly Action[]): Mesh {
  const mesh: Mesh = new TestMesh(SETTINGS, engineRules)
  openExchange(mesh)
  const player = new Player(mesh, { settled: false })
  for (const action of sequence) player.play(action)
  return mesh.run()
}

/** Told what the markets' logs hold and what money came and went; nothing of what the machines made of it. */
function naiveOf(mesh: Mesh): NaiveExchange {
  const naive = createNaiveExchange()
  for (const event of mesh.definitionEvents) {
    if (event.type === 'AssetDefined') naive.defineAsset(event.asset.asset, event.asset.scale)
  }
  for (let slot = 0; slot < SETTINGS.marketSlots; slot++) {
    const log = mesh.machines.get(sourceName('markets', slot))?.log ?? []
    for (const { text } of log) naive.apply(JSON.parse(text) as MarketItem)
  }
  for (const event of mesh.accountEvents) {
    if (event.type === 'BalanceChanged') naive.credit(event.memberId, event.asset, BigInt(event.amountMinor))
  }
  return naive
}

/** What members were told. */
function observedOf(mesh: Mesh): Observed {
  const orders = new Map<number, OrderState>()
  const fills: (Fill & { orderId: number })[] = []
  const balances = new Map<string, Observed['balances'][number]>()
  for (const event of mesh.accountEvents) {
    if (event.type === 'OrderChanged') {
      orders.set(event.order.orderId, event.order)
      for (const fill of event.fills) fills.push({ ...fill, orderId: event.order.orderId })
    }
    if (!('balances' in event)) continue
    const memberId = 'memberId' in event ? event.memberId : event.order.memberId
    for (const [asset, availableMinor, heldMinor] of event.balances) {
      balances.set(`${memberId} ${asset}`, { memberId, asset, availableMinor, heldMinor })
    }
  }
  const feesMinor = new Map<string, bigint>()
  for (const state of mesh.accounts) {
    for (const books of state.books.assetBooks()) {
      feesMinor.set(books.asset, (feesMinor.get(books.asset) ?? 0n) + books.feesMinor)
    }
  }
  return { orders: [...orders.values()], fills, balances: [...balances.values()], feesMinor }
}

describe('accounts and engine together', function () {
  this.timeout(120_000)

  it('do what a naive exchange does with the same orders: orders, fills, balances, fees', () => {
    let fillsCount = 0
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = played(sequence)
        const observed = observedOf(mesh)
        fillsCount += observed.fills.length
        assert.deepEqual(differences(naiveOf(mesh), observed), [])
      }),
      { numRuns: 150 },
    )
    assert(fillsCount > 150, 'the sequences trade')
  })

  it('leave nothing in the clearing accounts, and no money that was not deposited', () => {
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = played(sequence)
        for (const asset of ASSETS) {
          const sums = { clearing: 0n, owned: 0n, deposited: 0n }
          for (const state of mesh.accounts) {
            const books = state.books.assetBooks().find((each) => each.asset === asset)
            if (books === undefined) continue
            for (const minor of books.marketsMinor.values()) sums.clearing += minor
            for (const minor of books.transfersMinor.values()) sums.clearing += minor
            sums.owned += books.availableMinor + books.heldMinor + books.feesMinor
            sums.deposited += books.depositedMinor
          }
          assert.deepEqual({ asset, ...sums, clearing: 0n }, { asset, ...sums })
          assert.equal(sums.owned, sums.deposited)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('hold in the books of the accounts what rests in the books of the markets', () => {
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = played(sequence)
        const naive = naiveOf(mesh)
        for (const asset of ASSETS) {
          let heldMinor = 0n
          for (const state of mesh.accounts) {
            heldMinor += state.books.assetBooks().find((each) => each.asset === asset)?.heldMinor ?? 0n
          }
          const expected = naive.balances().filter((balance) => balance.asset === asset)
          assert.equal(
            heldMinor,
            expected.reduce((sum, balance) => sum + balance.heldMinor, 0n),
          )
        }
        for (const engine of mesh.engines) {
          for (const [instrument, { book }] of engine.markets) {
            const depth = { bids: [] as [number, number][], asks: [] as [number, number][] }
            book.depth(0, 1_000, (priceTicks, lots) => depth.bids.push([priceTicks, lots]))
            book.depth(1, 1_000, (priceTicks, lots) => depth.asks.push([priceTicks, lots]))
            assert.deepEqual(depth, naive.depth(instrument))
          }
        }
      }),
      { numRuns: 50 },
    )
  })

  it('are told apart from it by a single wrong minor unit', () => {
    const meshes = fc.sample(actions, { numRuns: 50, seed: 42 }).map(played)
    const mesh = meshes.find((each) => observedOf(each).fills.length > 0)
    assert(mesh !== undefined)
    const naive = naiveOf(mesh)
    const observed = observedOf(mesh)
    const [first, ...others] = observed.balances
    assert(first !== undefined)
    const wrong = { ...first, availableMinor: BigInt(first.availableMinor) + 1n }
    const fills = [...observed.fills]
    assert.equal(differences(naive, { ...observed, fills, balances: [wrong, ...others] }).length, 1)
    assert.equal(differences(naive, { ...observed, fills: fills.slice(1), balances: [first, ...others] }).length, 1)
  })
})
