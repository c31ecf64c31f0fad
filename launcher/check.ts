// `npm run check`: formatting and lint, types, and what nobody uses. All three run, also after one has failed.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { projectDirectory } from './servers/directories.ts'

const checks = [
  ['biome', 'check', '.'],
  ['tsc', '-p', '.'],
  ['tsc', '-p', 'gateway/trading-page'],
  ['knip', '--no-progress'],
] as const

for (const [tool, ...args] of checks) {
  const startedMs = performance.now()
  const path = join(projectDirectory, 'node_modules/.bin', tool)
  const { status } = spawnSync(path, args, { cwd: projectDirectory, stdio: 'inherit' })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.log(`${status === 0 ? '✔' : '✖'} ${tool} ${args.join(' ')} (${seconds} s)`)
  if (status !== 0) process.exitCode = 1
}
