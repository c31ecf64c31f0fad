/** Clocks and timers of a process. The simulation has one of its own; everything else runs on `systemTime`. */
export interface Time {
  /** Monotonic, in milliseconds. */
  nowMs(): number
  /** Milliseconds since 1970. */
  wallMs(): number
  /** Runs it once after so many milliseconds, unless the returned function is called before. */
  after(ms: number, run: () => void): () => void
  /** Runs it every so many milliseconds until the returned function is called. Keeps no process alive. */
  every(ms: number, run: () => void): () => void
  /** Runs it after what this turn of the event loop has at hand. */
  soon(run: () => void): void
}

export const systemTime: Time = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
  every: (ms, run) => {
    const timer = setInterval(run, ms)
    timer.unref()
    return () => clearInterval(timer)
  },
  soon: (run) => void setImmediate(run),
}

/** Resolves after so many milliseconds, or at once when it is aborted. */
export function sleep(time: Time, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = time.after(ms, done)
    signal?.addEventListener('abort', done)
  })
}
