/**
 * The program beside a service that takes its snapshots, one after the other, as it is told over its channel. Its argument is the
 * module that does it (a `SnapshotWorker`), which is imported for the first task: until then it costs next to nothing.
 * It ends with the process that it belongs to.
 */
import { readdirSync } from 'node:fs'
import { setPriority } from 'node:os'
import type { HelperResult } from './helper.ts'
import type { SnapshotTask, SnapshotWorker } from './worker.ts'

/** Behind everything else of its service that wants the processor. */
const PRIORITY = 19

/** On Linux a priority is a thread's own, and the collector has threads too. */
function stepBack(): void {
  const threads = process.platform === 'linux' ? readdirSync('/proc/self/task') : [process.pid]
  for (const thread of threads) setPriority(Number(thread), PRIORITY)
}

async function work(task: SnapshotTask): Promise<HelperResult> {
  const before = process.cpuUsage()
  const cpuMs = (): number => {
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000
  }
  try {
    const { take } = (await import(process.argv[2] ?? '')) as SnapshotWorker
    return { taken: await take(task), cpuMs: cpuMs() }
  } catch (error) {
    const { message, stack, code } = error as NodeJS.ErrnoException
    return { failed: { message, stack, code }, cpuMs: cpuMs() }
  } finally {
    // What it has held of a slot is given back at once, not when it is needed again.
    globalThis.gc?.()
  }
}

stepBack()
process.once('disconnect', () => process.exit())
process.on('message', (task: SnapshotTask) => {
  void work(task).then((result) => process.send?.(result))
})
