import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CausalCut } from './cut.ts'

describe('the cut through copies of several logs', () => {
  it('keeps everything where all that was received was sent', () => {
    const cut = new CausalCut()
    cut.end('a', 10)
    cut.end('b', 20)
    cut.sent('a', 'b', { sequence: 9, count: 3 })
    cut.received('a', 'b', { sequence: 20, last: 3 })
    assert.deepEqual(
      [...cut.find()],
      [
        ['a', 10],
        ['b', 20],
      ],
    )
  })

  it('ends a log before the first message whose cause is lost, also when only a part of it is', () => {
    const cut = new CausalCut()
    cut.end('a', 10)
    cut.end('b', 20)
    cut.sent('a', 'b', { sequence: 9, count: 3 })
    cut.received('a', 'b', { sequence: 15, last: 2 })
    cut.received('a', 'b', { sequence: 17, last: 4 })
    cut.received('a', 'b', { sequence: 18, last: 5 })
    assert.equal(cut.find().get('b'), 16)
  })

  it('goes on until nothing is left without its cause', () => {
    const cut = new CausalCut()
    for (const slot of ['a', 'b', 'c']) cut.end(slot, 100)
    cut.received('a', 'b', { sequence: 50, last: 1 })
    cut.sent('b', 'c', { sequence: 50, count: 1 })
    cut.received('b', 'c', { sequence: 40, last: 1 })
    cut.sent('c', 'b', { sequence: 45, count: 1 })
    cut.received('c', 'b', { sequence: 30, last: 1 })
    assert.deepEqual(Object.fromEntries(cut.find()), { a: 100, b: 29, c: 39 })
  })

  it('is closed, and no log could go on for one more message', () => {
    // Each step is a message to a slot, caused by the slot's own last message, or from outside.
    const step = fc.record({ source: fc.integer({ min: -1, max: 2 }), target: fc.integer({ min: 0, max: 2 }) })
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.array(fc.nat(), { minLength: 3, maxLength: 3 }),
        (steps, losses) => {
          const logs: { cause: { source: number; at: number; count: number } | undefined }[][] = [[], [], []]
          const counts = new Map<string, number>()
          for (const { source, target } of steps) {
            const from = logs[source]
            if (from === undefined || from.length === 0) logs[target]?.push({ cause: undefined })
            else {
              const count = (counts.get(`${source}>${target}`) ?? 0) + 1
              counts.set(`${source}>${target}`, count)
              logs[target]?.push({ cause: { source, at: from.length, count } })
            }
          }
          const ends = logs.map((log, slot) => Math.max(0, log.length - ((losses[slot] ?? 0) % (log.length + 1))))
          const cut = new CausalCut()
          for (const [slot, end] of ends.entries()) cut.end(String(slot), end)
          const sent = logs.flatMap((log, target) =>
            log.flatMap(({ cause }) => (cause === undefined ? [] : [{ ...cause, target }])),
          )
          for (const { source, target, at, count } of sent.sort((a, b) => a.at - b.at)) {
            if (at <= (ends[source] ?? 0)) cut.sent(String(source), String(target), { sequence: at, count })
          }
          for (const [target, log] of logs.entries()) {
            for (const [index, { cause }] of log.slice(0, ends[target]).entries()) {
              if (cause === undefined) continue
              cut.received(String(cause.source), String(target), { sequence: index + 1, last: cause.count })
            }
          }
          const found = cut.find()
          const endOf = (slot: number): number => found.get(String(slot)) ?? 0
          const isCaused = (target: number, index: number): boolean => {
            const cause = logs[target]?.[index]?.cause
            return cause === undefined || cause.at <= endOf(cause.source)
          }
          for (const [target, log] of logs.entries()) {
            for (let index = 0; index < endOf(target); index++) assert(isCaused(target, index), 'closed')
            const next = endOf(target)
            if (next < (ends[target] ?? 0) && next < log.length) assert(!isCaused(target, next), 'as late as can be')
          }
        },
      ),
    )
  })
})
