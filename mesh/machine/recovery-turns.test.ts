import assert from 'node:assert/strict'
import { setImmediate as tick } from 'node:timers/promises'
import type { Holder } from './leases.ts'
import { RecoveryTurns } from './recovery-turns.ts'

const SLOTS = [0, 1, 2, 3]

/** Begins all slots together; the returned function ends the work under way. */
function begin(instanceId: string, holders: Holder[]) {
  const turns = new RecoveryTurns(instanceId, { holder: (slot) => holders[slot] ?? 'nobody' })
  const begun: number[] = []
  const ends: { resolve: () => void; reject: (error: Error) => void }[] = []
  const done = turns.order(SLOTS).map((slot) =>
    turns.inTurn(slot, async () => {
      begun.push(slot)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      ends.push({ resolve, reject })
      await promise
    }),
  )
  const settle = async (how: 'resolve' | 'reject' = 'resolve'): Promise<void> => {
    ends.at(-1)?.[how](new Error('on purpose'))
    await tick()
  }
  return { begun, done, settle, turns }
}

describe('turns of recoveries', () => {
  it('are one at a time: its own slots, then those that nobody has, then those of others', async () => {
    const { begun, done, settle } = begin('a', ['other', 'self', 'nobody', 'self'])
    const began = [begun.length]
    for (const _ of SLOTS) {
      await settle()
      began.push(begun.length)
    }
    await Promise.all(done)
    assert.deepEqual(began, [1, 2, 3, 4, 4])
    assert.deepEqual(begun.slice(0, 2).toSorted(), [1, 3])
    assert.deepEqual(begun.slice(2), [2, 0])
  })

  it('look at who has a slot when the turn comes', async () => {
    const holders: Holder[] = ['self', 'nobody', 'nobody', 'nobody']
    const { begun, settle } = begin('a', holders)
    const [second] = [1, 2, 3].filter((slot) => !begun.includes(slot))
    assert(second !== undefined)
    holders[second] = 'other'
    for (const _ of SLOTS) await settle()
    assert.equal(begun[0], 0)
    assert.equal(begun[3], second)
  })

  it('begin at different slots for instances without a past', () => {
    const first = (instanceId: string) => begin(instanceId, []).begun[0]
    assert.notEqual(first('engine-1'), first('engine-2'))
  })

  it('go on after a failure, and with who comes later', async () => {
    const { begun, done, settle, turns } = begin('a', [])
    const failed = assert.rejects(Promise.any([Promise.all(done)]))
    await settle('reject')
    assert.equal(begun.length, 2)
    for (const _ of SLOTS) await settle()
    await failed
    assert.equal(await turns.inTurn(2, () => Promise.resolve('again')), 'again')
  })
})
