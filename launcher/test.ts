// `npm test`: every test, or the named files alone (`npm test -- gateway/orders.test.ts --grep amend`).
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { projectDirectory } from './servers/directories.ts'

const everything = ['exchange', 'gateway', 'services', 'mesh', 'launcher', 'test', 'bench'].map(
  (folder) => `${folder}/**/*.test.ts`,
)
const namesFiles = process.argv.slice(2).some((arg) => arg.endsWith('.ts'))
if (!namesFiles) process.argv.push(...everything)

// Mocha's own program, in this process, so that signals reach it.
await import(pathToFileURL(join(projectDirectory, 'node_modules/mocha/bin/mocha.js')).href)
