/**
 * `npm test`: every test, or the named files alone (`npm test -- test/rest-orders.test.ts --grep amend`).
 * All of them run in two lanes, as most of the time a test waits for what it has killed; `-- --no-parallel` runs one after the other.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { projectDirectory } from './servers/directories.ts'
import { installPrograms } from './servers/install.ts'

const LANES = 2

const everything = ['exchange', 'gateway', 'services', 'mesh', 'launcher', 'test', 'bench'].map(
  (folder) => `${folder}/**/*.test.ts`,
)
const args = process.argv.slice(2)
if (!args.some((arg) => arg.endsWith('.ts'))) {
  if (!args.includes('--no-parallel')) process.argv.push('--parallel', '--jobs', String(LANES))
  process.argv.push(...everything)
  // Before the lanes part: two of them must not install the same program at once.
  await installPrograms((line) => console.log(line))
}

// Mocha's own program, in this process, so that signals reach it.
await import(pathToFileURL(join(projectDirectory, 'node_modules/mocha/bin/mocha.js')).href)
