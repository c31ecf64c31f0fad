import { snapshotTask, takeForProcess } from '#mesh/machine/snapshots/worker.ts'
import { Log } from '#mesh/subjects.ts'
import { envToConfig } from './config.ts'
import { createMachines } from './machines.ts'

const task = snapshotTask()
const { accounts, definitions } = createMachines(envToConfig(process.env))
if (task.log === Log.definitions) await takeForProcess(task, definitions)
else await takeForProcess(task, accounts)
