/**
 * `npm run loadtest`: 1000 orders per second for a minute by artillery, and a report to look at.
 *
 * Against the exchange that runs (npm start), else against a private one that is started for it and ends with it.
 * Ends with exit code 1 when any order failed or the rate was not reached.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { explain, loadConfig } from '#launcher/cli.ts'
import { PreflightError } from '#launcher/errors.ts'
import { runningMesh } from '#launcher/run-state.ts'
import { startMesh } from '../test/support/mesh.ts'
import { projectDirectory } from './members-file.mjs'
import { figuresOf, secondsOf } from './report/figures.ts'
import { reportPage } from './report/page.ts'
import { MEMBERS_DEFAULT, seed } from './seeding.ts'

interface Target {
  readonly natsUrl: string
  readonly publicUrl: string
  readonly about: string
}

const directory = join(projectDirectory, '.exchange', 'loadtest')
const artilleryDirectory = join(projectDirectory, '.exchange', 'artillery')
const resultPath = join(directory, 'result.json')
const seriesPath = join(directory, 'seconds.jsonl')
const reportPath = join(directory, 'report.html')

/** Of what loadtest.yml asks for. */
const RATE_SHARE_MIN = 0.98
const ORDERS_PER_SECOND = 1_000

const { values } = parseArgs({ options: { members: { type: 'string', default: String(MEMBERS_DEFAULT) } } })

try {
  await using stack = new AsyncDisposableStack()
  mkdirSync(directory, { recursive: true })
  installArtillery()
  const target = await findTarget(stack)
  console.log(`Target: ${target.publicUrl} (${target.about})`)
  const beganMs = performance.now()
  await seed(target.natsUrl, Number(values.members))
  console.log(`${values.members} members seeded in ${((performance.now() - beganMs) / 1000).toFixed(1)} s`)
  await runArtillery(target.publicUrl)
  report(target)
} catch (error) {
  console.error(`✖ ${explain(error)}`)
  process.exitCode = 1
}

/** 470 MB, so only when it is asked for, and beside the project's own dependencies. */
function installArtillery(): void {
  const lock = readFileSync(join(import.meta.dirname, 'artillery', 'package-lock.json'), 'utf8')
  const installedLock = join(artilleryDirectory, 'package-lock.json')
  const isThere = existsSync(join(artilleryDirectory, 'installed')) && readFileSync(installedLock, 'utf8') === lock
  if (isThere) return
  console.log('Installing artillery (470 MB, once) …')
  rmSync(artilleryDirectory, { recursive: true, force: true })
  mkdirSync(artilleryDirectory, { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) {
    copyFileSync(join(import.meta.dirname, 'artillery', name), join(artilleryDirectory, name))
  }
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: artilleryDirectory,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' },
  })
  if (status !== 0) throw new PreflightError('artillery could not be installed; what npm says is above')
  writeFileSync(join(artilleryDirectory, 'installed'), '')
}

async function findTarget(stack: AsyncDisposableStack): Promise<Target> {
  const { dataDirectory } = loadConfig()
  const running = runningMesh(dataDirectory)
  if (running !== undefined) return { ...running, about: 'the exchange that runs' }
  console.log('No exchange runs here: starting a private one …')
  const mesh = stack.use(await startMesh({ env: { LOG_LEVEL: 'warn' } }))
  return { natsUrl: mesh.natsUrl, publicUrl: mesh.urls[0] ?? '', about: 'a private one, ends with the test' }
}

async function runArtillery(url: string): Promise<void> {
  for (const path of [resultPath, seriesPath]) rmSync(path, { force: true })
  const script = join(artilleryDirectory, 'node_modules', 'artillery', 'bin', 'run')
  const args = [script, 'run', '--target', url, '--output', resultPath, join(projectDirectory, 'loadtest.yml')]
  const env = { ...process.env, ARTILLERY_DISABLE_TELEMETRY: 'true', LOADTEST_SERIES: seriesPath }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'], env, cwd: projectDirectory })
  const [code] = await once(child, 'exit')
  if (!existsSync(resultPath)) throw new PreflightError(`artillery ended with exit code ${code} and without a result`)
}

function report({ publicUrl, about }: Target): void {
  const figures = figuresOf(JSON.parse(readFileSync(resultPath, 'utf8')), secondsOf(readFileSync(seriesPath, 'utf8')))
  const { orders, failed, perSecond, p99Ms } = figures
  const isReached = perSecond >= ORDERS_PER_SECOND * RATE_SHARE_MIN
  const verdict = failed > 0 ? 'Some orders failed' : isReached ? 'Passed' : 'The rate was not reached'
  const isPassed = failed === 0 && isReached
  const members = Number(values.members)
  const run = { target: publicUrl, about, members, wantedPerSecond: ORDERS_PER_SECOND, verdict, isPassed }
  writeFileSync(reportPath, reportPage(figures, run))
  console.log(`\n${orders} orders, ${failed} failed, ${perSecond.toFixed(0)} per second, p99 ${p99Ms} ms`)
  console.log(`${isPassed ? '✔' : '✖'} ${verdict}. Report: ${reportPath}`)
  if (!isPassed) process.exitCode = 1
}
