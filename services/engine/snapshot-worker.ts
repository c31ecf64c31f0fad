import { type SnapshotTask, takeForService } from '#mesh/machine/snapshots/worker.ts'
import { createMachine } from './machine.ts'

export const take = (task: SnapshotTask) => takeForService(task, createMachine().machine)
