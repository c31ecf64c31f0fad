import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import pino from 'pino'
import { attachArchive } from '../../archive/attached.ts'
import { connectNats } from '../../service.ts'
import type { Log } from '../../subjects.ts'
import type { Machine } from './machine.ts'
import { NoSnapshot } from './no-snapshot.ts'
import { SnapshotStore } from './store.ts'
import { type TakenSnapshot, takeSnapshot } from './take.ts'

/** What the process asks of its worker. */
export interface SnapshotTask {
  readonly natsUrl: string
  readonly log: Log
  readonly slot: number
  /** Of the process: the user of the bus. */
  readonly service: string
  readonly instance: string
  readonly directory: string
  readonly archiveDirectory: string | undefined
  readonly replicas: number
  readonly kept: number
  readonly uploadBytesPerSecond: number
}

export type SnapshotTaskResult =
  | { readonly cpuMs: number; readonly taken: TakenSnapshot }
  | { readonly cpuMs: number; readonly refused: { readonly code: NoSnapshot['code']; readonly message: string } }

/** Behind everything else that wants the processor: on Linux a priority is a thread's own. */
const PRIORITY = 5

/** Of this thread, since it began. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

export const snapshotTask = (): SnapshotTask => workerData

/** The whole life of a worker: one snapshot of one slot, of the machine that the process itself runs. */
export async function takeForProcess<State, Item, Event>(
  task: SnapshotTask,
  machine: Machine<State, Item, Event>,
): Promise<void> {
  if (process.platform === 'linux') setPriority(PRIORITY)
  const { log, slot, instance, kept, uploadBytesPerSecond } = task
  const logger = pino({ base: { instance, slot: `${log}-${slot}` } })
  const nats = await connectNats(task.natsUrl, `${instance} snapshots`, task.service)
  if (task.archiveDirectory !== undefined) attachArchive(nats, task.archiveDirectory)
  try {
    const store = await SnapshotStore.open({ ...task, nats, logger })
    const onSkipped = (_slot: number, name: string, error: Error): void =>
      logger.error({ err: error, snapshot: name }, 'a snapshot is passed over')
    const options = { nats, store, machine, slot, instance, kept, uploadBytesPerSecond, logger }
    const taken = await takeSnapshot({ ...options, onSkipped })
    parentPort?.postMessage({ cpuMs: cpuMs(), taken } satisfies SnapshotTaskResult)
  } catch (error) {
    if (!(error instanceof NoSnapshot)) throw error
    const { code, message } = error
    parentPort?.postMessage({ cpuMs: cpuMs(), refused: { code, message } } satisfies SnapshotTaskResult)
  } finally {
    await nats.close()
  }
}
