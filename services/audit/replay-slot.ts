import type { NatsConnection } from '@nats-io/transport-node'
import type { Rules } from '#mesh/machine/rules.ts'
import { SlotFold, type SlotObserver } from '#mesh/machine/slot.ts'
import { Bell } from '#mesh/projection/bell.ts'
import { STREAM_OF_LOG, slotFilter } from '#mesh/subjects.ts'
import { toLogMessage } from './log-message.ts'
import { StreamCursor } from './stream-cursor.ts'

/** The log is not answering. */
const WAIT_MS = 10_000

export interface Until {
  /** Of the stream; every message of the slot up to it is applied. */
  readonly sequence: number
  /** The last item that is applied of the message at that sequence; all of it by default. */
  readonly item?: number | undefined
}

/** A slot's log from its first message on, by the real rules, up to a position. */
export async function replaySlot<State, Item, Event>(
  nats: NatsConnection,
  rules: Rules<State, Item, Event>,
  slot: number,
  until: Until,
  observe?: SlotObserver<Event>,
): Promise<SlotFold<State, Item, Event>> {
  const fold = new SlotFold(rules, slot, new Map(), observe)
  const arrived = new Bell()
  await using cursor = await StreamCursor.open(nats, STREAM_OF_LOG[rules.log], arrived, slotFilter(rules.log, slot))
  let pending = cursor.pendingAtStart
  while (pending > 0) {
    const deadlineMs = performance.now() + WAIT_MS
    while (cursor.head === undefined) {
      cursor.check()
      if (performance.now() > deadlineMs) throw new Error(`${cursor.stream} does not answer.`)
      await arrived.wait(deadlineMs - performance.now())
    }
    const taken = cursor.take()
    if (taken === undefined || taken.seq > until.sequence) break
    pending = taken.info.pending
    const lastItem = taken.seq === until.sequence ? (until.item ?? Number.MAX_SAFE_INTEGER) : Number.MAX_SAFE_INTEGER
    const { message } = toLogMessage(taken)
    for (let from = 0; from >= 0 && from <= lastItem; ) {
      from = fold.apply(message, from, lastItem)
      fold.takeDraft()
      // What was sent is not needed here.
      for (const pair of fold.pairsOut.values()) {
        pair.unsent = []
        pair.stored = { count: pair.count, hash: pair.hash, sequence: -1 }
      }
    }
  }
  return fold
}
