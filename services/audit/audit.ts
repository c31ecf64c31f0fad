// `npm run audit`: proves that a running mesh is as its logs say, or shows the first difference and exits with 1.
import { setPriority } from 'node:os'
import { parseArgs } from 'node:util'
import { findServers } from '#launcher/running-servers.ts'
import { ConfigError, wholeNumber } from '#mesh/config.ts'
import { auditMesh } from './audit-mesh.ts'
import { reportLines, resultLine } from './report.ts'
import { NoMesh } from './shape.ts'

const HELP = `npm run audit -- [--rate N] [--wait SECONDS] [--no-mysql]

Reads the streams and MySQL of a running mesh (NATS_URL and MYSQL_URL, or those of the npm start that runs), replays
everything, and compares. Ends with one line of JSON; exits with 1 at the first difference, with 2 when it cannot look.

  --rate N        items a second at most; 0 is no limit (default 20000)
  --wait SECONDS  how long to wait for what must come: frames, MySQL (default 10)
  --no-mysql      the logs alone`

/** Behind everything else that wants the processor. */
const PRIORITY = 10

try {
  const { values } = parseArgs({
    options: {
      rate: { type: 'string', default: '20000' },
      wait: { type: 'string', default: '10' },
      'no-mysql': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) console.log(HELP)
  else await run(values)
} catch (error) {
  console.error(`✖ ${explain(error)}`)
  process.exitCode = 2
}

async function run(values: { rate: string; wait: string; 'no-mysql': boolean }): Promise<void> {
  const rate = wholeNumber('--rate', values.rate, 0, 10_000_000)
  const waitMs = wholeNumber('--wait', values.wait, 0, 3_600) * 1_000
  const { natsUrl, mysqlUrl, archiveDirectory } = findServers()
  const withMysql = !values['no-mysql']
  if (withMysql && mysqlUrl === undefined) throw new ConfigError('Set MYSQL_URL as well, or say --no-mysql.')
  setPriority(PRIORITY)
  const result = await auditMesh({
    natsUrl,
    mysqlUrl: withMysql ? mysqlUrl : undefined,
    archiveDirectory,
    rate,
    waitMs,
    onProgress: ({ items, frames }) => console.error(`… ${items} items, ${frames} frames`),
  })
  for (const line of reportLines(result)) console.log(line)
  console.log(resultLine(result, { rate, mysql: withMysql }))
  if (result.difference !== undefined) process.exitCode = 1
}

function explain(error: unknown): string {
  if (error instanceof ConfigError || error instanceof NoMesh) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
