import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { run } from './child-process.ts'
import { which } from './directories.ts'
import type { Report } from './programs.ts'

const policyPath = '/usr/sbin/policy-rc.d'
const listsPath = '/var/lib/apt/lists'
const listsAgeMsMax = 7 * 24 * 3600 * 1000

/** Whether packages can be installed here: Debian or Ubuntu, as root. */
export function canApt(): boolean {
  return process.getuid?.() === 0 && which('apt-get') !== undefined
}

// apt locks its lists without waiting, and two servers may be missing at once.
let queue: Promise<unknown> = Promise.resolve()

/** Installs the first of these sets of packages that this release of Debian or Ubuntu knows. */
export function aptInstall(choices: readonly (readonly string[])[], report: Report): Promise<void> {
  const installing = queue.then(() => installFirstKnown(choices, report))
  queue = installing.catch(() => {})
  return installing
}

async function installFirstKnown(choices: readonly (readonly string[])[], report: Report): Promise<void> {
  if (!hasFreshLists()) {
    report('apt-get update')
    await aptGet('update')
  }
  let failure: unknown
  for (const packages of choices) {
    if (!(await areKnown(packages))) continue
    try {
      report(`apt-get install ${packages.join(' ')}`)
      return await withoutServiceStarts(() => aptGet('install', '-y', '--no-install-recommends', ...packages))
    } catch (error) {
      failure = error
    }
  }
  throw failure ?? new Error(`apt knows none of ${choices.flat().join(', ')}`)
}

async function areKnown(packages: readonly string[]): Promise<boolean> {
  return await run('apt-cache', ['show', '--no-all-versions', ...packages]).then(
    () => true,
    () => false,
  )
}

async function aptGet(...args: string[]): Promise<void> {
  await run('apt-get', ['-o', 'DPkg::Lock::Timeout=120', '-q', ...args], { DEBIAN_FRONTEND: 'noninteractive' })
}

function hasFreshLists(): boolean {
  if (!existsSync(listsPath)) return false
  const oldest = Date.now() - listsAgeMsMax
  return readdirSync(listsPath).some(
    (name) => name.includes('_Packages') && statSync(`${listsPath}/${name}`).mtimeMs > oldest,
  )
}

/** Debian starts a server as soon as it is installed; this policy says no, and goes again afterwards. */
async function withoutServiceStarts(install: () => Promise<void>): Promise<void> {
  if (existsSync(policyPath)) return await install()
  writeFileSync(policyPath, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await install()
  } finally {
    rmSync(policyPath, { force: true })
  }
}
