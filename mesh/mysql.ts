import {
  createPool as createMysqlPool,
  type Pool,
  type PoolConnection,
  type PoolOptions,
  type RowDataPacket,
} from 'mysql2/promise'
import { ConfigError } from './config.ts'

export type { Pool, PoolConnection, ResultSetHeader, RowDataPacket } from 'mysql2/promise'

/** A row as `query` gives it: BIGINT and DECIMAL are strings (`Number` is exact for ids, `BigInt` for money). */
export type Row = RowDataPacket

export interface PoolLimits {
  /** Connections, at most. Default 8. */
  readonly connectionsMax?: number
  /** Statements that wait for a connection, at most; beyond it `query` rejects. Default 1000. */
  readonly waitingMax?: number
}

/** How long a connection attempt may take, in milliseconds. */
const CONNECT_MS_MAX = 5_000

/** A pool that connects when it is first used, and again after the server was away. */
export function createPool(mysqlUrl: string, limits: PoolLimits = {}): Pool {
  return createMysqlPool({
    ...connectionOptions(mysqlUrl),
    connectionLimit: limits.connectionsMax ?? 8,
    queueLimit: limits.waitingMax ?? 1_000,
    waitForConnections: true,
  })
}

/** What every connection of the mesh agrees on: numbers without loss, text in utf8mb4, no surprise statements. */
export function connectionOptions(mysqlUrl: string): PoolOptions {
  parseMysqlUrl(mysqlUrl)
  return {
    uri: mysqlUrl,
    charset: 'utf8mb4',
    timezone: 'Z',
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    multipleStatements: false,
    connectTimeout: CONNECT_MS_MAX,
    enableKeepAlive: true,
  }
}

/**
 * `mysql://user:password@host:port/database`.
 * @throws ConfigError when it is not such a URL or names no database.
 */
export function parseMysqlUrl(mysqlUrl: string): { readonly url: URL; readonly database: string } {
  const url = URL.canParse(mysqlUrl) ? new URL(mysqlUrl) : undefined
  const database = decodeURIComponent(url?.pathname.slice(1) ?? '')
  if (url === undefined || !/^(mysql|mariadb):$/.test(url.protocol) || !/^[A-Za-z0-9_$-]{1,64}$/.test(database)) {
    throw new ConfigError('MYSQL_URL must look like mysql://user:password@host:3306/database.')
  }
  return { url, database }
}

/** How often a transaction is begun anew that the server gave up for another. */
const ATTEMPTS_MAX = 5

/** Commits what the work did, or nothing of it. READ COMMITTED: a lock is on rows, not on the gaps between them. */
export async function inTransaction<T>(pool: Pool, work: (connection: PoolConnection) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const connection = await pool.getConnection()
    try {
      await connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
      await connection.beginTransaction()
      const result = await work(connection)
      await connection.commit()
      connection.release()
      return result
    } catch (error) {
      // What a failed rollback leaves behind ends with the connection.
      await connection.rollback().then(
        () => connection.release(),
        () => connection.destroy(),
      )
      if (!isDeadlock(error) || attempt === ATTEMPTS_MAX) throw error
    }
  }
}

/** Does the work while no other process does it, in this database; waits for its turn. */
export async function withNamedLock<T>(pool: Pool, name: string, work: () => Promise<T>, waitS = 60): Promise<T> {
  const connection = await pool.getConnection()
  try {
    const [rows] = await connection.query<Row[]>('SELECT GET_LOCK(CONCAT(?, MD5(DATABASE())), ?) AS got', [name, waitS])
    if (Number(rows[0]?.got) !== 1) throw new Error(`The lock "${name}" was not to be had within ${waitS} s.`)
    return await work()
  } finally {
    // The lock ends with the connection, whatever became of the work.
    connection.destroy()
  }
}

/** Whether the server cannot be reached: not the statement's fault. */
export const isUnreachable = (error: unknown): boolean =>
  /^(ECONN|EHOST|ENOTFOUND|EPIPE|ETIMEDOUT|PROTOCOL_|ER_CON_COUNT|ER_SERVER_SHUTDOWN)/.test(codeOf(error)) ||
  (error instanceof Error && /^(Queue limit reached|Pool is closed|Can't add new command)/.test(error.message))

/** Whether a unique key refused the row. */
export const isDuplicate = (error: unknown): boolean => codeOf(error) === 'ER_DUP_ENTRY'

/** Whether the server gave up this transaction for another: it may be tried again from its start. */
export const isDeadlock = (error: unknown): boolean => /^ER_LOCK_(DEADLOCK|WAIT_TIMEOUT)$/.test(codeOf(error))

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
