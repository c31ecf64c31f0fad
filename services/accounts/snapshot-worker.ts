import { type SnapshotTask, takeForService } from '#mesh/machine/snapshots/worker.ts'
import { Log } from '#mesh/subjects.ts'
import { envToConfig } from './config.ts'
import { createMachines } from './machines.ts'

export function take(task: SnapshotTask) {
  const { accounts, definitions } = createMachines(envToConfig(process.env))
  return task.log === Log.definitions ? takeForService(task, definitions) : takeForService(task, accounts)
}
