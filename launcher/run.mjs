// The first stage of every npm script. Plain JavaScript that an older Node runs as well, on a clone with nothing
// installed: it installs the dependencies where they are missing, finds a Node that runs TypeScript, and hands over.
//
//     node launcher/run.mjs SCRIPT [ARGUMENT...]

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), '..')
const versionMin = [24, 12]
const [script, ...args] = process.argv.slice(2)

if (script === undefined) fail('usage: node launcher/run.mjs SCRIPT [ARGUMENT...]')
if (!isInstalled()) install()
run(findNode())

/** Whether node_modules holds what the lock file names. Optional packages of other platforms may be missing. */
function isInstalled() {
  const installedPath = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(installedPath)) return false
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional || installed[path]?.version === version,
  )
}

function install() {
  const started = Date.now()
  console.log('Installing the dependencies (npm ci) …')
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (error !== undefined) fail(`cannot run npm: ${error.message}`)
  if (status !== 0) fail('npm ci failed; what it says is above')
  console.log(`Installed in ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

/** This Node where it is new enough, else the one that was installed with the dependencies. */
function findNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > versionMin[0] || (major === versionMin[0] && minor >= versionMin[1])) return process.execPath
  const names = [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`]
  const found = names.map((name) => join(root, 'node_modules', name, 'bin/node')).find((path) => existsSync(path))
  if (found !== undefined) return found
  return fail(
    `Node ${versionMin.join('.')} or later is needed, this is ${process.version}; none is installed for ${process.platform} on ${process.arch}`,
  )
}

function run(node) {
  const child = spawn(node, [script, ...args], {
    cwd: root,
    // The channel ends with this process, however it ends: the launcher stops then.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: {
      // For all processes that this one starts: what one has compiled by its orderly end, the next need not.
      NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/compile'),
      ...process.env,
      PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`,
    },
  })
  // The terminal sends Ctrl-C to both; what somebody sends to this process alone is passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`cannot run ${node}: ${error.message}`))
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]))
}

function fail(message) {
  console.error(`✖ ${message}`)
  process.exit(1)
}
