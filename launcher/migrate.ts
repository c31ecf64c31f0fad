// `npm run migrate`: on MYSQL_URL, or on the database of the exchange that runs.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { explain, loadConfig } from './cli.ts'
import { PreflightError } from './errors.ts'
import { runningMesh } from './run-state.ts'
import { projectDirectory } from './servers/directories.ts'
import { migrateScript } from './services.ts'

try {
  const { mysqlUrl, dataDirectory } = loadConfig()
  const url = mysqlUrl ?? runningMesh(dataDirectory)?.mysqlUrl
  if (url === undefined) {
    throw new PreflightError('Which database? Set MYSQL_URL, or run npm start, which migrates its own by itself')
  }
  const script = join(projectDirectory, migrateScript)
  const env = { ...process.env, MYSQL_URL: url }
  const { status } = spawnSync(process.execPath, [script, ...process.argv.slice(2)], { stdio: 'inherit', env })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(`✖ ${explain(error)}`)
  process.exitCode = 1
}
