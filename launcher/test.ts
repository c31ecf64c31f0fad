/**
 * `npm test`: every test, or the named files alone (`npm test -- test/rest-orders.test.ts --grep amend`).
 *
 * All of them: in two lanes, as most of the time a test waits for what it has killed; then, one after the other, those that measure
 * how long members wait under load. `-- --no-parallel` runs everything one after the other.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectDirectory } from './servers/directories.ts'
import { installPrograms } from './servers/install.ts'

const LANES = 2
const EVERYTHING = ['exchange', 'gateway', 'services', 'mesh', 'launcher', 'test', 'bench'].map(
  (folder) => `${folder}/**/*.test.ts`,
)
const ALONE = ['test/fences/*.test.ts', 'test/rolling.test.ts', 'test/health.test.ts', 'test/stream.test.ts']

const args = process.argv.slice(2)
if (args.some((arg) => arg.endsWith('.ts'))) process.exitCode = await mocha(args)
else if (args.includes('--no-parallel')) process.exitCode = await mocha([...args, ...EVERYTHING])
else {
  // Before the lanes part: two of them must not install the same program at once.
  await installPrograms((line) => console.log(line))
  const scratch = mkdtempSync(join(tmpdir(), 'exchange-test-'))
  const counts = join(scratch, 'counts')
  const inLanes = [
    '--parallel',
    '--jobs',
    String(LANES),
    ...ALONE.flatMap((files) => ['--ignore', files]),
    ...EVERYTHING,
  ]
  const codes = [await mocha([...args, ...inLanes], counts), await mocha([...args, ...ALONE], counts)]
  process.exitCode = Math.max(...codes)
  console.log(summed(counts))
  rmSync(scratch, { recursive: true, force: true })
}

/** `counts`: where the run's counts go instead of its last line. Returns the exit code. */
function mocha(more: readonly string[], counts?: string): Promise<number> {
  const program = join(projectDirectory, 'node_modules/mocha/bin/mocha.js')
  const env = { ...process.env, ...(counts === undefined ? {} : { TEST_COUNTS: counts }) }
  const child = spawn(process.execPath, [program, ...more], { cwd: projectDirectory, stdio: 'inherit', env })
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, pass)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, pass)
      resolve(code ?? 1)
    })
  })
}

function summed(path: string): string {
  const runs = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number))
  const [passed, failed, skipped] = [0, 1, 2].map((column) => runs.reduce((sum, run) => sum + (run[column] ?? 0), 0))
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
