/** The wall clock to the microsecond, so that times of several processes of a machine fit together. */
export function createFineClock(): { nowUs(): number; stop(): void } {
  let originMs = performance.timeOrigin
  // The monotonic clock takes no part in jumps of the wall clock.
  const align = (): void => {
    const apartMs = Date.now() - (originMs + performance.now())
    if (Math.abs(apartMs) > APART_MS_MAX) originMs += apartMs
  }
  const timer = setInterval(align, LOOK_MS)
  timer.unref()
  return {
    nowUs: () => Math.floor((originMs + performance.now()) * 1_000),
    stop: () => clearInterval(timer),
  }
}

const LOOK_MS = 1_000
/** The system tells whole milliseconds. */
const APART_MS_MAX = 5
