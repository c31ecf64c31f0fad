import { type JetStreamManager, jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { streamsOf } from '#mesh/bus.ts'
import { parseFrameHeader } from '#mesh/frames.ts'
import { type LogMessage, SlotFold } from '#mesh/machine/slot.ts'
import { splitPairMessage } from '#mesh/machine/wire.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { DEFINITIONS_SLOT, EVENTS_STREAM, Log, STREAM_OF_LOG, sourceName } from '#mesh/subjects.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import { createDefinitionsRules } from '#services/accounts/domain/definitions-rules.ts'
import { shapeOf } from '#services/audit/shape.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import { CausalCut } from './domain/cut.ts'
import { detachMirrors, firstSiteAnswers } from './mirror.ts'

/** Somebody could still write at the first site: two meshes would go apart. */
export class FirstSiteLives extends Error {
  override readonly name = 'FirstSiteLives'
  readonly code = 'first_site_lives'
}

export interface Promotion {
  /** Messages that were there and whose cause was not, by stream. */
  readonly removed: Readonly<Record<string, number>>
  /** The last message that is left of each slot's log. */
  readonly cut: ReadonlyMap<string, number>
}

/**
 * Makes of the mirrors the streams of a mesh that can go on. Each mirror is behind by a moment of its own; so what was received
 * and not sent is removed, and frames that cover what is gone. What is left is a state that the mesh has really been in.
 * @throws FirstSiteLives
 */
export async function promote(nats: NatsConnection, firstDomain: string): Promise<Promotion> {
  if (await firstSiteAnswers(nats, firstDomain)) {
    throw new FirstSiteLives(
      'The bus of the first site answers. Cut it off for good, and start the bus of this site without it, before this.',
    )
  }
  await detachMirrors(nats)
  return await cutStreams(nats)
}

/** Leaves a state that is closed: nothing without its cause. Harmless when it is done again. */
export async function cutStreams(nats: NatsConnection): Promise<Promotion> {
  const manager = await jetstream(nats).jetstreamManager(false)
  const cut = await findCut(nats, manager, await shapeOf(manager))
  const removed: Record<string, number> = {}
  const surplus = new Map<string, number[]>()
  for (const log of Object.values(Log)) {
    await eachMessage(nats, manager, STREAM_OF_LOG[log], ({ subject, seq }) => {
      if (seq > (cut.get(slotOf(subject)) ?? 0)) add(surplus, STREAM_OF_LOG[log], seq)
    })
  }
  await eachMessage(nats, manager, EVENTS_STREAM, ({ subject, seq, data }) => {
    const [, log, slot] = subject.split('.')
    if (parseFrameHeader(data).inTo[0] > (cut.get(`${log}-${slot}`) ?? 0)) add(surplus, EVENTS_STREAM, seq)
  })
  for (const [stream, sequences] of surplus) {
    // From the end: whatever this is interrupted at, it can be done again.
    for (const sequence of sequences.reverse()) await manager.streams.deleteMessage(stream, sequence, false)
    removed[stream] = sequences.length
  }
  return { removed, cut }
}

/** Replays every log as far as its copy goes, and holds what each slot has received against what the others have sent. */
async function findCut(
  nats: NatsConnection,
  manager: JetStreamManager,
  shape: MeshShape,
): Promise<Map<string, number>> {
  const cut = new CausalCut()
  const counts = new Map<string, number>()
  for (const log of Object.values(Log)) {
    const folds = new Map<string, Fold>()
    for (let slot = 0; slot < slotsIn(log, shape); slot++) {
      const name = sourceName(log, slot)
      folds.set(name, newFold(log, slot, shape))
      cut.end(name, 0)
    }
    await eachMessage(nats, manager, STREAM_OF_LOG[log], (message) => {
      const name = slotOf(message.subject)
      const fold = folds.get(name)
      if (fold === undefined) throw new Error(`${message.subject} belongs to no slot of this mesh.`)
      const from = message.subject.indexOf('.from.')
      const source = from < 0 ? 'cmd' : message.subject.slice(from + 6)
      const text = message.string()
      const timeUs = Math.floor(message.info.timestampNanos / 1000)
      applyWhole(fold, { sequence: message.seq, timeUs, source, text })
      cut.end(name, message.seq)
      if (source !== 'cmd') {
        const { header, items } = splitPairMessage(text)
        cut.received(source, name, { sequence: message.seq, last: header.first + items.length - 1 })
      }
      for (const pair of fold.pairsOut.values()) {
        const key = `${name} ${pair.subject}`
        if (counts.get(key) === pair.count) continue
        counts.set(key, pair.count)
        cut.sent(name, slotOf(pair.subject), { sequence: message.seq, count: pair.count })
      }
    })
  }
  return cut.find()
}

/** Of whatever rules: only what it sends is of interest. */
type Fold = Pick<SlotFold<unknown, object, unknown>, 'apply' | 'takeDraft' | 'pairsOut' | 'dropSent'>

function newFold(log: Log, slot: number, shape: MeshShape): Fold {
  switch (log) {
    case 'accounts':
      return new SlotFold(createAccountsRules(shape), slot)
    case 'markets':
      return new SlotFold(engineRules, slot)
    case 'definitions':
      return new SlotFold(createDefinitionsRules(shape), slot)
  }
}

function applyWhole(fold: Fold, message: LogMessage): void {
  for (let from = 0; from >= 0; ) {
    from = fold.apply(message, from)
    fold.takeDraft()
  }
  // What it sends was sent or will be sent again; only how much is of interest here.
  for (const pair of fold.pairsOut.values()) fold.dropSent(pair, pair.count)
}

const slotsIn = (log: Log, { accountSlots, marketSlots }: MeshShape): number =>
  log === Log.accounts ? accountSlots : log === Log.markets ? marketSlots : DEFINITIONS_SLOT + 1

/** `accounts.3.cmd` → `accounts-3` */
function slotOf(subject: string): string {
  const [log, slot] = subject.split('.')
  return `${log}-${slot}`
}

interface Message {
  readonly subject: string
  readonly seq: number
  readonly data: Uint8Array
  readonly info: { readonly timestampNanos: number }
  string(): string
}

/** Every message that a stream has now, in order. */
async function eachMessage(
  nats: NatsConnection,
  manager: JetStreamManager,
  stream: string,
  take: (message: Message) => void,
): Promise<void> {
  const { state } = await manager.streams.info(stream)
  if (state.messages === 0) return
  const reader = await streamsOf(nats).read(stream, '>', 1)
  let left = state.messages
  for await (const message of reader) {
    take(message)
    if (--left === 0) break
  }
  reader.stop()
}

function add(lists: Map<string, number[]>, key: string, value: number): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
