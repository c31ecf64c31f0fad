import assert from 'node:assert/strict'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { imbalances, TestMesh } from '../testing/mesh.ts'
import { createNaiveEngine } from '../testing/naive-engine.ts'
import { NONE } from './row-index.ts'

const SLOTS = 4
/** Two members of different slots, and one of the first's own slot. */
const GIVER = 1
const OTHER = firstMember((slot) => slot !== accountSlotOf(GIVER, SLOTS))
const NEIGHBOUR = firstMember((slot) => slot === accountSlotOf(GIVER, SLOTS))

describe('transfers', () => {
  for (const [name, receiver] of Object.entries({ 'between slots': OTHER, 'within a slot': NEIGHBOUR })) {
    it(`${name} are answered when they have arrived`, () => {
      const mesh = newMesh(receiver)
      mesh.edge(transfer(1, receiver))
      mesh.edge({ ...transfer(2, receiver) })
      mesh.run()
      assert.deepEqual(
        mesh.takeReplies().map((reply) => reply.kind === 'booked' && [reply.commandId, reply.repeated]),
        [
          [1, false],
          [2, true],
        ],
      )
      assert.deepEqual([balance(mesh, GIVER), balance(mesh, receiver)], [60n, 140n])
      assert.deepEqual(mesh.accounts.flatMap(imbalances), [])
    })

    it(`${name} that are refused come back`, () => {
      const mesh = newMesh(receiver)
      mesh.edge({ type: 'SetAccountStatus', commandId: 9, replyTo: '', memberId: receiver, status: 'closed' })
      mesh.run()
      mesh.accountEvents.length = 0
      mesh.edge(transfer(1, receiver))
      mesh.edge(transfer(2, receiver))
      mesh.run()
      assert.deepEqual(
        mesh.takeReplies().map((reply) => reply.kind === 'ledgerRefused' && [reply.commandId, reply.code]),
        [
          [1, 'member_closed'],
          [2, 'member_closed'],
        ],
      )
      assert.deepEqual(
        mesh.accountEvents.map((event) => (event.type === 'BalanceChanged' ? event.cause : event.type)),
        ['transfer_out', 'transfer_returned', 'LedgerCommandRefused'],
      )
      assert.deepEqual([balance(mesh, GIVER), balance(mesh, receiver)], [100n, 100n])
    })
  }

  it('stand in the clearing accounts while they are on their way', () => {
    const mesh = newMesh(OTHER)
    mesh.edge(transfer(1, OTHER))
    while (balance(mesh, GIVER) === 100n) mesh.step()
    const [giverSlot, otherSlot] = [accountSlotOf(GIVER, SLOTS), accountSlotOf(OTHER, SLOTS)]
    assert.equal(mesh.accounts[giverSlot]?.books.ofAsset(0).transfersMinor.get(otherSlot), 40n)
    assert.deepEqual(mesh.accounts.flatMap(imbalances), [])
    mesh.run()
    assert.equal(mesh.accounts[otherSlot]?.books.ofAsset(0).transfersMinor.get(giverSlot), -40n)
  })
})

describe('references', () => {
  it('are good for one command in the whole exchange', () => {
    const mesh = newMesh(OTHER)
    const first = { type: 'Deposit', replyTo: 'edge-1', asset: 'BTC', amountMinor: '5', reference: 'once' } as const
    for (const [commandId, memberId] of [GIVER, OTHER, GIVER].entries()) {
      mesh.edge({ ...first, commandId: commandId + 1, memberId })
      mesh.run()
    }
    assert.deepEqual(
      mesh.takeReplies().map((reply) => (reply.kind === 'ledgerRefused' ? reply.code : reply.kind)),
      ['booked', 'reference_conflict', 'booked'],
    )
    assert.deepEqual([balance(mesh, GIVER), balance(mesh, OTHER)], [105n, 100n])
  })
})

function transfer(commandId: number, toMemberId: number): AccountEdgeCommand {
  const content = { reference: 't', asset: 'BTC', amountMinor: '40', memberId: GIVER, toMemberId }
  return { type: 'Transfer', commandId, replyTo: 'edge-1', ...content }
}

function newMesh(receiver: number) {
  const mesh = new TestMesh({ accountSlots: SLOTS, marketSlots: 1 }, createNaiveEngine())
  mesh.define({ type: 'DefineAsset', commandId: 1, replyTo: '', asset: 'BTC', scale: 0 })
  mesh.run()
  for (const memberId of [GIVER, receiver]) {
    mesh.edge({ type: 'CreateAccount', commandId: 1, replyTo: '', memberId })
    const first = { reference: `first ${memberId}`, asset: 'BTC', amountMinor: '100' }
    mesh.edge({ type: 'Deposit', commandId: 1, replyTo: '', memberId, ...first })
  }
  return mesh.run()
}

function balance(mesh: ReturnType<typeof newMesh>, memberId: number): bigint {
  const state = mesh.accounts[accountSlotOf(memberId, SLOTS)]
  assert(state !== undefined)
  const member = state.members.find(memberId)
  assert(member !== NONE)
  return state.books.available(state.books.find(member, 0))
}

function firstMember(isWanted: (slot: number) => boolean): number {
  for (let memberId = 2; ; memberId++) if (isWanted(accountSlotOf(memberId, SLOTS))) return memberId
}
