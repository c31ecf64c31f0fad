import { createPool as createMysqlPool, type Pool, type PoolOptions, type RowDataPacket } from 'mysql2/promise'
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

/** Whether a unique key refused the row. */
export const isDuplicate = (error: unknown): boolean => codeOf(error) === 'ER_DUP_ENTRY'

/** Whether the server gave up this transaction for another: it may be tried again from its start. */
export const isDeadlock = (error: unknown): boolean => /^ER_LOCK_(DEADLOCK|WAIT_TIMEOUT)$/.test(codeOf(error))

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
