import assert from 'node:assert/strict'
import { createAdmission } from './admission.ts'

describe('admission', () => {
  it('keeps a quarter of the room for cancels', () => {
    const admission = createAdmission({ inFlightMax: 8, ordersPerSecondMax: 1000 }, { gateways: () => 1 })
    for (let count = 0; count < 6; count++) assert.equal(admission.enter('read'), undefined)
    assert.equal(admission.enter('read'), 'gateway_busy')
    assert.equal(admission.enter('order'), 'gateway_busy')
    assert.equal(admission.enter('cancel'), undefined)
    assert.equal(admission.enter('cancel'), undefined)
    assert.equal(admission.enter('cancel'), 'gateway_busy')
    admission.leave()
    assert.equal(admission.enter('cancel'), undefined)
    assert.equal(admission.inFlight, 8)
  })

  it('divides the room by the live gateways', () => {
    let gateways = 1
    const admission = createAdmission({ inFlightMax: 8, ordersPerSecondMax: 1000 }, { gateways: () => gateways })
    for (let count = 0; count < 3; count++) assert.equal(admission.enter('read'), undefined)
    gateways = 2
    assert.equal(admission.enter('read'), 'gateway_busy')
  })

  it('admits so many orders a second, a tenth of them at once', () => {
    let now = 0
    const admission = createAdmission(
      { inFlightMax: 1000, ordersPerSecondMax: 100 },
      { gateways: () => 2, nowMs: () => now },
    )
    const admitted = () => {
      let count = 0
      while (admission.enter('order') === undefined) count++
      return count
    }
    assert.equal(admitted(), 5)
    now = 20
    assert.equal(admitted(), 1)
    now = 1020
    assert.equal(admitted(), 5)
    assert.equal(admission.enter('read'), undefined)
  })

  it('takes no orders while the disks are full, but cancels and reads', () => {
    let disksAreFull = true
    const limits = { inFlightMax: 8, ordersPerSecondMax: 1000 }
    const admission = createAdmission(limits, { gateways: () => 1, disksAreFull: () => disksAreFull })
    assert.equal(admission.enter('order'), 'disk_full')
    assert.equal(admission.enter('cancel'), undefined)
    assert.equal(admission.enter('read'), undefined)
    disksAreFull = false
    assert.equal(admission.enter('order'), undefined)
  })
})
