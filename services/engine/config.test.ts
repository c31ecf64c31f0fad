import assert from 'node:assert/strict'
import { ConfigError } from '#mesh/config.ts'
import { envToConfig } from './config.ts'

describe('configuration of the engine', () => {
  it('has four slots unless it is told', () => {
    const four = envToConfig({})
    assert.deepEqual(four, {
      shape: { accountSlots: 4, marketSlots: 4, replicas: 1 },
      slots: [0, 1, 2, 3],
      snapshots: undefined,
    })
    const two = envToConfig({ MARKET_SLOTS: '2', ACCOUNT_SLOTS: '8' })
    assert.deepEqual(two, {
      shape: { accountSlots: 8, marketSlots: 2, replicas: 1 },
      slots: [0, 1],
      snapshots: undefined,
    })
  })

  it('refuses what is no number of slots', () => {
    for (const text of ['0', '257', '-1', '1.5', 'many', '']) {
      assert.throws(() => envToConfig({ MARKET_SLOTS: text }), ConfigError)
    }
  })
})
