import { snapshotTask, takeForProcess } from '#mesh/machine/snapshots/worker.ts'
import { createMachine } from './machine.ts'

await takeForProcess(snapshotTask(), createMachine().machine)
