import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import type { AccountsState } from '#services/accounts/domain/accounts-state.ts'
import { AccountAnswers, MarketAnswers, type Said } from './answers.ts'
import { checkBooks, checkClearing } from './books-check.ts'
import { Difference } from './difference.ts'
import { PairLink } from './pair-link.ts'
import { Queue } from './queue.ts'
import { RowSums, SummingSink } from './row-sums.ts'
import { Suspects } from './suspects.ts'

const difference = (check: string, slot: string, position: string) => (error: unknown) =>
  error instanceof Difference && error.check === check && error.slot === slot && error.position === position

describe('the answers to commands', () => {
  const reply = (kind: 'void' | 'refused'): Said['replies'][number] =>
    kind === 'void'
      ? { kind, commandId: 1, orderId: 1, placed: false }
      : { kind, commandId: 1, orderId: 1, code: 'order_not_open' }
  const enter = { type: 'EnterOrder', commandId: 1, orderId: 1 }
  const outcome = { type: 'OrderOutcome', cause: 'placed', commandId: 1, orderId: 1 }
  const nothing: Said = { sent: [], replies: [] }

  it('are one each: a reply, or an item that is passed on', () => {
    const answers = new AccountAnswers('accounts-0')
    answers.applied(
      { type: 'PlaceOrder', commandId: 1 },
      'cmd',
      { sent: [{ target: 'markets-0', item: enter }], replies: [] },
      '1-0',
    )
    answers.applied({ type: 'CancelOrder', commandId: 2 }, 'cmd', { sent: [], replies: [reply('refused')] }, '1-1')
    answers.applied({ type: 'Nonsense' }, 'cmd', nothing, '1-2')
    assert.deepEqual([answers.commands, answers.passedOver, answers.waiting], [3, 1, 1])
    answers.applied(outcome, 'markets-0', nothing, '2-0')
    assert.deepEqual([answers.outcomes, answers.waiting], [1, 0])
  })
  it('are not two', () => {
    const answers = new AccountAnswers('accounts-0')
    const twice: Said = { sent: [{ target: 'markets-0', item: enter }], replies: [reply('void')] }
    assert.throws(
      () => answers.applied({ type: 'PlaceOrder', commandId: 1 }, 'cmd', twice, '1-0'),
      difference('answered_twice', 'accounts-0', '1-0'),
    )
  })
  it('are as many cancels as the reply names', () => {
    const cancel = (orderId: number) => ({
      target: 'markets-0',
      item: { type: 'CancelEntered', commandId: 9, orderId },
    })
    const cancels = { kind: 'cancels', commandId: 9, orderIds: [1, 2] } as const
    const answers = new AccountAnswers('accounts-0')
    answers.applied(
      { type: 'CancelOrders', commandId: 9 },
      'cmd',
      { sent: [cancel(1), cancel(2)], replies: [cancels] },
      '1-0',
    )
    assert.equal(answers.waiting, 2)
    assert.throws(
      () =>
        answers.applied(
          { type: 'CancelOrders', commandId: 9 },
          'cmd',
          { sent: [cancel(1)], replies: [cancels] },
          '1-1',
        ),
      difference('not_answered', 'accounts-0', '1-1'),
    )
  })
  it('are not followed by a second outcome, while fills of others may come at any time', () => {
    const answers = new AccountAnswers('accounts-0')
    answers.applied({ ...outcome, cause: 'matched' }, 'markets-0', nothing, '1-0')
    assert.throws(
      () => answers.applied(outcome, 'markets-0', nothing, '1-1'),
      difference('outcome_unasked', 'accounts-0', '1-1'),
    )
  })
  it('of a market go to the slot that asks, once', () => {
    const answers = new MarketAnswers('markets-0')
    const maker = { target: 'accounts-3', item: { ...outcome, cause: 'matched', orderId: 7 } }
    const own = { target: 'accounts-1', item: outcome }
    answers.applied(enter, 'accounts-1', { sent: [maker, own], replies: [] }, '1-0')
    assert.equal(answers.outcomes, 1)
    const cases: [Said['sent'], string][] = [
      [[maker], 'not_answered'],
      [[own, own], 'answered_twice'],
      [[{ ...own, target: 'accounts-2' }], 'answered_twice'],
    ]
    for (const [sent, check] of cases) {
      assert.throws(
        () => answers.applied(enter, 'accounts-1', { sent, replies: [] }, '1-1'),
        difference(check, 'markets-0', '1-1'),
      )
    }
  })
})

describe('a pair of slots', () => {
  it('agrees however far either end is ahead', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (steps) => {
        const link = new PairLink('accounts-0', 'markets-0')
        for (const sends of steps) {
          if (sends) link.send(`item ${link.sentCount + 1}`, '1-0')
          else link.receive(`item ${link.receivedCount + 1}`, '2-0')
        }
        assert.equal(link.underWayCount, Math.max(0, link.sentCount - link.receivedCount))
        assert.equal(link.ahead !== undefined, link.receivedCount > link.sentCount)
      }),
    )
  })
  it('names the item that differs, whichever end comes first', () => {
    const first = new PairLink('accounts-0', 'markets-0')
    first.send('a', '1-0')
    assert.throws(() => first.receive('b', '5-2'), difference('pair_item_differs', 'markets-0', '5-2'))
    const second = new PairLink('accounts-0', 'markets-0')
    second.receive('b', '5-2')
    assert.throws(() => second.send('a', '1-0'), difference('pair_item_differs', 'markets-0', '5-2'))
  })
})

describe('the books', () => {
  const SHAPE = { accountSlots: 2, marketSlots: 1 }
  const rules = createAccountsRules(SHAPE)

  function slot(number: number): AccountsState {
    const state = rules.initialState(number)
    state.assetRows.set('BTC', state.books.addAsset('BTC'))
    const member = state.members.add(number + 1)
    state.books.deposit(state.books.open(member, 0), 100n)
    return state
  }
  const under = (entries: [string, string[]][] = []) => new Map(entries)

  it('sum to zero', () => {
    const state = slot(0)
    checkBooks('accounts-0', '1-0', state)
    state.books.ofAsset(0).feesMinor += 1n
    assert.throws(() => checkBooks('accounts-0', '1-0', state), difference('books_not_zero', 'accounts-0', '1-0'))
  })
  it('say what the members have, not only a sum', () => {
    const state = slot(0)
    state.books.ofAsset(0).availableMinor += 1n
    assert.throws(() => checkBooks('accounts-0', '1-0', state), difference('books_not_zero', 'accounts-0', '1-0'))
  })
  it('clear on a cut that is closed by what is under way', () => {
    const [giver, receiver] = [slot(0), slot(1)]
    giver.books.transferOut(giver.books.find(0, 0), 30n, 1)
    const credit = { type: 'CreditTransfer', asset: 'BTC', amountMinor: '30' }
    const sums = checkClearing([
      { state: giver, underWay: under() },
      { state: receiver, underWay: under([['accounts-0', [JSON.stringify(credit)]]]) },
    ])
    assert.deepEqual(sums, [
      { asset: 'BTC', depositedMinor: 200n, membersMinor: 170n, feesMinor: 0n, underWayMinor: 30n },
    ])
    const repeat = JSON.stringify({ ...credit, repeated: true })
    for (const items of [[], [repeat]]) {
      assert.throws(
        () =>
          checkClearing([
            { state: giver, underWay: under() },
            { state: receiver, underWay: under([['accounts-0', items]]) },
          ]),
        (error) => error instanceof Difference && error.check === 'clearing_not_zero',
      )
    }
    receiver.books.transferOut(receiver.books.find(0, 0), -30n, 0)
    const [closed] = checkClearing([giver, receiver].map((state) => ({ state, underWay: under() })))
    assert.equal(closed?.underWayMinor, 0n)
  })
  it('do not clear when a market has taken more than it gave', () => {
    const state = slot(0)
    state.books.reserve(state.books.find(0, 0), 10n)
    state.books.consume(state.books.find(0, 0), 10n, 0)
    assert.throws(() => checkClearing([{ state, underWay: under() }]), difference('clearing_not_zero', 'markets-0', ''))
  })
})

describe('sums over rows', () => {
  const order = (orderId: number, executed: number, final: boolean) => ({
    keys: [5, orderId],
    columns: [executed],
    final,
  })

  it('are those of the rows as they are at the end, in any order', () => {
    const written = new SummingSink()
    written.put('orders', order(1, 0, false))
    written.put('orders', order(2, 0, false))
    written.put('orders', order(1, 3, false))
    written.put('balances', { keys: [5, 'BTC'], columns: ['1', '0'], final: false })
    written.put('orders', order(1, 9, true))
    written.put('balances', { keys: [5, 'BTC'], columns: ['2', '0'], final: false })
    const atTheEnd = new SummingSink()
    atTheEnd.put('balances', { keys: [5, 'BTC'], columns: ['2', '0'], final: false })
    atTheEnd.put('orders', order(2, 0, false))
    atTheEnd.put('orders', order(1, 9, true))
    for (const table of ['orders', 'balances'] as const)
      assert.deepEqual(written.sums.differing(table, atTheEnd.sums), [])
    assert.deepEqual([written.sums.rows('orders'), written.sums.rows('balances')], [2, 1])
    atTheEnd.put('orders', order(3, 9, true))
    assert.equal(written.sums.differing('orders', atTheEnd.sums).length, 1)
  })
  it('differ when two rows change places of a value', () => {
    const [a, b] = [new SummingSink(), new SummingSink()]
    a.put('orders', order(1, 7, true))
    a.put('orders', order(2, 8, true))
    b.put('orders', order(1, 8, true))
    b.put('orders', order(2, 7, true))
    assert.equal(a.sums.differing('orders', b.sums).length, 1)
    assert.deepEqual(new RowSums().differing('fills', new RowSums()), [])
  })
  it('lead to the first row that differs, by position', () => {
    const all = new Set(Array.from({ length: 256 }, (_, bucket) => bucket))
    const suspects = new Suspects('accounts-1', new Map([['movements', all]]))
    const columns = ['deposit', 'r', 'BTC', '1', '1', '0', 5]
    for (const sequence of [4, 9, 12]) {
      suspects.put('movements', { keys: [5, sequence, 0, 0], columns, final: true }, [sequence, 0, 0])
    }
    suspects.found('movements', [5, 4, 0, 0], columns)
    suspects.found('movements', [5, 12, 0, 0], columns.with(3, '2'))
    const first = suspects.first()
    assert.deepEqual([first?.check, first?.slot, first?.position], ['row_missing', 'accounts-1', '9-0-0'])
  })
})

describe('a queue', () => {
  it('gives back what was put in, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3, max: 3_000 }), { maxLength: 40 }), (steps) => {
        const queue = new Queue<number>()
        const twin: number[] = []
        let next = 0
        for (const step of steps) {
          if (step < 0) assert.equal(queue.shift(), twin.shift())
          for (let count = 0; count < step; count++) {
            queue.push(next)
            twin.push(next++)
          }
          for (let count = 0; count < step / 2; count++) assert.equal(queue.shift(), twin.shift())
          assert.deepEqual([queue.length, queue.first], [twin.length, twin[0]])
        }
        assert.deepEqual([...queue], twin)
      }),
      { numRuns: 30 },
    )
  })
})
