import pino from 'pino'
import { ConfigError } from '#mesh/config.ts'
import { MigrationError, migrate } from '#mesh/migrate.ts'

/** `npm run migrate`: brings the schema of MYSQL_URL up to date by hand. */
const log = pino({ base: { service: 'migrate' } })
try {
  const applied = await migrate(process.env.MYSQL_URL ?? '', log)
  log.info({ applied: applied.length }, 'the schema is up to date')
} catch (error) {
  process.exitCode = 1
  if (error instanceof ConfigError || error instanceof MigrationError) log.error({ code: error.code }, error.message)
  else log.error({ err: error }, 'the schema could not be brought up to date')
}
