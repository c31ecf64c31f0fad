import assert from 'node:assert/strict'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { ANN, BOB, OneSlot, type Said } from '../testing/one-slot.ts'

const HOUR_US = 3_600_000_000
const place = (fields: object = {}): Said => ({ type: 'PlaceOrder', origin: 'rabbitmq', replyTo: '', ...fields })
const cancel = (requestId: string, fields: object = {}): Said => ({
  type: 'CancelOrder',
  origin: 'rabbitmq',
  replyTo: '',
  requestId,
  orderId: 1,
  ...fields,
})
const amend = (requestId: string, fields: object = {}): Said => ({
  ...cancel(requestId, fields),
  type: 'AmendOrder',
  amountLots: 3,
  ...fields,
})

/** Kind, whose answer it is, and what it says. */
function line(event: AccountEvent): string {
  const asker = 'origin' in event && event.origin !== undefined ? ` of ${event.origin} ${event.requestId}` : ''
  if ('order' in event) return `${event.type}${asker} ${event.order.status} ${event.order.origin ?? 'own'}`
  if (event.type === 'RequestAnswered') return `${event.cause}${asker} order ${event.orderId} ${event.code ?? 'repeat'}`
  return event.type === 'OrderCommandRefused' ? `${event.type}${asker} ${event.code}` : event.type
}

describe('what came through a broker', () => {
  const lines = (slot: OneSlot, said: Said): string[] => slot.send(said).events.map(line)

  it('is told as such for as long as the order lives, whoever changes it', () => {
    const slot = new OneSlot()
    assert.deepEqual(lines(slot, place({ commandId: 1, clientOrderId: 'a' })), [
      'OrderPlaced new rabbitmq',
      'OrderChanged new rabbitmq',
    ])
    const sold = lines(slot, { type: 'PlaceOrder', commandId: 2, memberId: BOB, side: 'sell', amountLots: 2 })
    assert.deepEqual(sold, [
      'OrderPlaced new own',
      'OrderChanged partially_filled rabbitmq',
      'OrderChanged executed own',
    ])
    assert.deepEqual(lines(slot, { type: 'CancelOrder', orderId: 1 }), ['OrderChanged cancelled rabbitmq'])
    assert.deepEqual(lines(slot, place({ amountLots: 1, origin: 'kafka' })), ['OrderRejected rejected kafka'])
  })

  it('cancels and amends once for each identity, and says so each time', () => {
    const slot = new OneSlot()
    slot.send(place({ commandId: 1, clientOrderId: 'a' }))
    assert.deepEqual(lines(slot, amend('x')), ['OrderAmendForwarded', 'OrderChanged of rabbitmq x new rabbitmq'])
    assert.deepEqual(lines(slot, amend('x')), ['amended of rabbitmq x order 0 repeat'])
    assert.deepEqual(lines(slot, amend('x', { amountLots: 2 })), ['amended of rabbitmq x order 0 id_conflict'])
    // Another kind of command, another member: other identities.
    assert.deepEqual(lines(slot, cancel('x', { memberId: BOB })), ['cancelled of rabbitmq x order 1 order_not_found'])
    assert.deepEqual(lines(slot, cancel('x')), ['OrderChanged of rabbitmq x cancelled rabbitmq'])
    assert.deepEqual(lines(slot, cancel('x')), ['cancelled of rabbitmq x order 0 repeat'])
    assert.deepEqual(lines(slot, cancel('y')), ['cancelled of rabbitmq y order 1 order_not_open'])
    assert.deepEqual(lines(slot, amend('y')), ['amended of rabbitmq y order 1 order_not_open'])
  })

  it('never meets an order that took the name of the one that was meant', () => {
    const slot = new OneSlot()
    slot.send(place({ commandId: 1, clientOrderId: 'a' }))
    assert.deepEqual(lines(slot, cancel('x', { orderId: undefined, clientOrderId: 'a' })), [
      'OrderChanged of rabbitmq x cancelled rabbitmq',
    ])
    slot.mesh.timeUs += 25 * HOUR_US
    slot.send(place({ commandId: 2, clientOrderId: 'a' }))
    slot.mesh.timeUs -= 24 * HOUR_US
    const again = cancel('x', { orderId: undefined, clientOrderId: 'a', sentAtUs: slot.mesh.timeUs - HOUR_US })
    assert.deepEqual(lines(slot, again), ['cancelled of rabbitmq x order 2 too_old'])
  })

  it('is refused by the market with the sender’s identity', () => {
    const slot = new OneSlot()
    slot.send(place({ commandId: 1, clientOrderId: 'a' }))
    // Bob's order is on its way to the market before Ann's cancel.
    slot.sendOnly({ type: 'PlaceOrder', commandId: 2, memberId: BOB, side: 'sell', amountLots: 4 })
    slot.sendOnly(cancel('x'))
    slot.mesh.run()
    assert.deepEqual(slot.mesh.accountEvents.map(line).at(-1), 'OrderCommandRefused of rabbitmq x order_not_open')
  })

  it('amends only an order of the market in whose steps it counts', () => {
    const slot = new OneSlot()
    slot.send(place({ commandId: 1, clientOrderId: 'a' }))
    assert.deepEqual(lines(slot, amend('x', { instrument: 'ETH-MILLI' })), [
      'amended of rabbitmq x order 1 order_not_found',
    ])
    assert.deepEqual(lines(slot, amend('y', { instrument: 'BTC-MILLI' })), [
      'OrderAmendForwarded',
      'OrderChanged of rabbitmq y new rabbitmq',
    ])
  })

  it('is told when it repeats an order, takes its name for another, or is too old', () => {
    const slot = new OneSlot()
    const order = place({ commandId: 1, clientOrderId: 'a' })
    slot.send(order)
    assert.deepEqual(lines(slot, { ...order, commandId: 2 }), ['placed of rabbitmq a order 1 repeat'])
    assert.deepEqual(lines(slot, { ...order, commandId: 3, contentHash: 8 }), [
      'placed of rabbitmq a order 1 client_order_id_conflict',
    ])
    // The command itself once more, because its ack was lost: its first result is its result.
    assert.deepEqual(lines(slot, order), [])
    const sentAtUs = slot.mesh.timeUs - 25 * HOUR_US
    assert.deepEqual(lines(slot, place({ clientOrderId: 'b', sentAtUs })), ['placed of rabbitmq b order 0 too_old'])
    const { remembered } = slot.state
    const before = remembered.count
    assert.deepEqual(lines(slot, cancel('z', { sentAtUs })), ['cancelled of rabbitmq z order 1 too_old'])
    assert.equal(remembered.count, before)
    const ahead = { sentAtUs: slot.mesh.timeUs + 61_000_000 }
    assert.deepEqual(lines(slot, cancel('z', ahead)), ['cancelled of rabbitmq z order 1 sent_in_future'])
  })

  it('with an identity or an origin that is none is passed over', () => {
    const slot = new OneSlot()
    slot.send(place({ commandId: 1, clientOrderId: 'a' }))
    for (const bad of [cancel('a b'), cancel('x', { origin: 'carrier pigeon' }), cancel('x'.repeat(65))]) {
      assert.deepEqual(lines(slot, bad), [])
    }
    assert.equal(slot.balance(ANN, 'MILLI'), '800/200')
  })
})
