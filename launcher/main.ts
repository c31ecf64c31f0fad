// `npm start`: the whole exchange on one machine.
import { runCli } from './cli.ts'
import { migrateScript, services } from './services.ts'

await runCli({ services, migrateScript }, process.argv.slice(2))
