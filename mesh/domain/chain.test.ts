import assert from 'node:assert/strict'
import fc from 'fast-check'
import { chainHash, chainHashes } from './chain.ts'

/** The same value, character by character. */
function twin(previous: number, text: string): number {
  let a = (previous >>> 0) ^ 0x9e3779b9
  let b = Math.floor(previous / 4294967296) ^ text.length ^ 0x85ebca6b
  for (let index = 0; index < text.length; index += 2) {
    const isPair = index + 1 < text.length
    const word = text.charCodeAt(index) | (isPair ? text.charCodeAt(index + 1) << 16 : 0)
    a = Math.imul(a ^ word, 0x2c1b3c6d)
    b = Math.imul(b ^ word, 0x297a2d39)
    if (!isPair) break
    a ^= a >>> 15
    b = (b << 13) | (b >>> 19)
  }
  const finish = (value: number): number => {
    const once = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
    const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35)
    return twice ^ (twice >>> 16)
  }
  const low = finish(a ^ b)
  return (finish(b + low) & 0x1fffff) * 4294967296 + (low >>> 0)
}

const hashes = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const texts = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) })

describe('The chain of hashes', () => {
  it('stays what it was, as logs hold its values', () => {
    assert.equal(chainHash(0, ''), 6_289_549_494_724_174)
    assert.equal(chainHash(0, '{"type":"Deposit"}'), 1_672_407_014_371_601)
    assert.equal(chainHash(2 ** 53 - 1, '€1'), 6_477_524_014_308_302)
  })

  it('depends on every UTF-16 unit, whatever the text was made of', () => {
    fc.assert(
      fc.property(hashes, texts, texts, (previous, text, more) => {
        const whole = twin(previous, text)
        assert.equal(chainHash(previous, text), whole)
        assert.equal(chainHash(previous, `${more}${text}`.slice(more.length)), whole)
        assert.equal(chainHash(previous, JSON.parse(JSON.stringify(text)) as string), whole)
      }),
    )
  })

  it('takes texts of any length', () => {
    for (const length of [1, 2, 8_191, 8_192, 8_193, 100_001, 3]) {
      const text = 'aé€'.repeat(length).slice(0, length)
      assert.equal(chainHash(7, text), twin(7, text))
      const chains = [{ hash: 1 }, { hash: 2 ** 53 - 1 }] as const
      chainHashes(...chains, text)
      assert.deepEqual(chains, [{ hash: twin(1, text) }, { hash: twin(2 ** 53 - 1, text) }])
    }
  })
})
