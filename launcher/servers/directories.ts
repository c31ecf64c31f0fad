import { existsSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')

export const projectDirectory = root

/** Where the launcher keeps everything; `EXCHANGE_DATA_DIR` moves it. */
export function dataDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(root, env.EXCHANGE_DATA_DIR || '.exchange')
}

/** Where downloaded servers are kept: `EXCHANGE_BIN_DIR`, by default inside the data directory. */
export function binDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return env.EXCHANGE_BIN_DIR ? resolve(root, env.EXCHANGE_BIN_DIR) : join(dataDirectory(env), 'bin')
}

/** Full path of a program on the PATH; the administrator's folders count too, as a user's PATH lacks them. */
export function which(program: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, program)).find(isFile)
}

export function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile()
}
