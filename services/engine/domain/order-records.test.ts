import assert from 'node:assert/strict'
import { type OrderRecord, OrderRecords } from './order-records.ts'

const RECORD: OrderRecord = {
  memberId: Number.MAX_SAFE_INTEGER,
  accountSlot: 255,
  clientOrderId: 'mine',
  makerFeePpm: 100_000,
  takerFeePpm: 99_999,
  executedLots: Number.MAX_SAFE_INTEGER - 1,
  executedTickLots: 2n ** 84n - 1n,
  feeMinor: 2n ** 63n - 1n,
  createdAtUs: 1_700_000_000_000_001,
  receivedAtUs: 1_700_000_000_000_002,
}
const OTHER: OrderRecord = {
  memberId: 1,
  accountSlot: 0,
  clientOrderId: undefined,
  makerFeePpm: 0,
  takerFeePpm: 1,
  executedLots: 0,
  executedTickLots: 0n,
  feeMinor: 0n,
  createdAtUs: 0,
  receivedAtUs: 0,
}

describe('order records', () => {
  it('keep what was written, to the last bit, side by side and over growth', () => {
    const records = new OrderRecords()
    for (let index = 0; index < 3_000; index++) records.write(index, index % 3 === 0 ? RECORD : OTHER)
    for (let index = 0; index < 3_000; index++) assert.deepEqual(records.read(index), index % 3 === 0 ? RECORD : OTHER)
    assert.equal(records.memberId(0), RECORD.memberId)
    assert.equal(records.accountSlot(0), 255)
    assert.equal(records.makerFeePpm(0), 100_000)
    assert.equal(records.executedLots(0), RECORD.executedLots)
  })

  it('overwrite every word of an earlier order', () => {
    const records = new OrderRecords()
    records.write(0, RECORD)
    records.write(0, OTHER)
    assert.deepEqual(records.read(0), OTHER)
  })

  it('count executions beyond 2^53 tick-lots exactly', () => {
    const records = new OrderRecords()
    records.write(0, OTHER)
    let expected = 0n
    for (const tickLots of [2 ** 53 - 1, 1, 2 ** 53 - 1, 2 ** 53 - 1, 5, 2 ** 52 + 1]) {
      records.addFill(0, 3, tickLots, 7n)
      expected += BigInt(tickLots)
      assert.equal(records.read(0).executedTickLots, expected)
    }
    assert.equal(records.read(0).executedLots, 18)
    assert.equal(records.read(0).feeMinor, 42n)
  })

  it('refuse terms that they cannot hold', () => {
    const records = new OrderRecords()
    assert.throws(() => records.write(0, { ...RECORD, accountSlot: 256 }))
    assert.throws(() => records.write(0, { ...RECORD, makerFeePpm: 2 ** 17 }))
    assert.throws(() => records.write(0, { ...RECORD, feeMinor: 2n ** 64n }))
    assert.throws(() => records.read(0))
    records.write(0, { ...RECORD, feeMinor: 2n ** 64n - 1n })
    assert.throws(() => records.addFill(0, 1, 1, 1n))
  })
})
