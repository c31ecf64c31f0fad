import { setTimeout as sleep } from 'node:timers/promises'

/** Checks again until nothing is thrown, or the time is up. */
export async function eventually<Result>(check: () => Promise<Result> | Result, msMax = 15_000): Promise<Result> {
  const deadlineMs = performance.now() + msMax
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await sleep(50)
    }
  }
}
