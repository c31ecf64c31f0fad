import assert from 'node:assert/strict'
import { booksOf, differencesOf, type SlotTotals } from './books.ts'

const slot = (number: number, available: string, clearing: readonly string[] = []): SlotTotals => ({
  read: 'totals',
  slot: number,
  totals: [
    {
      asset: 'USDT',
      availableMinor: available,
      heldMinor: '500',
      feesMinor: '25',
      clearing: clearing.map((balanceMinor, index) => ({ account: `markets-${index}`, balanceMinor })),
      depositedMinor: '2000',
    },
  ],
})

describe('the books of the account slots', () => {
  it('sum to zero, with what is under way', () => {
    assert.deepEqual([...differencesOf(slot(0, '1475'))], [['USDT', 0n]])
    assert.deepEqual([...differencesOf(slot(0, '1675', ['-300', '100']))], [['USDT', 0n]])
  })

  it('are added up, and name the slot where a minor unit is missing or too much', () => {
    const slots = [slot(0, '1475'), slot(1, '1474'), slot(2, '1675', ['-200']), slot(3, '1476')]
    assert.deepEqual(
      booksOf(slots, () => 2),
      [{ asset: 'USDT', members: '81', fees: '1', underWay: '-2', deposited: '80', differsIn: [1, 3] }],
    )
  })
})
