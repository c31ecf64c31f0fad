import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Position } from '#mesh/frames.ts'
import { comparePositions, parsePosition, positionText, START } from './position.ts'
import { PrivateRing } from './private-ring.ts'

const LIMITS = { keptUs: 100, charsMax: 1_000 }
const at = (sequence: number): Position => [sequence, 0, 0]

describe('positions', () => {
  it('are read as they are written, and nothing else is', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), (...position) => {
        assert.deepEqual(parsePosition(positionText(position)), position)
      }),
    )
    for (const text of ['', '1', '1-2', '1-2-3-4', '-1-2-3', '01-2-3', '1-2-x', ' 1-2-3', '1-2-3 '])
      assert.equal(parsePosition(text), undefined, text)
  })
  it('are ordered by sequence, item and event', () => {
    const ordered: Position[] = [START, [0, 0, 1], [0, 2, 0], [1, 0, 0], [1, 0, 10], [1, 2, 0], [11, 0, 0]]
    for (const [index, position] of ordered.entries()) {
      for (const [other, second] of ordered.entries())
        assert.equal(Math.sign(comparePositions(position, second)), Math.sign(index - other))
    }
  })
})

describe('the memory of a private channel', () => {
  const texts = (found: ReturnType<PrivateRing['after']>) => found?.told.map(({ text }) => text)

  it('gives a member what he had after a position, each with what came before it', () => {
    const ring = new PrivateRing(START, LIMITS)
    ring.add(1, at(1), 0, 'a')
    ring.add(2, at(2), 0, 'b')
    ring.add(1, at(3), 0, 'c')
    assert.deepEqual(texts(ring.after(1, START, 100)), ['a', 'c'])
    assert.deepEqual(texts(ring.after(1, at(1), 100)), ['c'])
    assert.deepEqual(texts(ring.after(1, at(2), 100)), ['c'])
    assert.deepEqual(texts(ring.after(1, at(3), 100)), [])
    assert.deepEqual(
      ring.after(1, START, 100)?.told.map(({ previous }) => previous),
      [START, at(1)],
    )
    assert.deepEqual([ring.hasAfter(1, at(1)), ring.hasAfter(1, at(3)), ring.hasAfter(9, START)], [true, false, false])
  })

  it('forgets by time and by size, and says so instead of leaving out', () => {
    const rows: [limits: typeof LIMITS, kept: string[]][] = [
      [{ keptUs: 5, charsMax: 1_000 }, ['c', 'd']],
      [{ keptUs: 1_000, charsMax: 3 }, ['b', 'c', 'd']],
      [{ keptUs: 1_000, charsMax: 1_000 }, ['a', 'b', 'c', 'd']],
    ]
    for (const [limits, kept] of rows) {
      const ring = new PrivateRing(START, limits)
      for (const [index, text] of ['a', 'b', 'c', 'd'].entries()) {
        ring.add(1, at(index + 1), index * 5, text)
        ring.advance(at(index + 1), index * 5)
      }
      const forgotten = 4 - kept.length
      assert.deepEqual(texts(ring.after(1, at(forgotten), 100)), kept)
      if (forgotten > 0) {
        assert.equal(ring.after(1, at(forgotten - 1), 100), undefined)
        assert.equal(ring.hasAfter(1, at(forgotten - 1)), true)
      }
    }
  })

  it('knows nothing of what was before it began', () => {
    const ring = new PrivateRing(at(10), LIMITS)
    assert.equal(ring.after(1, at(9), 100), undefined)
    assert.deepEqual(ring.after(1, at(10), 100), { told: [], isAll: true })
    assert.deepEqual(ring.add(1, at(12), 0, 'a').previous, at(10))
  })

  it('gives much in parts', () => {
    const ring = new PrivateRing(START, LIMITS)
    for (let index = 1; index <= 5; index++) ring.add(1, at(index), 0, 'xxxx')
    const first = ring.after(1, START, 10)
    assert.deepEqual([first?.told.length, first?.isAll], [2, false])
    // At least one, however long.
    assert.deepEqual(ring.after(1, START, 1)?.told.length, 1)
    assert.deepEqual(ring.after(1, at(3), 10), { told: ring.after(1, at(3), 100)?.told, isAll: true })
  })

  it('lets nobody miss anything unnoticed, whatever is forgotten meanwhile', () => {
    const step = fc.record({
      memberId: fc.integer({ min: 1, max: 3 }),
      /** Whether the message reaches the member, and whether he then asks. */
      arrives: fc.boolean(),
      asks: fc.boolean(),
      pauseUs: fc.integer({ min: 0, max: 40 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const ring = new PrivateRing(START, LIMITS)
        const clients = new Map([1, 2, 3].map((id) => [id, { position: START, seen: [] as number[], reloads: 0 }]))
        const sent = new Map<number, number[]>([1, 2, 3].map((id) => [id, []]))
        let timeUs = 0
        const catchUp = (memberId: number): void => {
          const client = clients.get(memberId)
          assert(client !== undefined)
          const found = ring.after(memberId, client.position, Number.POSITIVE_INFINITY)
          if (found === undefined) {
            client.seen = [...(sent.get(memberId) ?? [])]
            client.position = ring.end
            client.reloads += 1
          }
          for (const { text, position } of found?.told ?? []) {
            client.seen.push(Number(text))
            client.position = position
          }
        }
        for (const [index, { memberId, arrives, asks, pauseUs }] of steps.entries()) {
          timeUs += pauseUs
          const told = ring.add(memberId, at(index + 1), timeUs, String(index))
          ring.advance(at(index + 1), timeUs)
          sent.get(memberId)?.push(index)
          const client = clients.get(memberId)
          assert(client !== undefined)
          if (arrives) {
            if (comparePositions(told.previous, client.position) > 0) catchUp(memberId)
            else {
              client.seen.push(index)
              client.position = told.position
            }
            assert.deepEqual(client.seen, sent.get(memberId))
          }
          if (asks) {
            assert.equal(
              ring.hasAfter(memberId, client.position) || client.seen.length === sent.get(memberId)?.length,
              true,
            )
            catchUp(memberId)
            assert.deepEqual(client.seen, sent.get(memberId))
          }
        }
      }),
    )
  })
})
