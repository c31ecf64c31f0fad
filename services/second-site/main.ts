// `npm run second-site -- mirror | status | promote`: copies of a mesh at another site, and the way back from them.
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { ConfigError } from '#mesh/config.ts'
import { createPool, type Pool } from '#mesh/mysql.ts'
import { connectNats } from '#mesh/service.ts'
import { NoMesh, shapeOf } from '#services/audit/shape.ts'
import { envToConfig, type SecondSiteConfig } from './config.ts'
import { delayReplica, replicaState } from './database.ts'
import { makeMirrors, mirrorStates } from './mirror.ts'
import { FirstSiteLives, promote } from './promote.ts'
import { takeOverDatabase } from './take-over.ts'

const HELP = `npm run second-site -- mirror | status | promote

  mirror    makes a mirror of each stream of the first site, and sets the replica's delay
  status    how far the copies are behind
  promote   the first site is lost: makes of the copies a mesh that can go on

Settings: SECOND_NATS_URL, SECOND_MYSQL_URL, FIRST_DOMAIN, NATS_REPLICAS, REPLICA_DELAY_S. See services/second-site/README.md.`

const FIRST_MS_MAX = 60_000
const RETRY_MS = 500

try {
  const command = process.argv.at(-1) ?? ''
  const commands: Record<string, (nats: NatsConnection, config: SecondSiteConfig) => Promise<void>> = {
    mirror,
    status,
    promote: comeBack,
  }
  const run = commands[command]
  if (run === undefined) throw new ConfigError(HELP)
  const config = envToConfig(process.env)
  const nats = await connectNats(config.natsUrl, 'second-site')
  try {
    await run(nats, config)
  } finally {
    await nats.close()
  }
} catch (error) {
  console.error(`✖ ${explain(error)}`)
  process.exitCode = 1
}

async function mirror(nats: NatsConnection, config: SecondSiteConfig): Promise<void> {
  // The mesh of the first site may be about to start for the first time.
  const deadlineMs = performance.now() + FIRST_MS_MAX
  for (;;) {
    try {
      await makeMirrors(nats, config)
      break
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await sleep(RETRY_MS)
    }
  }
  await withDatabase(config, (pool) => delayReplica(pool, config.replicaDelayS))
  await status(nats, config)
}

async function status(nats: NatsConnection, config: SecondSiteConfig): Promise<void> {
  for (const { stream, messages, lag, heardMs } of await mirrorStates(nats)) {
    const heard = heardMs < 0 ? 'never heard of the first site' : `heard ${(heardMs / 1000).toFixed(1)} s ago`
    console.log(`${stream.padEnd(12)} ${messages} messages, ${lag} behind, ${heard}`)
  }
  await withDatabase(config, async (pool) => console.log(`${'MariaDB'.padEnd(12)} ${await replicaState(pool)}`))
}

async function comeBack(nats: NatsConnection, config: SecondSiteConfig): Promise<void> {
  const { accountSlots, marketSlots } = await shapeOf(await jetstreamManager(nats))
  console.log(`A mesh of ${accountSlots} account slots and ${marketSlots} market slots.`)
  const { removed } = await promote(nats, config.firstDomain)
  const gone = Object.entries(removed).map(([stream, count]) => `${count} of ${stream}`)
  console.log(`Removed what was there without its cause: ${gone.join(', ') || 'nothing'}.`)
  await withDatabase(config, async (pool) => {
    const { historyDropped, commands } = await takeOverDatabase(pool, nats, config)
    console.log(historyDropped ? 'The history is written anew from the streams.' : 'The history goes on where it was.')
    console.log(`${commands} commands to members' accounts are sent again when auth starts.`)
  })
  console.log(
    `✔ Start the services with NATS_URL=${config.natsUrl}, ACCOUNT_SLOTS=${accountSlots}, MARKET_SLOTS=${marketSlots}.`,
  )
}

async function withDatabase(config: SecondSiteConfig, work: (pool: Pool) => Promise<void>): Promise<void> {
  if (config.mysqlUrl === undefined) return console.log('Without SECOND_MYSQL_URL the database is left alone.')
  const pool = createPool(config.mysqlUrl, { connectionsMax: 1 })
  try {
    await work(pool)
  } finally {
    await pool.end()
  }
}

function explain(error: unknown): string {
  if (error instanceof ConfigError || error instanceof NoMesh || error instanceof FirstSiteLives) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
