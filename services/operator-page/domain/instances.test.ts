import assert from 'node:assert/strict'
import type { Presence } from '#mesh/presence.ts'
import { hear, instancesOf, type Roster } from './instances.ts'

const NOBODY: Roster = new Map()
const presence = (instance: string, load: Partial<Presence['load']> = {}, more: Partial<Presence> = {}): Presence => ({
  service: instance.replace(/-[0-9]+$/, ''),
  instance,
  version: '1.0.0',
  node: 'v24.0.0',
  host: 'here',
  pid: 1,
  startedAt: '2031-05-04T03:02:01.000Z',
  tracing: null,
  load: { upMs: 10_000, cpuMs: 1_000, busyMs: 500, rssBytes: 1_000_000, ...load },
  health: { ready: true, checks: { started: { ok: true } } },
  ...more,
})
const shown = (roster: Roster, nowMs: number) => instancesOf(roster, [], nowMs)

describe('the roster of instances', () => {
  it('tells load from two looks, and from none where the process is another one', () => {
    const first = hear(NOBODY, [presence('auth-1')], 0)
    assert.equal(shown(first, 0)[0]?.cpuPercent, null)
    const second = hear(first, [presence('auth-1', { upMs: 12_000, cpuMs: 1_500, busyMs: 1_000 })], 2_000)
    const [busy] = shown(second, 2_000)
    assert.deepEqual([busy?.cpuPercent, busy?.busyPercent], [25, 25])
    const restarted = presence('auth-1', { upMs: 100, cpuMs: 90 }, { startedAt: '2031-05-04T03:03:00.000Z' })
    assert.equal(shown(hear(second, [restarted], 3_000), 3_000)[0]?.cpuPercent, null)
  })

  it('misses one that is silent for two looks, not for one, and forgets it in the end', () => {
    const roster = hear(NOBODY, [presence('auth-1'), presence('guid-1')], 0)
    const later = hear(roster, [presence('guid-1')], 1_000)
    assert.deepEqual(
      shown(later, 1_000).map(({ state }) => state),
      ['ready', 'ready'],
    )
    const gone = shown(hear(later, [presence('guid-1')], 3_000), 3_000)
    assert.deepEqual(
      gone.map(({ instance, state, goneS }) => [instance, state, goneS]),
      [
        ['auth-1', 'gone', 3],
        ['guid-1', 'ready', null],
      ],
    )
    assert.deepEqual(
      shown(hear(later, [presence('guid-1')], 700_000), 700_000).map(({ instance }) => instance),
      ['guid-1'],
    )
  })

  it('says what one waits for, what it runs, and sorts as people count', () => {
    const waiting = presence(
      'gateway-10',
      {},
      {
        health: { ready: false, checks: { tokens: { ok: false }, nats: { ok: true, detail: { a: 1 } } } },
      },
    )
    const owned = [0, 1].map((slot) => ({ instance: 'gateway-9', name: 'accounts', slot }))
    const all = instancesOf(hear(NOBODY, [waiting, presence('gateway-9')], 0), owned, 0)
    assert.deepEqual(
      all.map(({ instance, state, waitsFor, owns: own }) => [instance, state, waitsFor, own]),
      [
        ['gateway-9', 'ready', [], ['accounts 0–1']],
        ['gateway-10', 'waiting', ['tokens'], []],
      ],
    )
    assert.deepEqual(all[1]?.checks[1], { name: 'nats', isOk: true, detail: '{"a":1}' })
  })
})
