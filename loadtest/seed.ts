// `npm run seed [-- --members 10000]`: members for the load test, in the exchange that runs or the one whose bus NATS_URL names.
import { parseArgs } from 'node:util'
import { explain, loadConfig } from '#launcher/cli.ts'
import { PreflightError } from '#launcher/errors.ts'
import { runningMesh } from '#launcher/run-state.ts'
import { wholeNumber } from '#mesh/config.ts'
import { membersPath } from './members-file.mjs'
import { MEMBERS_DEFAULT, seed } from './seeding.ts'

try {
  const { values } = parseArgs({ options: { members: { type: 'string', default: String(MEMBERS_DEFAULT) } } })
  const count = wholeNumber('--members', values.members, 1, 1_000_000)
  const { natsUrl, dataDirectory } = loadConfig()
  const url = natsUrl ?? runningMesh(dataDirectory)?.natsUrl
  if (url === undefined) throw new PreflightError('Which exchange? Run npm start, or set NATS_URL')
  const beganMs = performance.now()
  await seed(url, count)
  const seconds = ((performance.now() - beganMs) / 1000).toFixed(1)
  console.log(`✔ ${count} members with money and tokens in ${seconds} s: ${membersPath}`)
} catch (error) {
  console.error(`✖ ${explain(error)}`)
  process.exitCode = 1
}
