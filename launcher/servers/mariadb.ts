import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type OwnedProcess, run, startProcess } from './child-process.ts'
import { freePort, loopback } from './ports.ts'
import { firstBytes } from './probe.ts'
import { mariadbPrograms, type Report } from './programs.ts'

const protocolVersion = 10
const database = 'exchange'

export type MariadbOptions = {
  directory: string
  /** Who may log in, from the loopback interface; without a password in tests only. */
  user: string
  password?: string
  port?: number
  bufferPool?: string
  logFileSize?: string
  /** More arguments: a primary's log, a replica's settings. */
  extraArgs?: readonly string[]
  log?: string
  report?: Report
}

export type MariadbServer = OwnedProcess & { url: string; port: number }

/** A MariaDB of its own: data, socket and port, nothing shared with one that the system runs. */
export async function startMariadbServer(options: MariadbOptions): Promise<MariadbServer> {
  const { directory, user, password } = options
  const { server, installDb } = await mariadbPrograms(options.report)
  const port = options.port ?? (await freePort())
  const data = join(directory, 'data')
  const temporary = join(directory, 'tmp')
  mkdirSync(temporary, { recursive: true })
  // A server that starts removes the temporary tables of every other one in the same folder.
  const common = ['--no-defaults', `--datadir=${data}`, `--tmpdir=${temporary}`, ...asRoot()]
  await initialise(installDb, directory, common)
  const initFile = join(directory, 'init.sql')
  writeFileSync(initFile, initSql(user, password), { mode: 0o600 })
  const owned = await startProcess({
    name: 'mariadb',
    command: server,
    args: [
      ...common,
      `--port=${port}`,
      `--bind-address=${loopback}`,
      // Relative to the data directory, as a socket's path is short by nature.
      '--socket=mariadb.sock',
      '--skip-name-resolve',
      `--init-file=${initFile}`,
      '--character-set-server=utf8mb4',
      '--max-connections=500',
      `--innodb-buffer-pool-size=${options.bufferPool ?? '128M'}`,
      `--innodb-log-file-size=${options.logFileSize ?? '96M'}`,
      ...(options.extraArgs ?? []),
    ],
    output: { file: options.log ?? join(directory, 'mariadb.log') },
    isReady: () => greets(port),
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 20_000,
  })
  const credentials = password === undefined ? user : `${user}:${password}`
  return Object.assign(owned, { url: `mysql://${credentials}@${loopback}:${port}/${database}`, port })
}

/** Its first packet is the greeting: it takes connections, so the init file is done as well. */
async function greets(port: number): Promise<boolean> {
  const packet = await firstBytes({ port })
  return packet?.[4] === protocolVersion
}

/** A data directory that exists only when it is whole: made beside its place, then renamed by its mark. */
async function initialise(installDb: string, directory: string, common: readonly string[]): Promise<void> {
  const mark = join(directory, 'initialised')
  if (existsSync(mark)) return
  rmSync(join(directory, 'data'), { recursive: true, force: true })
  await run(installDb, [
    ...common,
    '--auth-root-authentication-method=socket',
    '--skip-test-db',
    '--innodb-log-file-size=16M',
  ])
  writeFileSync(mark, '')
}

function initSql(user: string, password: string | undefined): string {
  const account = `'${user}'@'${loopback}'`
  const identified = password === undefined ? '' : ` IDENTIFIED BY '${password}'`
  return [
    `CREATE DATABASE IF NOT EXISTS ${database} CHARACTER SET utf8mb4;`,
    `CREATE USER IF NOT EXISTS ${account}${identified};`,
    password === undefined ? `GRANT ALL ON *.* TO ${account};` : `GRANT ALL ON ${database}.* TO ${account};`,
    '',
  ].join('\n')
}

/** MariaDB refuses to run as root unless it is told so; a user of its own could not enter root's folders. */
function asRoot(): string[] {
  return process.getuid?.() === 0 ? ['--user=root'] : []
}
