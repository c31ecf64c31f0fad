import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectDirectory } from './servers/directories.ts'

type Entry = { resolved?: string; optionalDependencies?: Record<string, string> }

describe('package-lock.json', () => {
  const path = join(projectDirectory, 'package-lock.json')
  const packages: Record<string, Entry> = JSON.parse(readFileSync(path, 'utf8')).packages

  // npm leaves out what its registry lacked when the lock was written, and `npm ci` refuses such a lock elsewhere.
  it('names the optional packages of all platforms', () => {
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
      .filter((name) => packages[`node_modules/${name}`] === undefined)
    assert.deepEqual(missing, [])
  })

  it('names no registry', () => {
    const resolved = Object.values(packages).flatMap((entry) => entry.resolved ?? [])
    assert.deepEqual(resolved, [])
  })
})
