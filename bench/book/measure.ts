export interface Measured {
  /** By the processor time of this thread, so that what else runs on the machine counts little. */
  readonly messagesPerSecond: number
  readonly messagesPerSecondByClock: number
}

export function measure(messagesCount: number, run: () => void): Measured {
  const startedMs = performance.now()
  const before = process.threadCpuUsage()
  run()
  const used = process.threadCpuUsage(before)
  const elapsedMs = performance.now() - startedMs
  return {
    messagesPerSecond: (messagesCount / (used.user + used.system)) * 1e6,
    messagesPerSecondByClock: (messagesCount / elapsedMs) * 1e3,
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}
