import assert from 'node:assert/strict'
import type { Frame } from '#mesh/frames.ts'
import { FramesRefused, Inbox, type ProjectionBatch } from './inbox.ts'

class CountingBatch implements ProjectionBatch<object> {
  rowsCount = 0
  add(frame: Frame<object>): void {
    this.rowsCount += frame.events.length
  }
  statements(): string[] {
    return []
  }
}

const frameOf = (sequence: number, events: number): Frame<object> => ({
  header: { inFrom: [sequence, 0], inTo: [sequence, 9], complete: true, hash: sequence, timeUs: sequence, version: 1 },
  events: Array.from({ length: events }, (_, event) => ({ position: [sequence, 0, event] as const })),
})

describe('the inbox of a projection', () => {
  const inboxAfter = (afterFrameSequence: number) =>
    new Inbox<object>({ newBatch: () => new CountingBatch(), rowsMax: 10, afterFrameSequence })

  it('gives what has arrived as one batch, and where it ends', () => {
    const inbox = inboxAfter(0)
    assert(inbox.isEmpty)
    inbox.add(frameOf(5, 3), 11, 0)
    inbox.add(frameOf(6, 0), 12, 11)
    const { batch, to, oldestUs } = inbox.take()
    assert.equal(batch.rowsCount, 3)
    assert.equal(oldestUs, 5)
    const end = { frameSequence: 12, frameHash: 6, frameTimeUs: 6, inSequence: 6, inItem: 9, inComplete: true }
    assert.deepEqual(to, end)
    assert(inbox.isEmpty)
  })

  it('makes the reader wait when it is full, until it is emptied', async () => {
    const inbox = inboxAfter(0)
    assert.equal(inbox.add(frameOf(1, 9), 1, 0), undefined)
    const waiting = inbox.add(frameOf(2, 1), 2, 1)
    assert(waiting)
    inbox.take()
    await waiting
    assert.equal(inbox.add(frameOf(3, 1), 3, 2), undefined)
  })

  it('refuses a frame that does not follow the last one', () => {
    const inbox = inboxAfter(7)
    inbox.add(frameOf(1, 1), 9, 7)
    assert.throws(() => inbox.add(frameOf(3, 1), 12, 10), FramesRefused)
  })
})
