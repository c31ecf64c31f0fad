import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { type Connection, createConnection } from 'mysql2/promise'
import type { Logger } from 'pino'
import { connectionOptions, parseMysqlUrl, type Row } from './mysql.ts'
import { sleep, systemTime } from './time.ts'

/** A migration that cannot be applied, or one that was changed after it had been applied. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
  readonly code: 'migration_changed' | 'migration_invalid' | 'migration_failed' | 'migration_locked'

  constructor(code: MigrationError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

interface Migration {
  /** The file's name, `001-auth.sql`. */
  readonly name: string
  readonly sql: string
  /** SHA-256 of the text, line ends normalised. */
  readonly checksum: string
}

export const MIGRATIONS_DIRECTORY = new URL('../migrations/', import.meta.url)

const RETRY_MS = 1_000

/** How long an instance waits for another one that migrates, in seconds. */
const LOCK_SECONDS_MAX = 120

/**
 * Brings the schema up to date: creates the database where it is missing and applies the SQL files that are not recorded in
 * `schema_migrations`, by name. Safe when several instances do it at once: a lock of the server lets one in at a time.
 * DDL commits on its own, so a file that fails half-way is run again from its start: write `IF NOT EXISTS`.
 * @returns names of the files that this call applied.
 * @throws MigrationError
 */
export async function migrate(mysqlUrl: string, log: Logger, directory = MIGRATIONS_DIRECTORY): Promise<string[]> {
  const migrations = await readMigrations(directory)
  const { database } = parseMysqlUrl(mysqlUrl)
  const connection = await connect(mysqlUrl, database)
  try {
    return await locked(connection, database, () => applyMissing(connection, migrations, log))
  } finally {
    await connection.end()
  }
}

/** The same, again and again until MySQL is there. @returns false where the signal came first */
export async function migratePatiently(mysqlUrl: string, log: Logger, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    try {
      await migrate(mysqlUrl, log)
      return !signal.aborted
    } catch (err) {
      log.warn({ err }, 'the schema is brought up to date as soon as MySQL is there')
      await sleep(systemTime, RETRY_MS, signal)
    }
  }
  return false
}

async function applyMissing(connection: Connection, migrations: readonly Migration[], log: Logger): Promise<string[]> {
  await connection.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
    name VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    checksum CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    applied_at DATETIME(3) NOT NULL
  ) ENGINE = InnoDB`)
  const [rows] = await connection.query<Row[]>('SELECT name, checksum FROM schema_migrations')
  const recorded = new Map(rows.map((row) => [String(row.name), String(row.checksum)]))
  for (const { name, checksum } of migrations) {
    if ((recorded.get(name) ?? checksum) === checksum) continue
    throw new MigrationError(
      'migration_changed',
      `${name} was changed after it had been applied. Add a new file instead.`,
    )
  }
  const applied: string[] = []
  for (const migration of migrations) {
    if (recorded.has(migration.name)) continue
    await apply(connection, migration)
    log.info({ migration: migration.name }, 'migration applied')
    applied.push(migration.name)
  }
  return applied
}

async function apply(connection: Connection, { name, sql, checksum }: Migration): Promise<void> {
  try {
    await connection.query(sql)
  } catch (cause) {
    throw new MigrationError('migration_failed', `${name}: ${String(cause)}`, { cause })
  }
  await connection.query('INSERT INTO schema_migrations (name, checksum, applied_at) VALUES (?, ?, UTC_TIMESTAMP(3))', [
    name,
    checksum,
  ])
}

async function readMigrations(directory: URL): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort()
  const numbers = new Set<string>()
  for (const name of names) {
    if (!/^[0-9]{3}-[a-z0-9-]{1,100}\.sql$/.test(name)) {
      throw new MigrationError('migration_invalid', `${name}: a migration is called like 001-noun.sql.`)
    }
    const number = name.slice(0, 3)
    if (numbers.has(number)) throw new MigrationError('migration_invalid', `Two migrations have the number ${number}.`)
    numbers.add(number)
  }
  return await Promise.all(
    names.map(async (name) => {
      const sql = (await readFile(new URL(name, directory), 'utf8')).replaceAll('\r\n', '\n')
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    }),
  )
}

/** Several statements in one query are allowed on this connection alone: it runs nothing but the files. */
async function connect(mysqlUrl: string, database: string): Promise<Connection> {
  const open = (url: string) => createConnection({ ...connectionOptions(mysqlUrl), uri: url, multipleStatements: true })
  try {
    return await open(mysqlUrl)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ER_BAD_DB_ERROR')) throw error
  }
  const server = new URL(mysqlUrl)
  server.pathname = ''
  const connection = await open(server.href)
  await connection.query(`CREATE DATABASE IF NOT EXISTS \`${database}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`)
  await connection.query(`USE \`${database}\``)
  return connection
}

/** The lock belongs to the connection: a process that dies gives it back. */
async function locked<T>(connection: Connection, database: string, work: () => Promise<T>): Promise<T> {
  const name = `migrate:${createHash('sha256').update(database).digest('hex').slice(0, 32)}`
  const [rows] = await connection.query<Row[]>('SELECT GET_LOCK(?, ?) AS got', [name, LOCK_SECONDS_MAX])
  if (Number(rows[0]?.got) !== 1) {
    throw new MigrationError('migration_locked', `Another instance has been migrating for ${LOCK_SECONDS_MAX} s.`)
  }
  try {
    return await work()
  } finally {
    await connection.query('SELECT RELEASE_LOCK(?)', [name])
  }
}
