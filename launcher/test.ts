// `npm test`: every test, or the named files alone (`npm test -- gateway/orders.test.ts --grep amend`).
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { projectDirectory } from './servers/directories.ts'

const everything = ['gateway', 'services', 'mesh', 'launcher', 'test', 'bench'].map((folder) => `${folder}/**/*.test.ts`)
const args = process.argv.slice(2)
const namesFiles = args.some((arg) => arg.endsWith('.ts'))

const mocha = join(projectDirectory, 'node_modules/mocha/bin/mocha.js')
const { status } = spawnSync(process.execPath, [mocha, ...args, ...(namesFiles ? [] : everything)], {
  cwd: projectDirectory,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
