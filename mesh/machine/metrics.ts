import { type Bus, streamsOf, timeOf } from '../bus.ts'
import { COUNT_BUCKETS, gauge, histogram } from '../metrics.ts'
import { type Log, STREAM_OF_LOG, slotFilter } from '../subjects.ts'
import type { SlotStatus } from './runtime.ts'

const SLOT = ['log', 'slot'] as const

/** Its count is the frames, its sum the items. */
const frameItems = histogram('exchange_slot_frame_items', 'Items per stored frame.', SLOT, COUNT_BUCKETS)
const owned = gauge('exchange_slot_owned', '1 where this instance owns the slot.', SLOT)
const following = gauge('exchange_slot_following', '1 where this instance could take the slot over at once.', SLOT)
const halted = gauge('exchange_slot_halted', '1 where the slot is halted until an operator clears it.', SLOT)
const epoch = gauge('exchange_slot_epoch', 'Number of the ownership, on the owner; it grows with every owner.', SLOT)
const applied = gauge('exchange_slot_applied_sequence', 'Sequence of the last applied message of the log.', SLOT)
const appliedItems = gauge('exchange_slot_applied_items', 'Items applied since the log began.', SLOT)
const queued = gauge('exchange_slot_queued_messages', 'Messages that were read and are not applied.', SLOT)
const lag = gauge(
  'exchange_slot_lag_seconds',
  'How long a message that is known to be stored has not been applied; 0 when all that was stored is.',
  SLOT,
)

export function countFrame(log: Log, slot: number, items: number): void {
  frameItems.observe({ log, slot }, items)
}

/** How long an answer of the bus is waited for: a scrape is not held up by a stream without a leader. */
const ANSWER_MS_MAX = 1_000

/** What is known to be stored and not applied, since when. */
interface Behind {
  readonly sequence: number
  readonly sinceMs: number
}

/** Sets the gauges of a machine's slots when they are asked for. */
export function slotCollector(nats: Bus, log: Log, statuses: () => readonly SlotStatus[]): () => Promise<void> {
  const streams = streamsOf(nats, ANSWER_MS_MAX)
  const time = timeOf(nats)
  const behind = new Map<number, Behind>()

  const measureLag = async ({ slot, appliedSequence }: SlotStatus): Promise<void> => {
    const known = behind.get(slot)
    if (known === undefined || appliedSequence >= known.sequence) {
      behind.delete(slot)
      const last = await streams.last(STREAM_OF_LOG[log], slotFilter(log, slot))
      const sequence = last?.seq ?? 0
      // What was applied while this was asked is not behind.
      const [now] = statuses().filter((status) => status.slot === slot)
      if (sequence > (now?.appliedSequence ?? 0)) behind.set(slot, { sequence, sinceMs: time.nowMs() })
    }
    const since = behind.get(slot)?.sinceMs
    lag.set({ log, slot }, since === undefined ? 0 : (time.nowMs() - since) / 1000)
  }

  return async () => {
    const all = statuses()
    for (const { slot, state, epoch: number, appliedSequence, itemsCount, queuedCount } of all) {
      const labels = { log, slot }
      owned.set(labels, state === 'running' ? 1 : 0)
      following.set(labels, state === 'following' ? 1 : 0)
      halted.set(labels, state === 'halted' ? 1 : 0)
      if (state === 'running') epoch.set(labels, number)
      else epoch.remove(labels)
      applied.set(labels, appliedSequence)
      appliedItems.set(labels, itemsCount)
      queued.set(labels, queuedCount)
    }
    await Promise.allSettled(all.map(measureLag))
  }
}
