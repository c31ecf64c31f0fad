import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '#mesh/config.ts'
import { runningMesh } from './run-state.ts'
import { dataDirectory, projectDirectory } from './servers/directories.ts'

export interface Servers {
  readonly natsUrl: string
  readonly mysqlUrl: string | undefined
  /** Where the beginning of the streams lies, if they were trimmed. */
  readonly archiveDirectory: string | undefined
}

/**
 * `NATS_URL`, `MYSQL_URL` and `ARCHIVE_DIR` (also from `.env`), else the servers of the `npm start` that runs; `NATS_NKEY_DIR` is set to where its
 * keys are. @throws ConfigError
 */
export function findServers(): Servers {
  const path = join(projectDirectory, '.env')
  if (existsSync(path)) process.loadEnvFile(path)
  const { NATS_URL: natsUrl, MYSQL_URL: mysqlUrl, ARCHIVE_DIR: archive } = process.env
  if (natsUrl) return { natsUrl, mysqlUrl: mysqlUrl || undefined, archiveDirectory: archive || undefined }
  const running = runningMesh(dataDirectory())
  if (running?.natsUrl === undefined) {
    throw new ConfigError('Which mesh? Set NATS_URL and MYSQL_URL, or run npm start (EXCHANGE_DATA_DIR says where).')
  }
  if (running.nkeyDirectory !== undefined) process.env.NATS_NKEY_DIR ||= running.nkeyDirectory
  const archiveDirectory = archive || running.archiveDirectory
  return { natsUrl: running.natsUrl, mysqlUrl: mysqlUrl || running.mysqlUrl, archiveDirectory }
}
