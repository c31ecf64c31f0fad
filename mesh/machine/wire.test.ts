import assert from 'node:assert/strict'
import fc from 'fast-check'
import { chainHash, chainHashes } from '#mesh/domain/chain.ts'
import { checkPairMessage, encodePairMessage, pairEndOf, pairStart, splitPairMessage } from './wire.ts'

const hashOf = (items: readonly string[]): number => items.reduce(chainHash, 0)
const run = (items: readonly string[], first: number, last: number) => ({
  header: { first, before: hashOf(items.slice(0, first - 1)) },
  items: items.slice(first - 1, last),
})

describe('messages between slots', () => {
  const items = ['{"n":1}', '{"n":2}', '{"n":3}', '{"n":4}']
  const end = { count: 2, hash: hashOf(items.slice(0, 2)) }
  const rows: [name: string, first: number, last: number, expected: object][] = [
    ['the next run', 3, 4, { take: 0 }],
    ['a run that overlaps', 1, 4, { take: 2 }],
    ['exactly what is known', 1, 2, { take: 2 }],
    ['a part of what is known', 1, 1, { take: 1 }],
    ['the middle of what is known, and more', 2, 3, { take: 1 }],
    ['a run after a gap', 4, 4, { refuse: 'gap' }],
  ]
  for (const [name, first, last, expected] of rows) {
    it(`takes ${name} as ${JSON.stringify(expected)}`, () => {
      const { header, items: run_ } = run(items, first, last)
      assert.deepEqual(checkPairMessage(end, header, run_), expected)
    })
  }
  it('refuses a run that follows another history', () => {
    assert.deepEqual(checkPairMessage(end, { first: 3, before: 42 }, ['{"n":3}']), { refuse: 'hash_differs' })
    assert.deepEqual(checkPairMessage(end, { first: 1, before: 0 }, ['{"n":1}', '{"n":9}', '{"n":3}']), {
      refuse: 'hash_differs',
    })
  })
  it('survives encoding', () => {
    const text = encodePairMessage({ first: 1, before: 0 }, items)
    assert.deepEqual(splitPairMessage(text), { header: { first: 1, before: 0 }, items })
    assert.deepEqual(pairEndOf(text), { count: 4, hash: hashOf(items) })
    assert.deepEqual(pairStart(), { count: 0, hash: 0 })
  })

  it('takes each item once, in order, however a sender bundles and repeats', () => {
    fc.assert(
      fc.property(
        fc.array(fc.json({ maxDepth: 1 }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.tuple(fc.nat(30), fc.nat(6)), { maxLength: 60 }),
        (all, sends) => {
          const receiver = pairStart()
          const taken: string[] = []
          for (const [from, length] of [...sends, ...all.map((_, index) => [index, 1] as const)]) {
            const first = (from % all.length) + 1
            const message = run(all, first, Math.min(all.length, first + length))
            const check = checkPairMessage(receiver, message.header, message.items)
            if ('refuse' in check) {
              assert.equal(check.refuse, 'gap')
              continue
            }
            for (const item of message.items.slice(check.take)) {
              taken.push(item)
              receiver.count++
              receiver.hash = chainHash(receiver.hash, item)
            }
          }
          assert.deepEqual(taken, all)
        },
      ),
    )
  })
})

describe('the chain of hashes', () => {
  it('stays below 2^53 and depends on every character and on what went before', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.maxSafeNat(), (text, at, previous) => {
        const value = chainHash(previous, text)
        assert(Number.isSafeInteger(value) && value >= 0)
        const index = at % text.length
        const changed = text.slice(0, index) + String.fromCharCode(text.charCodeAt(index) ^ 1) + text.slice(index + 1)
        assert.notEqual(chainHash(previous, changed), value)
        assert.notEqual(chainHash(previous === 0 ? 1 : previous - 1, text), value)
      }),
    )
  })
  it('continues two chains at once as it does each alone', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.string(), (first, second, text) => {
        const chains = [{ hash: first }, { hash: second }] as const
        chainHashes(...chains, text)
        assert.deepEqual(chains, [{ hash: chainHash(first, text) }, { hash: chainHash(second, text) }])
      }),
    )
  })

  it('has no two equal values among a million similar texts', () => {
    const seen = new Set<number>()
    for (let n = 0; n < 1_000_000; n++) seen.add(chainHash(7, `{"orderId":${n}}`))
    assert.equal(seen.size, 1_000_000)
  })
})
