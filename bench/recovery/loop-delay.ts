// Imported into a service before it starts: writes how long its event loop stood still at most, since it was asked last (SIGUSR2).
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

const RESOLUTION_MS = 1

if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  process.on('SIGUSR2', () => {
    const ms = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
    console.log(JSON.stringify({ loopDelay: { maxMs: ms(delay.max), p999Ms: ms(delay.percentile(99.9)) } }))
    delay.reset()
  })
}
