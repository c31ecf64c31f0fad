import { COUNT_BUCKETS, gauge, histogram, SECONDS_BUCKETS } from '../metrics.ts'
import type { Lag } from './writer.ts'

const SLOT = ['projection', 'slot'] as const

const lag = gauge('exchange_projection_lag_seconds', 'Age of the oldest frame that is not written, by slot.', SLOT)
const failing = gauge('exchange_projection_failing', '1 where something keeps the slot from being written.', SLOT)
const slotsCount = gauge('exchange_projection_slots', 'Slots that the projection has in all.', ['projection'])
const rows = histogram('exchange_projection_batch_rows', 'Rows per transaction.', ['projection'], COUNT_BUCKETS)
const seconds = histogram(
  'exchange_projection_write_duration_seconds',
  'Duration of a transaction.',
  ['projection'],
  SECONDS_BUCKETS,
)

export function countBatch(projection: string, rowsCount: number, durationSeconds: number): void {
  rows.observe({ projection }, rowsCount)
  seconds.observe({ projection }, durationSeconds)
}

/** Sets the gauges of those slots that this instance writes. */
export function projectionCollector(projection: string, slots: number, lags: () => Record<number, Lag>): () => void {
  return () => {
    slotsCount.set({ projection }, slots)
    const current = lags()
    for (let slot = 0; slot < slots; slot++) {
      const labels = { projection, slot }
      const found = current[slot]
      if (found === undefined) {
        lag.remove(labels)
        failing.remove(labels)
        continue
      }
      lag.set(labels, found.lagMs / 1000)
      failing.set(labels, found.error === undefined ? 0 : 1)
    }
  }
}
