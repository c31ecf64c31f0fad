import assert from 'node:assert/strict'
import { decodeCursor, encodeCursor } from './cursor.ts'

describe('a cursor', () => {
  it('names a place in one kind of listing', () => {
    const cursor = encodeCursor('trades', [2 ** 53 - 1, 0, 12, 3])
    assert.match(cursor, /^[A-Za-z0-9_-]+$/)
    assert.deepEqual(decodeCursor('trades', 4, cursor), [2 ** 53 - 1, 0, 12, 3])
    assert.equal(decodeCursor('ledger', 4, cursor), undefined)
    assert.equal(decodeCursor('trades', 3, cursor), undefined)
  })

  it('is refused when it is none', () => {
    for (const wrong of [
      '',
      '!',
      'x'.repeat(300),
      btoa('orders.-1'),
      btoa('orders.9999999999999999'),
      btoa('orders.1e3'),
    ]) {
      assert.equal(decodeCursor('orders', 1, wrong), undefined, wrong)
    }
  })
})
