import type { Pool, Row } from '#mesh/mysql.ts'
import { percentile } from '../support/statistics.ts'

export interface LagSampler {
  /** Ends the sampling. */
  stop(): Promise<{ readonly p99Ms: number; readonly maxMs: number }>
}

const SAMPLE_MS = 100

/**
 * How old MySQL is while orders flow: now minus the slot's time up to which it is written, of the slot that is furthest behind.
 * While there is always something to write that is the lag, from the outside.
 */
export function sampleLag(pool: Pool): LagSampler {
  const lags: number[] = []
  let isOver = false
  let wake = (): void => {}
  const loop = (async () => {
    while (!isOver) {
      const [rows] = await pool.query<Row[]>(
        "SELECT MIN(frame_time_us) AS oldest FROM positions WHERE projection = 'orders'",
      )
      lags.push(Date.now() - Number(rows[0]?.oldest ?? 0) / 1000)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, SAMPLE_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  })()
  return {
    stop: async () => {
      isOver = true
      wake()
      await loop
      const sorted = lags.sort((a, b) => a - b)
      return { p99Ms: percentile(sorted, 0.99), maxMs: sorted.at(-1) ?? 0 }
    },
  }
}
