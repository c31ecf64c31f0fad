import type { TimeUs } from '#mesh/protocol/common.ts'

/** The wall clock in microseconds: the system's milliseconds, and the finer digits of the monotonic clock between them. */
export function createClock(): { nowUs(): TimeUs; stop(): void } {
  let offsetUs = 0
  const align = (): void => {
    offsetUs = Math.round(Date.now() * 1000 - performance.now() * 1000)
  }
  align()
  const timer = setInterval(align, 1000)
  timer.unref()
  return { nowUs: () => Math.floor(performance.now() * 1000) + offsetUs, stop: () => clearInterval(timer) }
}
