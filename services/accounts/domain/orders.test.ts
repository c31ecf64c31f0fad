import assert from 'node:assert/strict'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { ANN, BOB, OneSlot, type Said } from '../testing/one-slot.ts'

const order = (fields: object = {}): Said => ({ type: 'PlaceOrder', ...fields })
const HOUR_US = 3_600_000_000

/** Kind, cause, status, executed, hold: an event in one line. */
function line(event: AccountEvent): string {
  if (event.type !== 'OrderPlaced' && event.type !== 'OrderChanged') return event.type
  const { orderId, status, executedLots, amountLots, executedQuoteMinor, feeMinor } = event.order
  const cause = event.type === 'OrderChanged' ? event.cause : 'entered'
  const balances = event.balances.map((balance) => balance.join(' ')).join(', ')
  return `${cause} ${orderId} ${status} ${executedLots}/${amountLots} for ${executedQuoteMinor} fee ${feeMinor}: ${balances}`
}

describe('the life of an order', () => {
  it('is told with the balances after each step; price improvement and remainders come back', () => {
    const slot = new OneSlot()
    slot.send(order({ commandId: 1, memberId: BOB, side: 'sell', priceTicks: 4, amountLots: 100 }))
    const bought = slot.send(order({ commandId: 2, priceTicks: 5, amountLots: 10 }))
    assert.deepEqual(bought.events.map(line), [
      'entered 2 new 0/10 for 0 fee 0: MILLI 500 500',
      'matched 1 partially_filled 10/100 for 400 fee 4: BTC 900 90, MILLI 1396 0',
      'placed 2 executed 10/10 for 400 fee 1: MILLI 600 0, BTC 1009 0',
    ])
    const cancelled = slot.send({ type: 'CancelOrder', orderId: 1, memberId: BOB })
    assert.deepEqual(cancelled.events.map(line), ['cancelled 1 cancelled 10/100 for 400 fee 4: BTC 990 0'])
    assert.equal(slot.state.books.ofAsset(0).feesMinor, 1n)
    assert.equal(slot.state.books.ofAsset(1).feesMinor, 4n)
  })

  it('goes on after its amendment lost the race against an execution', () => {
    const slot = new OneSlot()
    slot.send(order({ commandId: 1, priceTicks: 5, amountLots: 4 }))
    // Bob's order is on its way to the market before Ann's amendment.
    slot.sendOnly(order({ commandId: 2, memberId: BOB, side: 'sell', priceTicks: 5, amountLots: 4 }))
    slot.sendOnly({ type: 'AmendOrder', commandId: 3, orderId: 1, priceTicks: 6, amountLots: 8 })
    assert.equal(slot.balance(ANN, 'MILLI'), '520/480')
    slot.mesh.run()
    assert.deepEqual(slot.mesh.accountEvents.map(line), [
      'matched 1 executed 4/4 for 200 fee 1: MILLI 520 280, BTC 1003 0',
      'placed 2 executed 4/4 for 200 fee 4: BTC 996 0, MILLI 1196 0',
      'OrderCommandRefused',
    ])
    assert.equal(slot.balance(ANN, 'MILLI'), '800/0')
    assert.equal(slot.send({ type: 'CancelOrder', orderId: 1 }).replies[0]?.kind, 'refused')
  })

  it('reserves for an amendment what the worst order of events may need', () => {
    const slot = new OneSlot()
    slot.send(order({ commandId: 1, priceTicks: 5, amountLots: 10 }))
    assert.equal(slot.balance(ANN, 'MILLI'), '500/500')
    // Half the amount at twice the price: as much as before if nothing is executed until then.
    slot.sendOnly({ type: 'AmendOrder', orderId: 1, priceTicks: 10, amountLots: 5 })
    assert.equal(slot.balance(ANN, 'MILLI'), '500/500')
    slot.mesh.run()
    // More at a lower price: 12 × 4 < 5 × 10, but if the five are executed first, seven more are to be paid.
    slot.sendOnly({ type: 'AmendOrder', orderId: 1, priceTicks: 4, amountLots: 12 })
    assert.equal(slot.balance(ANN, 'MILLI'), '220/780')
    slot.mesh.run()
    assert.equal(slot.balance(ANN, 'MILLI'), '520/480')
  })

  it('is cancelled though its member is blocked', () => {
    const slot = new OneSlot()
    slot.send(order({ commandId: 1 }))
    slot.send({ type: 'SetAccountStatus', memberId: ANN, status: 'blocked' })
    assert.deepEqual(slot.send({ type: 'CancelOrders' }).events.map(line), [
      'cancelled 1 cancelled 0/4 for 0 fee 0: MILLI 1000 0',
    ])
  })

  it('can be named by the member’s own id for as long as it is open', () => {
    const slot = new OneSlot({ rememberedIdsMax: 3 })
    slot.send(order({ commandId: 1, clientOrderId: 'old' }))
    for (let count = 0; count < 10; count++) slot.send(order({ amountLots: 1 }))
    assert.equal(slot.state.remembered.findId(1), undefined)
    const repeat = slot.send(order({ clientOrderId: 'old' }))
    assert.deepEqual(
      repeat.replies.map(({ kind }) => kind),
      ['repeat'],
    )
    assert.deepEqual(slot.send({ type: 'CancelOrder', clientOrderId: 'old' }).events.map(line), [
      'cancelled 1 cancelled 0/4 for 0 fee 0: MILLI 1000 0',
    ])
    // And no longer: the id is as good as new.
    assert.equal(slot.send(order({ clientOrderId: 'old' })).events[0]?.type, 'OrderPlaced')
  })
})

describe('ids of orders', () => {
  it('are remembered for 24 hours', () => {
    const slot = new OneSlot()
    slot.send(order({ commandId: 1, clientOrderId: 'a', amountLots: 1 }))
    slot.mesh.timeUs += 24 * HOUR_US - 1_000_000
    assert.equal(slot.send(order({ clientOrderId: 'a' })).replies[0]?.kind, 'repeat')
    slot.mesh.timeUs += 61_000_000
    assert.equal(slot.send(order({ clientOrderId: 'a' })).events[0]?.type, 'OrderPlaced')
  })

  it('that are forgotten make what was sent before then too old: a redelivery is not carried out twice', () => {
    const slot = new OneSlot({ rememberedIdsMax: 3 })
    const sentAtUs = slot.mesh.timeUs + 50_000_000
    const said = order({ commandId: 1, clientOrderId: 'a', sentAtUs })
    assert.equal(slot.send(said).events[0]?.type, 'OrderPlaced')
    slot.send({ type: 'CancelOrder', orderId: 1 })
    for (let count = 0; count < 5; count++) slot.send(order({ amountLots: 1 }))
    slot.mesh.timeUs += HOUR_US
    const again = slot.send({ ...said, commandId: 900 })
    assert.deepEqual(
      again.replies.map((reply) => reply.kind === 'rejected' && reply.order.reason),
      ['too_old'],
    )
    // It has no event, for its order may have another row.
    assert.deepEqual(again.events, [])
    assert.equal(slot.send(order({ clientOrderId: 'a', sentAtUs: slot.mesh.timeUs })).events[0]?.type, 'OrderPlaced')
  })

  it('that were voided are refused without an event, and leave the member’s own id free', () => {
    const slot = new OneSlot()
    assert.deepEqual(slot.send({ type: 'VoidOrder', orderId: 1 }).events, [
      { type: 'OrderVoided', memberId: ANN, orderId: 1 },
    ])
    assert.deepEqual(slot.send(order({ commandId: 1, clientOrderId: 'a' })).events, [])
    assert.equal(slot.send(order({ commandId: 2, clientOrderId: 'a' })).events[0]?.type, 'OrderPlaced')
  })
})
