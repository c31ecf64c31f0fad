import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Packer, Unpacker } from '#mesh/domain/packed.ts'
import type { Rules } from '#mesh/machine/rules.ts'
import { type LogMessage, SlotFold } from '#mesh/machine/slot.ts'
import { encodePairMessage, type PairEnd, pairEndOf, pairStart } from '#mesh/machine/wire.ts'
import { Log } from '#mesh/subjects.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import { createAccountsRules } from './domain/accounts-rules.ts'
import { createDefinitionsRules } from './domain/definitions-rules.ts'
import { actions, openExchange, Player } from './testing/commands.ts'
import { type Read, TestMesh } from './testing/mesh.ts'

/**
 * A fold that goes on from a snapshot is the fold that read everything: the same events, hashes and items for others, and in the
 * end the same bytes. For accounts, engine and definitions, whatever members and admins did, and wherever the snapshot was taken.
 */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 40)
const SETTINGS = { accountSlots: 3, marketSlots: 2, openOrdersMax: 4, rememberedIdsMax: 12 } as const

describe('a fold from a snapshot', function () {
  this.timeout(120_000)

  it('goes on as the one from the beginning, in all three machines', () => {
    fc.assert(
      fc.property(actions, fc.array(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 3 }), (sequence, cuts) => {
        const mesh = new TestMesh(SETTINGS, engineRules)
        openExchange(mesh)
        const player = new Player(mesh, { settled: false })
        for (const action of sequence) player.play(action)
        mesh.run()
        for (const [name, { log }] of mesh.machines) {
          const slot = Number(name.slice(name.lastIndexOf('-') + 1))
          const messages = messagesOf(log)
          if (name.startsWith(Log.accounts)) check(createAccountsRules(SETTINGS), slot, messages, cuts)
          else if (name.startsWith(Log.markets)) check(engineRules, slot, messages, cuts)
          else check(createDefinitionsRules(SETTINGS), slot, messages, cuts)
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('refuses a snapshot of other settings', () => {
    const packed = packedState(createAccountsRules(SETTINGS), new SlotFold(createAccountsRules(SETTINGS), 0))
    const others = createAccountsRules({ ...SETTINGS, openOrdersMax: 5 })
    assert.throws(() => others.snapshots?.unpack(0, new Unpacker(packed)), /openOrdersMax 4, not 5/)
  })

  it('refuses a snapshot that ends early, at any of its bytes', () => {
    const mesh = new TestMesh(SETTINGS, engineRules)
    openExchange(mesh)
    const rules = createAccountsRules(SETTINGS)
    const fold = new SlotFold(rules, 0)
    for (const message of messagesOf(mesh.machines.get('accounts-0')?.log ?? [])) fold.apply(message, 0)
    const packed = packedState(rules, fold)
    const unpack = (bytes: Uint8Array) => {
      const from = new Unpacker(bytes)
      rules.snapshots?.unpack(0, from)
      from.end()
    }
    unpack(packed)
    for (let length = 0; length < packed.length; length += 1 + Math.floor(packed.length / 97)) {
      assert.throws(() => unpack(packed.subarray(0, length)), `${length} of ${packed.length} bytes`)
    }
    assert.throws(() => unpack(Buffer.concat([packed, Buffer.alloc(1)])), /more bytes/)
  })
})

/** Takes a snapshot at each cut (thousandths of the log), each from the fold that began with the one before. */
function check<State, Item, Event>(
  rules: Rules<State, Item, Event>,
  slot: number,
  messages: readonly LogMessage[],
  cuts: readonly number[],
): void {
  const whole = new SlotFold(rules, slot)
  let resumed = new SlotFold(rules, slot)
  const at = cuts.map((cut) => Math.floor((cut * messages.length) / 1001))
  messages.forEach((message, index) => {
    if (at.includes(index)) resumed = resume(rules, resumed)
    for (const fold of [whole, resumed]) assert.equal(fold.apply(message, 0), -1)
    assert.deepEqual(said(resumed), said(whole))
  })
  assert.deepEqual(resumed.point(), whole.point())
  assert.equal(rules.stateHash(resumed.state), rules.stateHash(whole.state))
  assert.deepEqual(packedState(rules, resumed), packedState(rules, whole))
}

function resume<State, Item, Event>(
  rules: Rules<State, Item, Event>,
  fold: SlotFold<State, Item, Event>,
): SlotFold<State, Item, Event> {
  const packed = new Unpacker(packedState(rules, fold))
  const state = rules.snapshots?.unpack(fold.slot, packed)
  packed.end()
  assert(state !== undefined)
  assert.equal(rules.stateHash(state), rules.stateHash(fold.state))
  const point = fold.point()
  const stored = new Map(point.pairsOut.map(([subject, end]) => [subject, { ...end, sequence: -1 }]))
  // As JSON, as it is in the file.
  return new SlotFold(rules, fold.slot, stored, undefined, { point: JSON.parse(JSON.stringify(point)), state })
}

function packedState<State, Item, Event>(
  rules: Rules<State, Item, Event>,
  fold: SlotFold<State, Item, Event>,
): Buffer<ArrayBuffer> {
  const packer = new Packer()
  rules.snapshots?.pack(fold.state, packer)
  return Buffer.concat(packer.parts)
}

/** What a frame would hold, and what would leave with it. */
function said<State, Item, Event>(fold: SlotFold<State, Item, Event>): object {
  const { eventLines, hash, timeUs, inFrom, inTo, replies } = fold.takeDraft()
  const sent = [...fold.pairsOut.values()].map(({ subject, count, unsent }) => [subject, count, ...unsent])
  fold.forgetSent()
  const answers = replies.map(({ replyTo, reply }) => [replyTo, reply])
  return { eventLines, hash, timeUs, inFrom, inTo, sent, answers }
}

/** Up to three neighbours from one source share a message. */
function messagesOf(log: readonly Read[]): LogMessage[] {
  const ends = new Map<string, PairEnd>()
  const messages: LogMessage[] = []
  for (let from = 0; from < log.length; ) {
    const { source, timeUs } = log[from] ?? { source: '', timeUs: 0 }
    let to = from + 1
    while (to < Math.min(log.length, from + 1 + (from % 3)) && log[to]?.source === source) to++
    const items = log.slice(from, to).map(({ text }) => text)
    const end = ends.get(source) ?? pairStart()
    const text =
      source === 'cmd' ? items.join('\n') : encodePairMessage({ first: end.count + 1, before: end.hash }, items)
    if (source !== 'cmd') ends.set(source, pairEndOf(text))
    messages.push({ sequence: messages.length + 1, timeUs, source, text })
    from = to
  }
  return messages
}
