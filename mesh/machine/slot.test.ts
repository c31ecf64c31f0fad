import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Rules } from './rules.ts'
import { type LogMessage, SlotFold, SlotHalt } from './slot.ts'
import { encodePairMessage, pairStart } from './wire.ts'

interface Item {
  n: number
}
type Said = { said: number; at: number }

/** Says every number, sends the even ones to another slot, answers multiples of three. */
const rules: Rules<{ sum: number }, Item, Said> = {
  log: 'accounts',
  initialState: () => ({ sum: 0 }),
  stateHash: (state) => state.sum.toString(16),
  apply: (state, { n }, context) => {
    assert(n !== 13, 'thirteen')
    state.sum += n
    context.emit({ said: n, at: context.timeUs })
    const ticket = n % 2 === 0 ? context.send('markets', n % 3, { n }) : 'here'
    if (n % 3 === 0) context.reply('gateway-1', { kind: 'account', commandId: n, memberId: state.sum }, ticket)
  },
}

const message = (sequence: number, numbers: readonly number[], timeUs = sequence * 10): LogMessage => ({
  sequence,
  timeUs,
  source: 'cmd',
  text: numbers.map((n) => JSON.stringify({ n })).join('\n'),
})

function foldAll(messages: readonly LogMessage[], takeDraftAfter: (index: number) => boolean) {
  const fold = new SlotFold(rules, 0)
  const lines: string[] = []
  let replies = 0
  messages.forEach((each, index) => {
    let from = 0
    do from = fold.apply(each, from)
    while (from >= 0)
    if (takeDraftAfter(index) || index === messages.length - 1) {
      const draft = fold.takeDraft()
      lines.push(...draft.eventLines)
      replies += draft.replies.length
    }
  })
  const sent = [...fold.pairsOut.values()].map(({ subject, count, hash, unsent }) => ({ subject, count, hash, unsent }))
  return { hash: fold.hash, state: rules.stateHash(fold.state), timeUs: fold.timeUs, lines, replies, sent }
}

describe('the fold of a slot', () => {
  const numbers = fc.integer({ min: 0, max: 1_000 }).filter((n) => n !== 13)
  const batches = fc.array(fc.array(numbers, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 30 })

  it('gives the same bytes wherever the borders of the frames fall', () => {
    fc.assert(
      fc.property(batches, fc.infiniteStream(fc.boolean()), (all, borders) => {
        const messages = all.map((batch, index) => message(index + 1, batch))
        const cut = messages.map(() => borders.next().value === true)
        assert.deepEqual(
          foldAll(messages, (index) => cut[index] === true),
          foldAll(messages, () => false),
        )
      }),
    )
  })

  it('gives the same state, hash and items however commands are bundled', () => {
    fc.assert(
      fc.property(batches, (all) => {
        const bundled = foldAll([message(1, all.flat(), 10)], () => true)
        const single = foldAll(
          all.flat().map((n, index) => message(index + 1, [n], 10)),
          () => true,
        )
        assert.equal(bundled.state, single.state)
        assert.equal(bundled.hash, single.hash)
        assert.deepEqual(bundled.sent, single.sent)
      }),
    )
  })

  it('never lets time go back', () => {
    const fold = new SlotFold(rules, 0)
    fold.apply(message(1, [1], 500), 0)
    fold.apply(message(2, [2], 100), 0)
    assert.equal(fold.timeUs, 500)
  })

  it('says where an item stood, and how far a frame reaches', () => {
    const fold = new SlotFold(rules, 0)
    fold.apply(message(7, [1, 3]), 0)
    fold.apply(message(9, [5]), 0)
    const draft = fold.takeDraft()
    assert.deepEqual([draft.inFrom, draft.inTo, draft.complete], [[7, 0], [9, 0], true])
    assert.deepEqual(
      draft.eventLines.map((line) => JSON.parse(line).position),
      [
        [7, 0, 0],
        [7, 1, 0],
        [9, 0, 0],
      ],
    )
    assert.equal(draft.replies[0]?.position, '7-1-0')
  })

  it('closes a frame between two commands when it is full', () => {
    const fold = new SlotFold(rules, 0)
    const next = fold.apply(message(1, Array(6_000).fill(1)), 0)
    assert.equal(next, 5_000)
    const first = fold.takeDraft()
    assert.deepEqual([first.inTo, first.complete], [[1, 4_999], false])
    assert.equal(fold.apply(message(1, Array(6_000).fill(1)), next), -1)
    assert.deepEqual(fold.takeDraft().inFrom, [1, 5_000])
  })

  it('keeps only what the target does not have yet, and halts when the target has something else', () => {
    const whole = new SlotFold(rules, 0)
    whole.apply(message(1, [6, 12, 18]), 0)
    const [pair] = whole.pairsOut.values()
    assert(pair !== undefined)
    assert.equal(pair.unsent.length, 3)

    const half = new SlotFold(rules, 0)
    half.apply(message(1, [6, 12]), 0)
    const [halfPair] = half.pairsOut.values()
    assert(halfPair !== undefined)
    const stored = new Map([[pair.subject, { count: 2, hash: halfPair.hash, sequence: 40 }]])
    const successor = new SlotFold(rules, 0, stored)
    successor.apply(message(1, [6, 12, 18]), 0)
    assert.deepEqual(successor.pairsOut.get(pair.subject)?.unsent, ['{"n":18}'])

    const other = new SlotFold(rules, 0, new Map([[pair.subject, { count: 2, hash: 1, sequence: 40 }]]))
    assert.throws(
      () => other.apply(message(1, [6, 12, 18]), 0),
      (error) => error instanceof SlotHalt && error.code === 'sender_differs',
    )
  })

  it('goes on where the target has more than its own log led to, and halts when it comes to something else', () => {
    const sent = new SlotFold(rules, 0)
    sent.apply(message(1, [6, 12]), 0)
    const [pair] = sent.pairsOut.values()
    assert(pair?.count === 2)
    const stored = { count: 2, hash: pair.hash, sequence: 2 }
    // Its log has lost its end since: of what it had led to it has the first item alone.
    const behind = (): SlotFold<{ sum: number }, Item, Said> => {
      const fold = new SlotFold(rules, 0, new Map([[pair.subject, stored]]))
      fold.apply(message(1, [6]), 0)
      fold.markStored(pair.subject, stored)
      return fold
    }
    const same = behind()
    same.apply(message(2, [12]), 0)
    assert.deepEqual(same.pairsOut.get(pair.subject)?.unsent, [])
    assert.throws(() => behind().apply(message(2, [18]), 0), { code: 'sender_differs' })
  })

  it('halts on a failed assertion and on unreadable items of another slot, but passes over an unreadable command', () => {
    const fold = new SlotFold(rules, 0)
    const alarms: string[] = []
    fold.onAlarm = (code) => alarms.push(code)
    assert.equal(fold.apply({ ...message(1, []), text: 'not json\n{"n":5}' }, 0), -1)
    assert.deepEqual([alarms, fold.state.sum], [['command_unreadable'], 5])
    assert.throws(() => fold.apply(message(2, [13]), 0), SlotHalt)
    const pair = {
      sequence: 3,
      timeUs: 1,
      source: 'markets-0',
      text: encodePairMessage({ first: 1, before: pairStart().hash }, ['{']),
    }
    assert.throws(
      () => new SlotFold(rules, 0).apply(pair, 0),
      (error) => error instanceof SlotHalt && error.code === 'item_unreadable',
    )
  })
})
