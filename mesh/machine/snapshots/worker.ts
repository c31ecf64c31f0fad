import pino from 'pino'
import { attachArchive } from '../../archive/attached.ts'
import { connectNats } from '../../service.ts'
import type { Log } from '../../subjects.ts'
import type { Machine } from './machine.ts'
import { SnapshotStore } from './store.ts'
import { type TakenSnapshot, takeSnapshot } from './take.ts'

/** What a service's process asks of its helper. */
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

/** What the helper of a service is told to import. */
export interface SnapshotWorker {
  /** @throws NoSnapshot */
  take(task: SnapshotTask): Promise<TakenSnapshot>
}

/** One snapshot of one slot, of the machine that the service itself runs. @throws NoSnapshot */
export async function takeForService<State, Item, Event>(
  task: SnapshotTask,
  machine: Machine<State, Item, Event>,
): Promise<TakenSnapshot> {
  const { log, slot, instance, kept, uploadBytesPerSecond } = task
  const logger = pino({ base: { instance, slot: `${log}-${slot}` } })
  const nats = await connectNats(task.natsUrl, `${instance} snapshots`, task.service)
  if (task.archiveDirectory !== undefined) attachArchive(nats, task.archiveDirectory)
  try {
    const store = await SnapshotStore.open({ ...task, nats, logger })
    const onSkipped = (_slot: number, name: string, error: Error): void =>
      logger.error({ err: error, snapshot: name }, 'a snapshot is passed over')
    const options = { nats, store, machine, slot, instance, kept, uploadBytesPerSecond, logger }
    return await takeSnapshot({ ...options, onSkipped })
  } finally {
    await nats.close()
  }
}
