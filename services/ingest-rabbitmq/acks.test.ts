import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Acks } from './acks.ts'

describe('acknowledgements', () => {
  it('go up to the first delivery that is not done, whatever the order in which they are done', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(Array.from({ length: 40 }, (_, index) => index + 1)),
        fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
        (order, flushes) => {
          const sent: number[] = []
          const acks = new Acks((tag) => sent.push(tag))
          const done = new Set<number>()
          for (const [at, tag] of order.entries()) {
            acks.done(tag)
            done.add(tag)
            if (flushes[at]) acks.flush()
          }
          acks.flush()
          let all = 0
          while (done.has(all + 1)) all++
          assert.equal(sent.at(-1) ?? 0, all)
          assert.deepEqual(
            sent,
            [...new Set(sent)].sort((a, b) => a - b),
          )
        },
      ),
    )
  })

  it('that come in one turn of the event loop are one', async () => {
    const sent: number[] = []
    const acks = new Acks((tag) => sent.push(tag))
    for (const tag of [2, 1, 4, 3]) acks.done(tag)
    await new Promise(setImmediate)
    assert.deepEqual(sent, [4])
  })
})
