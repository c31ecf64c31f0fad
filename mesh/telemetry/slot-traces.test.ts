import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Rules } from '../machine/rules.ts'
import { type LogMessage, SlotFold } from '../machine/slot.ts'
import { encodePairMessage, splitPairMessage } from '../machine/wire.ts'
import { decodeItem } from '../protocol/compact.ts'
import { decodeHops, decodeTraces, encodeTraces, type WrittenRun } from './beside.ts'
import { SlotTraces } from './slot-traces.ts'
import type { Sampling, SpanRecord, Telemetry } from './telemetry.ts'
import { newTrace, type Traceparent, traceIdOf } from './traceparent.ts'

interface Item {
  readonly type: string
  readonly commandId: number
}

/** Says each command, sends it once or twice to a market, and answers it. */
const rules: Rules<{ sum: number }, Item, Item> = {
  log: 'accounts',
  initialState: () => ({ sum: 0 }),
  stateHash: (state) => state.sum.toString(16),
  apply: (state, item, context) => {
    state.sum += item.commandId
    context.emit(item)
    context.send('markets', 0, { ...item, type: 'EnterOrder' })
    if (item.commandId % 3 === 0) context.send('markets', 0, { ...item, type: 'CancelEntered' })
    if (item.commandId % 2 === 0) context.reply('gateway-1', { kind: 'void', ...item, orderId: 1, placed: true })
  },
}

class Recorder implements Telemetry {
  readonly spans: SpanRecord[] = []
  sampling: Sampling = 0.01
  #us = 1_000
  nowUs = (): number => ++this.#us
  record = (span: SpanRecord): void => void this.spans.push(span)
  begin = (): never => assert.fail('no edge')
  active = (): undefined => undefined
  run = <Result>(_: unknown, work: () => Result): Result => work()
  stop = async (): Promise<void> => {}
}

const itemsOf = (ids: readonly number[]): string =>
  ids.map((commandId) => JSON.stringify({ type: 'PlaceOrder', commandId })).join('\n')

const message = (sequence: number, ids: readonly number[], traces?: string): LogMessage => ({
  sequence,
  timeUs: sequence * 10,
  source: 'cmd',
  text: itemsOf(ids),
  traces,
})

function foldAll(messages: readonly LogMessage[], telemetry: Telemetry | undefined) {
  const fold = new SlotFold(rules, 0)
  if (telemetry !== undefined) fold.traces = new SlotTraces(telemetry, 'accounts', 0)
  for (const each of messages) {
    fold.traces?.begin()
    let from = 0
    do from = fold.apply(each, from)
    while (from >= 0)
  }
  const draft = fold.takeDraft()
  const [pair] = fold.pairsOut.values()
  assert(pair)
  return { fold, draft, pair }
}

describe('what travels beside items', () => {
  const ids = fc.array(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 12,
  })

  it('changes no byte of what a slot makes of its log', () => {
    fc.assert(
      fc.property(ids, fc.infiniteStream(fc.boolean()), (all, choices) => {
        const traced = all.map((batch, at) => {
          const sampled = batch.flatMap((_, index) =>
            choices.next().value === true ? [[index, newTrace()] as const] : [],
          )
          return message(at + 1, batch, sampled.length === 0 ? undefined : encodeTraces(sampled))
        })
        const plain = traced.map(({ traces: _, ...rest }) => rest)
        const on = foldAll(traced, new Recorder())
        const off = foldAll(plain, undefined)
        assert.deepEqual(
          [on.fold.hash, on.fold.state, on.draft.eventLines, on.pair.unsent, on.pair.hash, on.fold.point()],
          [off.fold.hash, off.fold.state, off.draft.eventLines, off.pair.unsent, off.pair.hash, off.fold.point()],
        )
        assert.equal(off.draft.traces, undefined)
        assert(off.draft.replies.every(({ way }) => way === undefined))
      }),
    )
  })

  it('finds its item again in the next slot, however the items are bundled on the way', () => {
    fc.assert(
      fc.property(ids, fc.infiniteStream(fc.boolean()), fc.infiniteStream(fc.nat(4)), (all, choices, sizes) => {
        const traceOf = new Map<number, Traceparent>()
        let n = 0
        const messages = all.map((batch, at) => {
          const numbers = batch.map(() => ++n)
          const sampled = numbers.flatMap((commandId, index) => {
            if (choices.next().value !== true) return []
            const span = newTrace()
            traceOf.set(commandId, span)
            return [[index, span] as const]
          })
          return message(at + 1, numbers, encodeTraces(sampled))
        })
        const { fold, pair } = foldAll(messages, new Recorder())
        const received = new Recorder()
        const next = new SlotTraces(received, 'markets', 0)
        const seen: [number, string | undefined][] = []
        for (let first = 1; first <= pair.unsent.length; ) {
          const items = pair.unsent.slice(first - 1, first + (sizes.next().value ?? 0))
          const ways = fold.traces?.waysOf(pair, first, first + items.length - 1)
          const { header } = splitPairMessage(encodePairMessage({ first, before: 0 }, items, ways))
          next.begin()
          next.arrive({ sequence: first, timeUs: 1 }, header)
          for (const [index, text] of items.entries()) {
            const item = decodeItem(text) as Item
            next.enter(index, item)
            const span = next.current?.span
            seen.push([item.commandId, span === undefined ? undefined : traceIdOf(span)])
            assert.equal(decodeHops(next.current?.hops ?? '').length, 4)
          }
          first += items.length
        }
        assert.equal(seen.length, pair.unsent.length)
        for (const [commandId, traceId] of seen) {
          const span = traceOf.get(commandId)
          assert.equal(traceId, span === undefined ? undefined : traceIdOf(span), `command ${commandId}`)
        }
      }),
    )
  })

  it('gives each sampled item a span under the one that it came with, linked with its frame', () => {
    const recorder = new Recorder()
    const span = newTrace()
    const { fold, draft } = foldAll([message(7, [4, 5], encodeTraces([[1, span]]))], recorder)
    assert(draft.traces)
    fold.traces?.stored(draft.traces, 2)
    const [item, frame] = recorder.spans
    assert(item && frame)
    assert.deepEqual([item.name, item.parent, item.links], ['accounts PlaceOrder', span, [frame.self]])
    assert.deepEqual([item.attributes?.['exchange.order.id'], item.attributes?.['exchange.log.sequence']], ['5', 7])
    assert.deepEqual([frame.name, frame.parent, frame.links], ['frame accounts-0', undefined, [item.self]])
    assert.deepEqual(draft.traces.events, [[1, item.self]])
  })

  it('is not noted while tracing is off, and is again when it is on', () => {
    const recorder = new Recorder()
    const span = newTrace()
    const sampled = message(1, [1, 2], encodeTraces([[1, span]]))
    const traces = new SlotTraces(recorder, 'accounts', 0)
    const wayOfSecond = (sampling: Sampling) => {
      recorder.sampling = sampling
      traces.begin()
      traces.arrive(sampled)
      traces.enter(1, { type: 'PlaceOrder' })
      traces.sent({ subject: 'markets.0.from.accounts-0', count: 1, stored: { count: 0 } }, 'markets')
      return traces.current
    }
    assert.equal(wayOfSecond('off'), undefined)
    assert.equal(traces.takeDraft(), undefined)
    assert.notEqual(wayOfSecond(0)?.span, undefined)
    assert.equal(traces.takeDraft()?.spans.length, 1)
    assert.equal(wayOfSecond('off'), undefined)
  })

  it('is passed over where it is something else', () => {
    assert.deepEqual([...decodeTraces('x,1 00-zz,2 abc, ,3')], [])
    const span = newTrace()
    assert.deepEqual([...decodeTraces(`1 ${span},nonsense`)], [[1, span]])
    assert.deepEqual(decodeHops('1,x'), [])
    const slot = new SlotTraces(new Recorder(), 'markets', 0)
    for (const ways of [[null], [[]], ['x'], [[1, 2, 3]], [[1, '"}', span]], 7]) {
      slot.begin()
      slot.arrive({ sequence: 1, timeUs: 1 }, { first: 1, ways: ways as unknown as WrittenRun[] })
      slot.enter(0, 'no object')
      assert.equal(slot.current?.span, undefined)
    }
  })
})
