import assert from 'node:assert/strict'
import type { Fault } from './faults.ts'
import { reportLines } from './report.ts'
import type { Bug } from './server.ts'
import { shrink } from './shrink.ts'
import { type SimulationResult, simulate } from './simulate.ts'

/** Seeds of every `npm test`, as many as the time allows; others are tried at night, see main.ts. */
const SEEDS_MAX = 300
const SEEDS_MIN = 50
const SEEDS_MS_MAX = 20_000

async function reportOf(failed: SimulationResult): Promise<string> {
  return reportLines(await shrink(failed)).join('\n')
}

describe('the whole mesh in a simulated world', function () {
  this.timeout(300_000)

  it('loses nothing, doubles nothing, and keeps the money exact, whatever goes wrong', async () => {
    const startedMs = performance.now()
    let seeds = 0
    const kinds = new Set<string>()
    let acknowledged = 0
    let unknown = 0
    let restarts = 0
    while (seeds < SEEDS_MAX && (seeds < SEEDS_MIN || performance.now() - startedMs < SEEDS_MS_MAX)) {
      const result = await simulate({ seed: ++seeds })
      if (result.wrongs.length > 0) assert.fail(await reportOf(result))
      for (const { kind } of result.faults) kinds.add(kind)
      acknowledged += result.counts.acknowledged
      unknown += result.counts.unknown
      restarts += result.counts.restarts
    }
    console.log(`      ${seeds} seeds, ${acknowledged} answers, ${restarts} restarts`)
    // Otherwise the faults would have been none, or nothing would have gone on beside them.
    assert(acknowledged > seeds * 50, `${acknowledged} requests were answered`)
    assert(restarts > seeds / 2, `${restarts} processes began again`)
    assert(unknown > 0, 'some members were left without an answer')
    assert(kinds.size >= 13, `these faults were tried: ${[...kinds].join(', ')}`)
  })

  it('does the same again for the same seed', async () => {
    const story = async (): Promise<string[]> => {
      const lines: string[] = []
      const { counts } = await simulate({ seed: 7, echo: (line) => lines.push(line) })
      return [...lines, JSON.stringify(counts)]
    }
    assert.deepEqual(await story(), await story())
  })

  it('has fewer faults in its report than went wrong', async () => {
    const faults: Fault[] = [
      { kind: 'stop', atMs: 100, instance: 'engine-a' },
      { kind: 'crash', atMs: 300, instance: 'accounts-0' },
      { kind: 'database away', atMs: 500, forMs: 100 },
    ]
    const failed = await simulate({ seed: 1, bug: 'answered_before_stored', faults })
    const smallest = await shrink(failed, { bug: 'answered_before_stored' })
    assert(smallest.faults.length < faults.length)
    assert.match(reportLines(smallest).join('\n'), /Seed 1 went wrong[\s\S]*npm run simulate -- --seed 1 --story/)
  })

  const bugs: { readonly bug: Bug; readonly fault: Fault; readonly found: RegExp }[] = [
    {
      bug: 'counter_not_restored',
      fault: { kind: 'crash', atMs: 300, instance: 'accounts-0' },
      found: /pair_hash_differs|sender_differs|begins at/,
    },
    {
      bug: 'answered_before_stored',
      fault: { kind: 'crash', atMs: 300, instance: 'markets-0' },
      found: /told (executed|partially_filled) with \d+ lots, read|was told to have bought: refused/,
    },
    {
      bug: 'unfenced_frame',
      fault: { kind: 'pause', atMs: 300, instance: 'accounts-0', forMs: 2_500 },
      found: /tells again what a frame before it has told/,
    },
  ]
  for (const { bug, fault, found } of bugs) {
    it(`finds a bug that was put in on purpose: ${bug}`, async () => {
      const faulty = await simulate({ seed: 1, bug, faults: [fault] })
      assert.match(faulty.wrongs.join('\n'), found)
      const sound = await simulate({ seed: 1, faults: [fault] })
      assert.deepEqual(sound.wrongs, [])
    })
  }
})
