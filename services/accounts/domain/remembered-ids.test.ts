import assert from 'node:assert/strict'
import fc from 'fast-check'
import { RecordsHash } from './hashes.ts'
import { IdKind, RememberedIds } from './remembered-ids.ts'

const HOUR_US = 3_600_000_000

/** [minutes since the entry before, member, own id or none]. */
const entries = fc.array(
  fc.tuple(
    fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 3 }) }, fc.nat({ max: 600 })),
    fc.integer({ min: 1, max: 3 }),
    fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }),
  ),
  { maxLength: 300, size: 'max' },
)

describe('remembered ids', () => {
  it('agree with a list that is searched from its end', () => {
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 60 }), (sequence, countMax) => {
        const remembered = new RememberedIds({ countMax, ageUsMax: 24 * HOUR_US })
        const list: { id: number; memberId: number; own: string | undefined; timeUs: number }[] = []
        let timeUs = 1_000 * HOUR_US
        let id = 2 ** 52
        for (const [minutes, memberId, number] of sequence) {
          timeUs += minutes * 60_000_000
          const forgotten: number[] = []
          remembered.forgetAged(timeUs, (old) => forgotten.push(old))
          const own = number === undefined ? undefined : `own-${number}`
          // To the minute: nothing before its 24 hours, everything a minute later.
          const dayAgoUs = timeUs - 24 * HOUR_US
          for (const old of forgotten) {
            const first = list.shift()
            assert(first !== undefined && first.id === old && first.timeUs < dayAgoUs)
          }
          assert((list[0]?.timeUs ?? dayAgoUs) >= dayAgoUs - 60_000_000)
          const known = list.find((entry) => own !== undefined && entry.own === own && entry.memberId === memberId)
          const found = own === undefined ? undefined : remembered.findClientOrderId(memberId, own)
          assert.equal(found?.id, known?.id)
          if (found === undefined) {
            id += 1 + (minutes % 7)
            const full = list.length === countMax
            remembered.remember(
              { id, kind: IdKind.order, contentHash: id - 5, memberId, clientOrderId: own, timeUs },
              (old) => forgotten.push(old),
            )
            if (full) assert.equal(forgotten.at(-1), list.shift()?.id)
            list.push({ id, memberId, own, timeUs })
          }
          assert.equal(remembered.count, list.length)
          for (const entry of list) {
            assert.deepEqual(remembered.findId(entry.id), {
              id: entry.id,
              kind: IdKind.order,
              contentHash: entry.id - 5,
            })
            assert(remembered.isOf(entry.id, entry.memberId))
            if (entry.own !== undefined) {
              assert.equal(remembered.findClientOrderId(entry.memberId, entry.own)?.id, entry.id)
            }
          }
          assert.equal(remembered.findId(id + 1), undefined)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('keep their number through many times as many entries', () => {
    const countMax = 20_000
    const remembered = new RememberedIds({ countMax, ageUsMax: 24 * HOUR_US })
    let oldest = 1
    for (let id = 1; id <= 200_000; id++) {
      const entry = { id, kind: IdKind.order, contentHash: 0, memberId: 7, clientOrderId: `own-${id}`, timeUs: id }
      remembered.remember(entry, (old) => assert.equal(old, oldest++))
      if (id % 1_000 === 0) {
        assert.equal(remembered.findClientOrderId(7, `own-${oldest}`)?.id, oldest)
        assert.equal(remembered.findClientOrderId(7, `own-${oldest - 1}`), undefined)
      }
    }
    assert.equal(remembered.count, countMax)
    assert.equal(remembered.forgottenUntilUs >= oldest - 1, true)
  })

  it('have another hash when anything in them differs', () => {
    const hashes = new Set<string>()
    for (const change of [{}, { id: 2 }, { kind: IdKind.voided }, { contentHash: 9 }, { memberId: 8 }, { timeUs: 6 }]) {
      const remembered = new RememberedIds({ countMax: 10, ageUsMax: 10 })
      const entry = { id: 1, kind: IdKind.order, contentHash: 3, memberId: 7, clientOrderId: 'a', timeUs: 5, ...change }
      remembered.remember(entry, () => {})
      const hash = new RecordsHash()
      remembered.addTo(hash, 1)
      hashes.add(hash.digest())
    }
    assert.equal(hashes.size, 6)
  })
})
