import assert from 'node:assert/strict'
import type { Instance } from './instances.ts'
import { problemsOf } from './problems.ts'
import type { Slot } from './slots.ts'
import type { State } from './state.ts'

const NOW_MS = 1_900_000_000_000

const WELL: Omit<State, 'problems'> = {
  atMs: NOW_MS,
  version: '1.0.0',
  instances: [],
  slots: [],
  projections: [{ name: 'orders', slot: 0, lagMs: 900, instance: 'orders-1', error: '' }],
  streams: [],
  consumers: [{ stream: 'EVENTS', subject: 'events.accounts.0', readers: 2, pending: 12 }],
  servers: [{ name: 'MySQL', state: 'ok', words: '', facts: [] }],
  trading: { ordersPerSecond: 0, tradesPerSecond: 0, markets: [], history: [] },
  books: [{ asset: 'USDT', members: '1', fees: '0', underWay: '0', deposited: '1', differsIn: [] }],
  alarms: [],
  links: [],
}
const instance = (name: string, state: Instance['state'], waitsFor: string[] = []): Instance => ({
  service: name.replace(/-[0-9]+$/, ''),
  instance: name,
  version: '1.0.0',
  node: 'v24.0.0',
  host: 'here',
  pid: 1,
  startedAt: '2031-05-04T03:02:01.000Z',
  state,
  waitsFor,
  cpuPercent: 0,
  busyPercent: 0,
  rssBytes: 1,
  goneS: state === 'gone' ? 5 : null,
  owns: [],
  checks: [],
})
const slot = (state: Slot['state'], halted: Slot['halted'] = null): Slot => ({
  service: 'engine',
  slot: 2,
  state,
  owner: state === 'ownerless' ? null : 'engine-1',
  epoch: 1,
  applied: 5,
  stored: 5,
  followers: [],
  halted,
})
const alarm = (at: number) => ({ at, level: 'fatal', kind: 'a:b', instance: 'a-1', message: '', details: '', held: 0 })

describe('what an operator is told first', () => {
  const rows: [what: string, state: Partial<State>, problems: string[]][] = [
    ['nothing, where all is well', {}, []],
    [
      'slots without an owner, in one line',
      { slots: [slot('ownerless'), { ...slot('ownerless'), slot: 3 }, slot('ok')] },
      ['bad: Nobody runs engine 2–3'],
    ],
    [
      'a halted slot, with its code',
      { slots: [slot('halted', { code: 'rules_failed', reason: '', sequence: 7, at: '' })] },
      ['bad: engine 2 is halted: rules_failed'],
    ],
    ['not a slot that is a message behind', { slots: [slot('behind')] }, []],
    [
      'an instance that was the only one',
      { instances: [instance('auth-1', 'gone')] },
      ['bad: auth-1 is gone, and no other auth is ready'],
    ],
    ['not one that others stand in for', { instances: [instance('auth-1', 'gone'), instance('auth-2', 'ready')] }, []],
    [
      'one that is not ready, less so where another is',
      {
        instances: [
          instance('auth-1', 'waiting', ['keys', 'nats']),
          instance('guid-1', 'waiting', ['nats']),
          instance('guid-2', 'ready'),
        ],
      },
      ['bad: auth-1 waits for keys, nats', 'warn: guid-1 waits for nats'],
    ],
    [
      'money that is missing',
      { books: [{ asset: 'USDT', members: '1', fees: '0', underWay: '0', deposited: '2', differsIn: [3] }] },
      ['bad: The books of accounts 3 do not sum to zero in USDT'],
    ],
    [
      'a server that is down',
      { servers: [{ name: 'MySQL', state: 'down', words: 'ECONNREFUSED', facts: [] }] },
      ['bad: MySQL is down: ECONNREFUSED'],
    ],
    [
      'what is written late, or not at all',
      {
        projections: [
          { name: 'orders', slot: 0, lagMs: 65_000, instance: 'orders-1', error: '' },
          { name: 'orders', slot: 1, lagMs: 0, instance: 'orders-1', error: 'frame_missing' },
          { name: 'orders', slot: 2, lagMs: 0, instance: 'orders-1', error: 'frame_missing' },
          { name: 'orders', slot: 3, lagMs: 6_000, instance: 'orders-1', error: '' },
        ],
      },
      ['bad: Nothing is written to orders 1–2: frame_missing', 'warn: orders is 65 s behind'],
    ],
    [
      'a reader that has fallen far behind',
      { consumers: [{ stream: 'EVENTS', subject: 'events.accounts.0', readers: 1, pending: 20_000 }] },
      ['warn: A reader of EVENTS events.accounts.0 has 20000 messages to read'],
    ],
    [
      'alarms of the last quarter of an hour',
      { alarms: [alarm(NOW_MS - 60_000), alarm(NOW_MS - 3_600_000)] },
      ['warn: 1 alarm in the last 15 minutes'],
    ],
  ]
  for (const [what, state, problems] of rows) {
    it(what, () => {
      const found = problemsOf({ ...WELL, ...state }, NOW_MS)
      assert.deepEqual(
        found.map(({ severity, words }) => `${severity}: ${words}`),
        problems,
      )
    })
  }
})
