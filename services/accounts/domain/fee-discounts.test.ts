import assert from 'node:assert/strict'
import { ANN, BOB, NOBODY, OneSlot, type Said } from '../testing/one-slot.ts'
import { createAccountsRules } from './accounts-rules.ts'
import { FeeDiscounts } from './fee-discounts.ts'
import { RecordsHash } from './hashes.ts'

const DAY = 20_000
const discount = (fields: object = {}): Said => ({ type: 'SetFeeDiscount', day: DAY, discountPpm: 500_000, ...fields })

/** Makers pay 1 % in this market, takers 2 %. Bob sells to Ann; their fees in minor units, buyer first. */
function trade(slot: OneSlot, amountLots = 100): string[] {
  const { events: placed } = slot.send({ type: 'PlaceOrder', memberId: BOB, side: 'sell', amountLots, priceTicks: 1 })
  const { events } = slot.send({ type: 'PlaceOrder', memberId: ANN, side: 'buy', amountLots, priceTicks: 1 })
  return [...placed, ...events].flatMap((event) =>
    event.type === 'OrderChanged' ? event.fills.map(({ feeMinor }) => `${event.order.side} ${feeMinor}`) : [],
  )
}

describe('a discount on fees', () => {
  it('is for orders that come after it, and for that member alone', () => {
    const slot = new OneSlot()
    slot.send({ type: 'Deposit', memberId: ANN, asset: 'MILLI', amountMinor: '9000', reference: 'more' })
    assert.deepEqual(trade(slot).sort(), ['buy 2', 'sell 10'])
    assert.deepEqual(slot.send(discount({ memberId: BOB })).events, [
      { type: 'FeeDiscountChanged', memberId: BOB, day: DAY, discountPpm: 500_000 },
    ])
    assert.deepEqual(trade(slot).sort(), ['buy 2', 'sell 5'])
    slot.send({ type: 'PlaceOrder', memberId: BOB, side: 'sell', amountLots: 100, priceTicks: 1 })
    slot.send(discount({ memberId: BOB, day: DAY + 1, discountPpm: 0 }))
    const { events } = slot.send({ type: 'PlaceOrder', memberId: ANN, side: 'buy', amountLots: 100, priceTicks: 1 })
    const sold = events.flatMap((event) =>
      event.type === 'OrderChanged' && event.order.side === 'sell' ? event.fills : [],
    )
    assert.deepEqual(
      sold.map(({ feeMinor }) => feeMinor),
      ['5'],
      'it had the discount when it came',
    )
    assert.deepEqual(trade(slot).sort(), ['buy 2', 'sell 10'])
  })

  it('changes nothing when it comes again, or late', () => {
    const slot = new OneSlot()
    assert.equal(slot.send(discount()).events.length, 1)
    assert.equal(slot.send(discount()).events.length, 0)
    assert.equal(slot.send(discount({ day: DAY + 1 })).events.length, 0)
    const late = slot.send(discount({ discountPpm: 900_000 }))
    assert.deepEqual([late.events.length, late.replies.map(({ kind }) => kind)], [0, ['account']])
    assert.deepEqual(
      slot.send(discount({ memberId: NOBODY })).replies.map((reply) => reply.kind),
      ['ledgerRefused'],
    )
  })

  it('of the wrong shape is passed over', () => {
    for (const wrong of [
      { day: 0 },
      { day: 1.5 },
      { discountPpm: -1 },
      { discountPpm: 1_000_001 },
      { discountPpm: '5' },
    ]) {
      const { events, replies } = new OneSlot().send(discount(wrong))
      assert.deepEqual([events, replies], [[], []])
    }
  })

  it('rounds what is left of a rate up', () => {
    const discounts = new FeeDiscounts()
    assert.equal(discounts.rateFor(1, 2_000), 2_000)
    discounts.set(1, DAY, 333_333)
    assert.deepEqual(
      [2_000, 1, 0, 100_000].map((rate) => discounts.rateFor(1, rate)),
      [1_334, 1, 0, 66_667],
    )
    discounts.set(1, DAY, 1_000_000)
    assert.equal(discounts.rateFor(1, 2_000), 0)
  })

  it('is in the state; a state that never had one is what it always was', () => {
    const hashOf = (discounts: FeeDiscounts): string => {
      const hash = new RecordsHash()
      discounts.addTo(hash, 4)
      return hash.digest()
    }
    const none = new FeeDiscounts()
    assert.deepEqual([none.packed(), hashOf(none)], [undefined, new RecordsHash().digest()])
    const some = new FeeDiscounts()
    some.set(2, DAY, 5)
    some.set(1, DAY, 7)
    assert.deepEqual(some.packed(), [
      DAY,
      [
        [1, 7],
        [2, 5],
      ],
    ])
    assert.equal(hashOf(FeeDiscounts.restore(some.packed())), hashOf(some))
    const rules = createAccountsRules({ accountSlots: 1, marketSlots: 1 })
    const slot = new OneSlot()
    const before = rules.stateHash(slot.state)
    slot.send(discount({ memberId: ANN }))
    assert.notEqual(rules.stateHash(slot.state), before)
  })
})
