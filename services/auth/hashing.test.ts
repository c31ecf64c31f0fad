import assert from 'node:assert/strict'
import { createHasher } from './hashing.ts'

const QUICK = { costLog2: 10, blockSize: 8, parallel: 1 }

describe('hashing passwords', () => {
  it('the right one matches, another does not, and nobody has none', async () => {
    const hasher = createHasher(QUICK, 2)
    const stored = await hasher.hash('correct horse')
    assert.equal(await hasher.matches('correct horse', stored), true)
    assert.equal(await hasher.matches('correct horse ', stored), false)
    assert.equal(await hasher.matches('correct horse', undefined), false)
    assert.ok(!(await hasher.hash('correct horse')).hash.equals(stored.hash))
  })

  it('a hash made at another cost is checked at that cost, and told to be outdated', async () => {
    const before = createHasher({ ...QUICK, costLog2: 11, parallel: 2 }, 2)
    const stored = await before.hash('correct horse')
    const now = createHasher(QUICK, 2)
    assert.equal(await now.matches('correct horse', stored), true)
    assert.equal(now.isOutdated(stored), true)
    assert.equal(before.isOutdated(stored), false)
  })

  it('few at once, a bounded number waits, the rest is refused, and all who waited are served', async () => {
    const hasher = createHasher({ ...QUICK, costLog2: 12 }, 2)
    const results = await Promise.allSettled(Array.from({ length: 60 }, () => hasher.hash('correct horse')))
    const refused = results.filter((result) => result.status === 'rejected')
    assert.equal(refused.length, 60 - 42)
    for (const result of refused) if (result.status === 'rejected') assert.equal(result.reason.code, 'auth_busy')
    await hasher.hash('correct horse')
  })
})
