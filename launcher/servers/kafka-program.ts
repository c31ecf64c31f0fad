import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { aptInstall, canApt } from './apt.ts'
import { run } from './child-process.ts'
import { binDirectory, isFile, which } from './directories.ts'
import { isAtLeast, ProgramMissingError, type Report } from './programs.ts'

const recipe = join(import.meta.dirname, 'kafka')
const javaVersionMin = [17]
const copyDependencies = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'

export type KafkaProgram = { java: string; classPath: string }

/**
 * Java, and the broker's own jars as Maven resolves them from pom.xml. Each must be the one that sums.txt names: that file is
 * `sha256sum *.jar` in the folder of the jars, written anew when a version in pom.xml changes.
 */
export async function kafkaProgram(report: Report): Promise<KafkaProgram> {
  const java = await javaProgram(report)
  const folder = join(binDirectory(), `kafka-${digest(sums()).slice(0, 12)}`)
  if (!existsSync(folder)) await fetchJars(folder, java, report)
  return { java, classPath: join(folder, '*') }
}

async function javaProgram(report: Report): Promise<string> {
  const found = await installedJava()
  if (found !== undefined) return found
  if (!canApt()) throw new ProgramMissingError('Kafka needs Java 17 or later, which is not installed')
  await aptInstall([['openjdk-17-jre-headless'], ['openjdk-21-jre-headless'], ['default-jre-headless']], report)
  const fresh = await installedJava()
  if (fresh === undefined) throw new ProgramMissingError('Java was installed, but none of version 17 or later is there')
  return fresh
}

async function installedJava(): Promise<string | undefined> {
  const home = process.env.JAVA_HOME
  for (const java of [home === undefined ? undefined : join(home, 'bin/java'), which('java')]) {
    if (java === undefined || !isFile(java)) continue
    const version = /version "([0-9]+[0-9.]*)/.exec(await run(java, ['-version']).catch(() => ''))?.[1]
    if (version !== undefined && isAtLeast(version, javaVersionMin)) return java
  }
  return undefined
}

/** Appear whole or not at all, as several processes may fetch them at once. */
async function fetchJars(folder: string, java: string, report: Report): Promise<void> {
  const maven = which('mvn') ?? (await installedMaven(report))
  const partial = `${folder}.${process.pid}`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  try {
    report('mvn dependency:copy-dependencies (43 MB)')
    const args = ['--batch-mode', '--quiet', '--file', join(recipe, 'pom.xml')]
    await run(maven, [...args, copyDependencies, `-DoutputDirectory=${partial}`, '-DincludeScope=runtime'], {
      JAVACMD: java,
    }).catch((error: Error) => {
      throw new ProgramMissingError(`Maven cannot get Kafka's jars: ${error.message}`)
    })
    checkSums(partial)
    if (!existsSync(folder)) renameSync(partial, folder)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

async function installedMaven(report: Report): Promise<string> {
  if (!canApt()) throw new ProgramMissingError("Maven (mvn), which gets Kafka's jars, is not installed")
  await aptInstall([['maven']], report)
  const maven = which('mvn')
  if (maven === undefined) throw new ProgramMissingError('Maven was installed, but mvn is not there')
  return maven
}

function checkSums(folder: string): void {
  const wanted = sums().trimEnd().split('\n')
  const found = readdirSync(folder)
    .sort()
    .map((name) => `${digest(readFileSync(join(folder, name)))}  ${name}`)
  assert.deepEqual(found.toSorted(), wanted.toSorted(), "Kafka's jars are the ones that sums.txt names")
}

const sums = (): string => readFileSync(join(recipe, 'sums.txt'), 'utf8')

const digest = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex')
