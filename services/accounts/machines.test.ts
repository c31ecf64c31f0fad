import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Log, sourceName } from '#mesh/subjects.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import { createAccountsRules } from './domain/accounts-rules.ts'
import { createDefinitionsRules } from './domain/definitions-rules.ts'
import { type Action, actions, openExchange, Player } from './testing/commands.ts'
import { imbalances, replay, TestMesh } from './testing/mesh.ts'

/**
 * The three machines together, without the bus: whatever members and admins do, in whatever order the slots read what
 * they send to each other, the books balance and a replay of any log gives the same.
 */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 100)
const SETTINGS = { accountSlots: 3, marketSlots: 2, openOrdersMax: 4, rememberedIdsMax: 12 } as const

describe('the machines together', function () {
  this.timeout(120_000)

  it('keep the books: every slot sums to zero after every item, the clearing accounts at rest', () => {
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = played(sequence, (fresh) => {
          fresh.onAccountsRead = (state) => assert.deepEqual(imbalances(state), [])
        })
        assert.deepEqual(clearingSums(mesh), [])
      }),
      { numRuns: RUNS },
    )
  })

  it('say and are the same when their logs are read again', () => {
    fc.assert(
      fc.property(actions, (sequence) => {
        const mesh = played(sequence)
        for (const [name, machine] of mesh.machines) {
          const slot = Number(name.slice(name.lastIndexOf('-') + 1))
          const copy = name.startsWith(Log.accounts)
            ? replay(createAccountsRules(SETTINGS), slot, machine.log)
            : name.startsWith(Log.markets)
              ? replay(engineRules, slot, machine.log)
              : replay(createDefinitionsRules(SETTINGS), slot, machine.log)
          assert.equal(name, sourceName(name.startsWith(Log.accounts) ? Log.accounts : logOf(name), slot))
          assert.deepEqual(copy.said, machine.said)
          assert.equal(copy.stateHash(), machine.stateHash())
        }
      }),
      { numRuns: RUNS },
    )
  })
})

type Mesh = ReturnType<typeof played>

function played(sequence: readonly Action[], prepare: (mesh: TestMesh<unknown>) => void = () => {}) {
  const mesh = new TestMesh(SETTINGS, engineRules)
  prepare(mesh)
  openExchange(mesh)
  const player = new Player(mesh, { settled: false })
  for (const action of sequence) player.play(action)
  return mesh.run()
}

const logOf = (name: string): Log => (name.startsWith(Log.markets) ? Log.markets : Log.definitions)

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
